"""A run that is overwritten stays whole until the new one has been evaluated, whatever happens in between."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from wavemore.engine.evaluate import evaluate
from wavemore.errors import RunError, TrainingError
from wavemore.runs.config import RunConfig
from wavemore.runs.find import find_group, find_runs
from wavemore.runs.layout import FILES, INITIAL, REPLACEMENT, RESULTS
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import finish, train
from wavemore.text.line_corpus import LineCorpus

TrainUntil = Callable[..., None]


class Killed(BaseException):
    pass


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "lock"}


@pytest.fixture
def old(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> Run:
    """A finished run."""
    run = Run(tmp_path / "run")
    run.create(config, corpus)
    recorder, model = Recorder(run, None), run.new_model()
    for _ in train(run, model, corpus, recorder):
        pass
    finish(run, model, corpus, recorder)
    (run.path / "notes.txt").write_text("mine")
    return run


@pytest.fixture
def other_config(config: RunConfig) -> RunConfig:
    return replace(config, recipe=replace(config.recipe, seed=5))


def test_the_old_run_is_whole_until_the_new_one_has_been_evaluated(
    old: Run, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil
) -> None:
    before = content(old.path)
    (old.path / "failed.json").write_text("{}")
    new = old.create(other_config, corpus, overwrite=True)
    assert (new.home, new.is_replacement) == (old.path, True)
    train_until(new, corpus, step=2)  # the first evaluation is at step 3
    assert content(old.path) == before | {"failed.json": b"{}"}
    assert [run.path for run in (*find_runs([old.path.parent]), *find_group(str(old.path.parent)))] == [old.path] * 2
    train_until(new, corpus, step=3)
    assert (new.path, new.is_replacement) == (old.path, False)
    assert old.config == other_config
    assert sorted(content(old.path)) == sorted({*FILES, "notes.txt"} - {*RESULTS, INITIAL})
    assert not (old.path / REPLACEMENT).exists()


def test_a_replacement_resumes_bit_identically(
    old: Run, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil, tmp_path: Path
) -> None:
    whole = Run(tmp_path / "whole")
    whole.create(other_config, corpus)
    train_until(whole, corpus)
    train_until(old.create(other_config, corpus, overwrite=True), corpus, step=2)
    with old.lock():
        train_until(old.replacement, corpus)
    for name in ("model.safetensors", "state.safetensors"):
        assert content(old.path)[name] == content(whole.path)[name]


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, fatal: int) -> Iterator[list[int]]:
    """Let a process be killed at a removal or move of a file."""
    count = [0]

    def killing(do: Callable[..., object]) -> Callable[..., object]:
        def act(*words: object, **flags: object) -> object:
            count[0] += 1
            if count[0] == fatal:
                raise Killed
            return do(*words, **flags)

        return act

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "rmdir"):
            patch.setattr(Path, name, killing(getattr(Path, name)))
        with suppress(Killed):
            yield count


def test_a_kill_at_any_moment_leaves_one_of_the_two_runs(
    old: Run, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, seen = content(old.path), set()
    for fatal in range(1, 200):
        run = Run(old.path.parent / f"killed-{fatal}")
        shutil.copytree(old.path, run.path)
        with killed_at(monkeypatch, fatal) as count:
            train_until(run.create(other_config, corpus, overwrite=True), corpus, step=3)
        with run.lock():  # any later training
            assert run.config == (other_config if run.config != old.config else old.config)
            assert evaluate(run.model(), corpus.val).nats > 0
            seen.add(run.config == other_config)
            if run.config != other_config:
                assert content(run.path) == before
            else:
                assert run.summary() is None
                assert not (run.path / REPLACEMENT).exists()
        if count[0] < fatal:  # it was never killed
            assert fatal > 20
            assert seen == {False, True}
            return
    raise AssertionError("it moves fewer files")


def test_in_the_middle_of_the_move_the_folder_is_no_run(
    old: Run, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil
) -> None:
    train_until(old.create(other_config, corpus, overwrite=True), corpus, step=2)
    (old.path / "config.json").unlink()  # as a kill after the first removal leaves it
    for read in (lambda: old.config, old.model):
        with pytest.raises(RunError, match=r"its replacement was cut short: `resume` finishes it"):
            read()
    with old.lock():
        assert old.config == other_config


def test_a_full_disk_or_a_diverging_loss_leaves_the_old_run(
    old: Run, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = content(old.path)

    def full(path: Path, content: bytes) -> None:
        raise RunError(f"cannot write {path}: No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("wavemore.runs.tensors.write_atomic", full)
        with pytest.raises(RunError, match="No space left"):
            old.create(other_config, corpus, overwrite=True)
    assert content(old.path) == before
    assert not (old.path / REPLACEMENT).exists()
    recipe = replace(other_config.recipe, optimizer="sgd", learning_rate=1e30)
    new = old.create(replace(other_config, recipe=recipe), corpus, overwrite=True)
    with pytest.raises(TrainingError):
        train_until(new, corpus)
    assert new.failure() is not None
    assert new.discard()
    assert content(old.path) == before


def test_what_a_killed_training_left_is_removed_or_replaced(
    old: Run, config: RunConfig, other_config: RunConfig, corpus: LineCorpus, train_until: TrainUntil
) -> None:
    left = old.path / REPLACEMENT
    left.mkdir()
    (left / "vocabulary.json").write_text("half")
    (left / ".config.json.99.tmp").write_text("half")
    with old.lock():
        assert not left.exists()
    train_until(old.create(other_config, corpus, overwrite=True), corpus, step=1)
    new = old.create(config, corpus, overwrite=True)
    assert new.checkpoint() is None
    assert new.config == config


def test_a_link_in_place_of_the_replacement_is_not_followed(
    old: Run, other: Run, other_config: RunConfig, corpus: LineCorpus
) -> None:
    before = content(other.path)
    (old.path / REPLACEMENT).symlink_to(other.path)
    new = old.create(other_config, corpus, overwrite=True)
    assert not new.path.is_symlink()
    assert new.config == other_config
    assert content(other.path) == before
