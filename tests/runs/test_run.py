import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemore.engine.evaluate import evaluate
from wavemore.errors import RunError, UsageError, WavemoreWarning
from wavemore.nn.tree import TreeConfig
from wavemore.runs.config import RunConfig
from wavemore.runs.json_file import write_json
from wavemore.runs.layout import FILES
from wavemore.runs.record import Summary
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus

any_bytes = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])

TrainUntil = Callable[..., None]

SUMMARY = Summary(
    train_nats=2.0,
    val_nats=2.1,
    leak_free_val_nats=None,
    parameters=10,
    steps=12,
    best_step=9,
    train_seconds=0.5,
    finished="2026-01-01T00:00:00+00:00",
    val_line_percentiles=tuple(np.linspace(1, 3, 101).tolist()),
    environment={"cores": 2, "torch": "2"},
)


def content(run: Run) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}


def without_seconds(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "seconds"} for record in run.metrics()]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moved", [False, True])
def test_a_run_killed_at_any_write_resumes_bit_identically(
    tmp_path: Path,
    config: RunConfig,
    corpus: LineCorpus,
    train_until: TrainUntil,
    monkeypatch: pytest.MonkeyPatch,
    moved: bool,
) -> None:
    whole = Run(tmp_path / "whole")
    whole.create(config, corpus)
    train_until(whole, corpus)
    replace_file = Path.replace
    for fatal in range(1, 100):
        writes = 0

        def killing(self: Path, target: Path, fatal: int = fatal) -> Path:
            nonlocal writes
            writes += 1
            if writes == fatal:
                if moved:
                    replace_file(self, target)
                raise Killed
            return replace_file(self, target)

        run = Run(tmp_path / f"killed-{fatal}")
        monkeypatch.setattr(Path, "replace", killing)
        try:
            with run.lock():
                run.create(config, corpus)
                train_until(run, corpus)
        except Killed:
            pass
        monkeypatch.undo()
        if run.exists() and (run.path / "model.safetensors").exists():
            assert evaluate(run.model(), corpus.val).nats > 0
        with run.lock():
            if not run.exists():
                run.create(config, corpus)
            train_until(run, corpus)
        for name in ("model.safetensors", "state.safetensors", "config.json", "vocabulary.json", "lines.safetensors"):
            assert content(run)[name] == content(whole)[name], (fatal, name)
        assert without_seconds(run) == without_seconds(whole)
        assert not list(run.path.glob(".*.tmp"))
        if writes < fatal:  # it was never killed
            assert fatal > 10
            return
    raise AssertionError("a training of 12 steps writes less often")


def test_a_run_stopped_before_its_first_evaluation_has_a_model(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus, train_until: TrainUntil
) -> None:
    run = Run(tmp_path / "run")
    run.create(config, corpus)
    with pytest.raises(RunError, match=r"stopped before its first evaluation.*resume it"):
        run.model()
    train_until(run, corpus, step=1)
    assert evaluate(run.model(), corpus.val).nats > 0
    assert [record["step"] for record in run.metrics()] == [1]


