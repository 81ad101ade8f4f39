"""Studies are run once, continue after an interruption, and take no runs with other settings or data."""

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from wavemore.engine.threads import set_threads
from wavemore.errors import RunError, UsageError
from wavemore.runs.run import Run
from wavemore.studies.file import Study, parse_study
from wavemore.studies.record import read_record, verdicts
from wavemore.studies.runner import Event, StudyRunner

TINY = """
question = "Two or three?"
seeds = [0, 1]
split_seed = 0
measure = ["mode_gap"]
[fixed]
hidden = 6
embedding = 3
steps = 12
batch_size = 8
[tune]
learning_rate = [0.01, 0.05]
[[arm]]
name = "Two"
fuse = [2]
[[arm]]
name = "Three"
fuse = [3]
"""


def study(**replaced: str) -> Study:
    text = TINY
    for key, line in replaced.items():
        [old] = [other for other in text.splitlines() if other.startswith(f"{key} = ")]
        text = text.replace(old, line)
    return parse_study(text, "tiny")


def run(study: Study, folder: Path, data: Path, jobs: int = 1) -> tuple[dict[str, Any], list[Event]]:
    runner = StudyRunner(study, folder, str(data), jobs)
    events = list(runner.run())
    return dict(read_record(folder)), events


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, names_file: Path) -> Path:
    """The folder of a finished study."""
    folder = tmp_path_factory.mktemp("finished")
    set_threads(1)
    run(study(), folder, names_file)
    return folder


def test_every_arm_is_tuned_and_trained_on_all_seeds(finished: Path, names_file: Path) -> None:
    record = read_record(finished)
    for arm in record["arms"]:
        assert [run["seed"] for run in arm["runs"]] == [0, 1]
        assert all(isinstance(run["mode_gap"], float) for run in arm["runs"])
        assert all(isinstance(run["test_nats"], float) for run in arm["runs"])
        best = min(arm["trials"], key=lambda trial: trial["val_nats"])
        assert arm["tuned"] == best["settings"]
    assert [arm["baseline"] for arm in record["arms"]] == [None, "Two"]
    assert len(list(finished.rglob("test.safetensors"))) == 4, "the trials of the tuning are not judged on test"
    two, three = ([run["test_nats"] for run in arm["runs"]] for arm in record["arms"])
    outcome = verdicts(record)["Three"].outcome
    assert outcome is not None
    assert outcome.difference == pytest.approx(fmean(three) - fmean(two))
    again, events = run(study(), finished, names_file)
    assert not any(event.message for event in events), "nothing is trained twice"
    assert again["arms"] == record["arms"]


def test_an_earlier_record_replaces_the_tuning(finished: Path, tmp_path: Path, names_file: Path) -> None:
    earlier = read_record(finished)
    more = study(seeds="seeds = [0, 1, 2]")
    runner = StudyRunner(more, tmp_path, str(names_file), 1, earlier)
    events = list(runner.run())
    assert [event.done for event in events if event.message] == [1, 2, 3, 4, 5, 6]
    record = read_record(tmp_path)
    for before, arm in zip(earlier["arms"], record["arms"], strict=True):
        assert (arm["trials"], arm["tuned"]) == (before["trials"], before["tuned"])
        assert [run["test_nats"] for run in arm["runs"][:2]] == [run["test_nats"] for run in before["runs"]]
    assert record["training_seconds"] >= earlier["training_seconds"] - sum(
        run["seconds"] for arm in earlier["arms"] for run in arm["runs"]
    )
    other = StudyRunner(study(learning_rate="learning_rate = [0.02, 0.03]"), tmp_path, str(names_file), 1, earlier)
    with pytest.raises(UsageError, match="arm 'Two' is not in the earlier record, or was tuned otherwise there"):
        list(other.run())


def test_an_interrupted_study_continues(tmp_path: Path, names_file: Path) -> None:
    runner = StudyRunner(study(), tmp_path, str(names_file), jobs=1)
    iteration = runner.run()
    for event in iteration:
        if event.done == 3:
            break
    iteration.close()  # type: ignore[attr-defined]
    assert len(list(tmp_path.rglob("summary.json"))) == 3
    with pytest.raises(RunError, match="has no finished study"):
        read_record(tmp_path)
    _, events = run(study(), tmp_path, names_file)
    assert [event.done for event in events if event.message] == [4, 5, 6, 7, 8]


def test_what_an_interrupted_training_has_learned_is_saved(tmp_path: Path, names_file: Path) -> None:
    iteration = StudyRunner(study(steps="steps = 2000"), tmp_path, str(names_file), jobs=1).run()
    for _ in range(8):
        next(iteration)
    iteration.close()  # type: ignore[attr-defined]
    [state] = tmp_path.rglob("state.safetensors")
    checkpoint = Run(state.parent).checkpoint()
    assert checkpoint is not None
    assert checkpoint.position is not None
    assert checkpoint.position.step >= 50


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split_seed": "split_seed = 7"}, r"\(split distinct, seed 0 and distinct, seed 7"),
        ({"split_seed": 'split_method = "lecture"'}, r"\(split distinct, seed 0 and lecture"),
        ({"hidden": "hidden = 7"}, r"\(hidden 6 → 7\)"),
    ],
)
def test_runs_with_another_split_or_other_settings_are_refused(
    finished: Path, names_file: Path, change: dict[str, str], words: str
) -> None:
    with pytest.raises(RunError, match=words):
        run(study(**change), finished, names_file)


def test_equal_time_is_measured_once(tmp_path: Path, names_file: Path) -> None:
    timed = study(steps="seconds = 0.02")
    record, events = run(timed, tmp_path, names_file)
    assert "time per step: " in "".join(event.message for event in events)
    _, events = run(timed, tmp_path, names_file)
    assert not any(event.message for event in events)
    assert all(run["steps"] >= 1 for arm in record["arms"] for run in arm["runs"])


def test_a_failed_training_is_a_result(tmp_path: Path, names_file: Path) -> None:
    settings = 'steps = 12\noptimizer = "sgd"\nnorm = "none"\nactivation = "relu"'
    wild = study(steps=settings, learning_rate="learning_rate = [0.05, 1e30]")
    record, _ = run(wild, tmp_path, names_file)
    assert [trial["val_nats"] is None for trial in record["arms"][0]["trials"]] == [False, True]
    _, events = run(wild, tmp_path, names_file)
    assert not any(event.message for event in events), "a failed training is not repeated"
    hopeless = study(steps=settings, learning_rate="learning_rate = [1e29, 1e30]")
    with pytest.raises(UsageError, match="arm 'Two': all trials have failed: the"):
        run(hopeless, tmp_path / "hopeless", names_file)


def test_memory_that_runs_out_is_explained(tmp_path: Path, names_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_large(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    with monkeypatch.context() as patch:
        patch.setattr("torch.nn.functional.cross_entropy", too_large)
        with pytest.raises(RunError, match=r"memory ran out in the training .*runs.*: give this arm a smaller model"):
            run(study(), tmp_path / "tiny", names_file)
    record, _ = run(study(), tmp_path / "tiny", names_file)
    assert all(trial["val_nats"] for arm in record["arms"] for trial in arm["trials"])


def test_a_damaged_record_or_one_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="is damaged"):
        read_record(tmp_path)
    (tmp_path / "study.json").write_text(json.dumps({"format": 9}), encoding="utf-8")
    with pytest.raises(RunError, match="has format 9; this version of wavemore reads format 2"):
        read_record(tmp_path)