def test_a_run_is_read_as_it_was_written(trained: Run, config: RunConfig, corpus: LineCorpus) -> None:
    assert trained.config == config
    assert trained.vocabulary() == corpus.vocabulary
    assert np.array_equal(trained.line_hashes(), corpus.line_hashes)
    assert trained.corpus().sha256 == corpus.sha256
    assert trained.summary() is None
    records = trained.metrics()
    assert [record["step"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert [record["step"] for record in records if "val_nats" in record] == [3, 6]
    matrices = {name for name, value in trained.model().named_parameters() if value.ndim == 2}
    assert all(record["update_ratios"].keys() == matrices for record in records)
    best = min(record["val_nats"] for record in records if "val_nats" in record)
    assert evaluate(trained.model(), corpus.val).nats == pytest.approx(best, abs=1e-12)


def test_a_finished_run_has_a_summary(trained: Run) -> None:
    trained.finish(SUMMARY, ["anna", "b c"])
    assert trained.summary() == SUMMARY
    assert (trained.path / "samples.txt").read_text() == "anna\nb c\n"


def test_a_run_begins_only_in_a_free_folder(
    trained: Run, tmp_path: Path, config: RunConfig, corpus: LineCorpus
) -> None:
    before = content(trained)
    with pytest.raises(RunError, match=r"already holds a run: continue it with `resume`, replace it with `overwrite`"):
        trained.create(config, corpus)
    assert content(trained) == before
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(RunError, match=r"is neither a run nor an empty folder: choose another `run`"):
        Run(file).create(config, corpus)
    with pytest.raises(RunError, match=r"cannot create the run folder .*: Not a directory"):
        Run(file / "run").create(config, corpus)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "config.json").write_text("mine")
    for do in (partial(Run(folder).create, config, corpus), Run(folder).delete):
        with pytest.raises(RunError, match=r"is neither a run nor an empty folder"):
            do()
    assert [entry.name for entry in folder.iterdir()] == ["config.json"]
    assert file.read_text() == (folder / "config.json").read_text() == "mine"


def test_a_run_without_its_config_is_not_overwritten(trained: Run, config: RunConfig, corpus: LineCorpus) -> None:
    (trained.path / "config.json").unlink()
    before = content(trained)
    with pytest.raises(RunError, match=r"is neither a run nor an empty folder"):
        trained.create(config, corpus)
    assert content(trained) == before
    with pytest.raises(RunError, match=r"is incomplete .it has no config.json"):
        trained.model()


@pytest.mark.parametrize("left", [[], ["vocabulary.json"], ["vocabulary.json", "lines.safetensors"]])
def test_a_run_killed_before_it_began_is_no_obstacle(
    trained: Run, config: RunConfig, corpus: LineCorpus, left: list[str]
) -> None:
    for path in trained.path.iterdir():
        if path.name not in left:
            path.unlink()
    (trained.path / ".config.json.123.tmp").write_text("half")
    trained.create(config, corpus)
    assert trained.config == config


def test_deleting_keeps_other_files(trained: Run, config: RunConfig, corpus: LineCorpus) -> None:
    (trained.path / "mine.txt").write_text("mine")
    trained.delete()
    assert [entry.name for entry in trained.path.iterdir()] == ["mine.txt"]


def test_a_deletion_that_was_cut_short_can_be_done_again(trained: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    trained.finish(SUMMARY, [])
    unlink = Path.unlink
    for fatal in range(len(FILES)):
        deleted = 0

        def killing(self: Path, missing_ok: bool = False, fatal: int = fatal) -> None:
            nonlocal deleted
            if deleted == fatal:
                raise Killed
            deleted += 1
            unlink(self, missing_ok)

        run = Run(trained.path.parent / f"copy-{fatal}")
        shutil.copytree(trained.path, run.path)
        monkeypatch.setattr(Path, "unlink", killing)
        with pytest.raises(Killed):
            run.delete()
        monkeypatch.undo()
        run.delete()
        assert list(run.path.iterdir()) == []


def test_a_folder_is_for_one_training(trained: Run) -> None:
    with trained.lock():
        with pytest.raises(RunError, match=r"another training is writing to .*: wait for it, or choose another `run`"):
            Run(trained.path).lock().__enter__()
        assert evaluate(trained.model(), trained.corpus().val).nats > 0  # reading needs no lock
    with trained.lock():
        pass


def test_temporary_files_of_a_killed_process_are_removed(trained: Run) -> None:
    for name in (".state.safetensors.99.tmp", "mine.tmp", ".mine.99.tmp"):
        (trained.path / name).write_bytes(b"half")
    with trained.lock():
        assert sorted(path.name for path in trained.path.glob("*.tmp")) == [".mine.99.tmp", "mine.tmp"]


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors", "lines.safetensors"])
@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-7]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_text("some text, and more of it"), "damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "safetensors"),
    ],
)
def test_damaged_tensors_are_refused(trained: Run, name: str, tamper: Callable[[Path], object], message: str) -> None:
    tamper(trained.path / name)
    readers: dict[str, Callable[[], object]] = {
        "model": trained.model,
        "state": trained.checkpoint,
        "lines": trained.line_hashes,
    }
    with pytest.raises(RunError, match=message):
        readers[name.split(".")[0]]()


def test_a_flipped_bit_is_found(trained: Run) -> None:
    path = trained.path / "model.safetensors"
    for at in np.random.default_rng(0).integers(path.stat().st_size, size=40):
        before = path.read_bytes()
        path.write_bytes(before[:at] + bytes([before[at] ^ 4]) + before[at + 1 :])
        with pytest.raises(RunError, match=r"model\.safetensors"):
            trained.model()
        path.write_bytes(before)
    trained.model()


@pytest.mark.parametrize("hidden", [16, 20_000, 2**16])
def test_a_config_that_does_not_fit_the_weights_is_noticed_before_the_model_is_built(
    trained: Run, config: RunConfig, hidden: int
) -> None:
    write_json(trained.path / "config.json", replace(config, model_config=config.model_config.with_width(hidden)))
    with pytest.raises(RunError, match=r"model.safetensors does not fit config.json and vocabulary.json: .*") as error:
        trained.model()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("changes", [{"recipe": {"seed": 5}}, {"data": {"sha256": "0" * 64}}])
def test_the_state_of_another_training_is_refused(
    trained: Run, config: RunConfig, changes: dict[str, dict[str, Any]]
) -> None:
    changed = {key: replace(getattr(config, key), **values) for key, values in changes.items()}
    write_json(trained.path / "config.json", replace(config, **changed))
    with pytest.raises(RunError, match=r"state.safetensors is the state of a training with other data or settings"):
        trained.checkpoint()


def test_the_files_of_another_run_are_refused(trained: Run, other: Run) -> None:
    for source in (other.path / "state.safetensors", trained.path / "model.safetensors"):
        shutil.copy(source, trained.path / "state.safetensors")
        with pytest.raises(RunError, match=r"state.safetensors (is the state of a training with other|does not fit)"):
            trained.checkpoint()


def test_another_vocabulary_is_noticed(trained: Run, corpus: LineCorpus) -> None:
    path = trained.path / "vocabulary.json"
    path.write_text(json.dumps({"characters": corpus.vocabulary.characters[:-1] + "z"}))
    with pytest.raises(RunError, match=r"vocabulary.json does not match the data"):
        trained.corpus()
    path.write_text(json.dumps({"characters": corpus.vocabulary.characters + "z"}))
    with pytest.raises(RunError, match=r"model.safetensors does not fit config.json and vocabulary.json"):
        trained.model()


def test_a_model_that_does_not_fit_into_memory_is_not_built(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus
) -> None:
    run = Run(tmp_path / "run")
    run.create(replace(config, model_config=TreeConfig(fuse=(1,) * 1_000, hidden=2**16)), corpus)
    with pytest.raises(UsageError, match="does not fit into memory"):
        run.new_model()


def test_a_device_that_this_machine_lacks(config: RunConfig, trained: Run) -> None:
    write_json(trained.path / "config.json", replace(config, device="cuda:77"))
    for load in (trained.new_model, trained.model):
        with pytest.warns(
            WavemoreWarning, match=r"device of the run, 'cuda:77', cannot be used here .*: it runs on the "
        ):
            assert load().device == torch.device("cpu")
    for name in ("no such thing", "meta", "privateuseone", "cuda:-1", "cpu\n"):
        with pytest.raises(UsageError, match=r"`device` is .*; it must be cpu, cuda, mps or xpu"):
            replace(config, device=name)


def test_changed_and_missing_data_are_errors(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> None:
    file = tmp_path / "list.txt"
    shutil.copy(corpus.source, file)
    run = Run(tmp_path / "run")
    run.create(replace(config, data=replace(config.data, source=str(file))), corpus)
    run.corpus()
    content = file.read_text()
    for changed in (f"zoe\n{content}", content.upper()):
        file.write_text(changed)
        with pytest.raises(RunError, match=r"list.txt is not the file that the run began with: .*; put the right file"):
            run.corpus()
    file.unlink()
    with pytest.raises(RunError, match=r"the data of .*run cannot be read: .*list.txt is not there; put the right"):
        run.corpus()


@any_bytes
@given(content=st.binary(max_size=80))
def test_any_bytes_are_a_vocabulary_or_an_error(trained: Run, content: bytes) -> None:
    (trained.path / "vocabulary.json").write_bytes(content)
    with contextlib.suppress(RunError):
        assert len(trained.vocabulary()) > 1


records = st.fixed_dictionaries(
    {"step": st.integers() | st.booleans(), "seconds": st.floats() | st.text(max_size=2)},
    optional={"epoch": st.floats(), "learning_rate": st.floats(), "train_nats": st.floats(), "val_nats": st.floats()},
)


@any_bytes
@given(lines=st.lists(st.binary(max_size=30) | records.map(lambda record: json.dumps(record).encode()), max_size=5))
def test_damaged_lines_of_the_metrics_are_left_out(trained: Run, lines: list[bytes]) -> None:
    (trained.path / "metrics.jsonl").write_bytes(b"\n".join(lines))
    for record in trained.metrics():
        assert record.keys() >= {"step", "seconds", "train_nats"}
        json.dumps(record, allow_nan=False)


@any_bytes
@given(
    content=st.binary(max_size=60)
    | st.sampled_from(list(asdict(SUMMARY))).map(lambda key: json.dumps(asdict(SUMMARY) | {key: [{}]}).encode())
)
def test_a_damaged_summary_is_an_error(trained: Run, content: bytes) -> None:
    (trained.path / "summary.json").write_bytes(content)
    with pytest.raises(RunError, match=r"summary.json is damaged or was changed .*; remove it and resume the run"):
        trained.summary()
