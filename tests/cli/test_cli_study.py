"""`wavemore study`: run, stopped, continued; errors are found before anything is trained."""

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from wavemore.cli.screen import Screen
from wavemore.cli.study import _event_printer
from wavemore.runs.run import Run
from wavemore.studies.runner import Event

TINY = """
question = "Two or three?"
seeds = [0, 1]
measure = ["mode_gap", "memorisation"]
[fixed]
hidden = 6
embedding = 3
steps = 30
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


@pytest.fixture
def tiny(names: str) -> str:
    Path("tiny.toml").write_text(TINY, encoding="utf-8")
    return "tiny.toml"


def test_a_study_is_run_once_and_writes_its_page(wavemore: Any, tiny: str, names: str) -> None:
    result = wavemore("study", tiny, "--data", names, "--jobs", "1")
    assert result.code == 0, result.err
    assert "8 of 8: " in result.out
    record = json.loads(Path("studies/tiny/study.json").read_text())
    assert [arm["name"] for arm in record["arms"]] == ["Two", "Three"]
    for arm in record["arms"]:
        assert [run["seed"] for run in arm["runs"]] == [0, 1]
        best = min(arm["trials"], key=lambda trial: trial["val_nats"])
        assert arm["tuned"]["learning_rate"] == best["settings"]["learning_rate"]
        for run in arm["runs"]:
            folder = Path("studies/tiny/runs") / arm["name"].lower()
            paths = folder.glob(f"trial-*-seed-{run['seed']}/summary.json")
            assert run["val_nats"] in [json.loads(path.read_text())["val_nats"] for path in paths]
            assert isinstance(run["mode_gap"], float)
    assert record["arms"][1]["baseline"] == "Two"
    page = Path("studies/tiny/page.md").read_text()
    assert page.startswith("# Two or three?")
    assert "](tiny-1.svg)" in page
    assert Path("studies/tiny/tiny-1.svg").read_text().startswith("<?xml")
    weights = sorted(path.stat().st_mtime_ns for path in Path("studies").rglob("model.safetensors"))
    again = wavemore("study", tiny, "--data", names)
    assert again.code == 0
    assert " of 8: " not in again.out
    assert sorted(path.stat().st_mtime_ns for path in Path("studies").rglob("model.safetensors")) == weights
    more = wavemore("study", tiny, "--data", names, "--seeds", "0", "7", "--json", "--jobs", "1")
    assert [run["seed"] for run in json.loads(more.out)["arms"][0]["runs"]] == [0, 7]
    assert more.err.count(", seed 7") == 2
    assert more.err.count(", seed 0") == 0
    [kept] = Path("studies/tiny").glob("study-*.json")
    assert f"the record of other seeds is kept as {kept.name}" in more.err
    assert json.loads(kept.read_text())["seeds"] == [0, 1]
    assert len(list(Path("studies/tiny").glob("page-*.md"))) == 1
    command = ["wavemore", "study", tiny, "--data", names, "--seeds", "0", "7", "--json", "--jobs", "1"]
    commands = [json.loads(path.read_text())["command"] for path in Path("studies").rglob("*seed-7/config.json")]
    assert commands == [command, command]


@pytest.mark.slow
def test_parallel_trainings_give_the_same_results(wavemore: Any, tiny: str, names: str) -> None:
    for jobs in ("1", "2"):
        assert wavemore("study", tiny, "--data", names, "--folder", jobs, "--jobs", jobs).code == 0
    one, two = (json.loads((Path(jobs) / "study.json").read_text())["arms"] for jobs in ("1", "2"))
    for a, b in zip(one, two, strict=True):
        for run in (*a["runs"], *b["runs"]):
            del run["seconds"]
        assert a == b


@pytest.mark.slow
def test_ctrl_c_while_the_processes_of_a_study_start(program: Any, names: str) -> None:
    Path("long.toml").write_text(TINY.replace("steps = 30", "steps = 600"), encoding="utf-8")
    words = ("study", "long.toml", "--data", names, "--jobs", "2")
    process = program.start(*words, start_new_session=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "Two or three?\n"
    time.sleep(0.4)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the program and its processes
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert f"Continue with the same command: wavemore {' '.join(words)}" in out


@pytest.mark.slow
def test_a_stopped_study_is_continued(program: Any, names: str) -> None:
    Path("long.toml").write_text(TINY.replace("steps = 30", "steps = 600"), encoding="utf-8")
    words = ("study", "long.toml", "--data", names, "--jobs", "2")
    process = program.start(*words)
    assert process.stdout is not None
    while " of 8" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "Continue with the same command: wavemore study long.toml" in out
    finished = len(list(Path("studies").rglob("summary.json")))
    assert 0 < finished < 8
    assert not Path("studies/long/study.json").exists()
    done = program(*words)
    assert done.code == 0, done.err
    assert len(list(Path("studies").rglob("summary.json"))) == 8
    assert f"{finished + 1} of 8" in done.out
    assert f"\n{finished} of 8" not in done.out


def test_what_was_finished_before_says_nothing_about_the_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    show = _event_printer(Screen())
    events = [(0, 1, "a step is measured"), (4, 12, ""), (5, 12, ""), (5, 12, "no worker"), (6, 12, "one")]
    for event in events:
        show(Event(*event))
    out = capsys.readouterr().out.splitlines()
    assert out[:2] == ["0 of 1: a step is measured", "5 of 12: no worker"]
    assert out[2].startswith("6 of 12, about ")


@pytest.mark.slow
def test_arms_of_equal_time_are_measured_once(wavemore: Any, tiny: str, names: str) -> None:
    Path("timed.toml").write_text(TINY.replace("steps = 30", "seconds = 0.05"), encoding="utf-8")
    first = wavemore("study", "timed.toml", "--data", names, "--jobs", "1")
    assert first.code == 0, first.err
    assert "time per step: " in first.out
    steps = [
        run["steps"] for arm in json.loads(Path("studies/timed/study.json").read_text())["arms"] for run in arm["runs"]
    ]
    assert steps[0] == steps[1]
    assert all(1 <= number < 5_000 for number in steps)
    assert "time per step: " not in wavemore("study", "timed.toml", "--data", names, "--jobs", "1").out


def test_a_failed_training_is_a_result(wavemore: Any, names: str) -> None:
    settings = 'steps = 30\noptimizer = "sgd"\nnorm = "none"\nactivation = "relu"'
    text = TINY.replace("[0.01, 0.05]", "[0.05, 1e30]").replace("steps = 30", settings)
    Path("wild.toml").write_text(text, encoding="utf-8")
    result = wavemore("study", "wild.toml", "--data", names, "--jobs", "1")
    assert result.code == 0, result.err
    assert "failed, the " in result.out
    record = json.loads(Path("studies/wild/study.json").read_text())
    assert [one["val_nats"] is None for one in record["arms"][0]["trials"]] == [False, True]
    assert "| 1 |" in Path("studies/wild/page.md").read_text()
    again = wavemore("study", "wild.toml", "--data", names, "--jobs", "1")
    assert " of 8: " not in again.out, "a failed training is not repeated"


def test_errors_are_found_before_anything_is_trained(fails: Any, wavemore: Any, tiny: str, names: str) -> None:
    Path("wrong.toml").write_text(TINY.replace("fuse = [3]", "fuse = [3]\ncontext = 5"), encoding="utf-8")
    assert "arm 'Three'" in fails(2, "study", "wrong.toml", "--data", names)
    assert "there is no study" in fails(2, "study", "nothing.toml")
    assert "--jobs is -1" in fails(2, "study", tiny, "--data", names, "--jobs", "-1")
    assert "--jobs is for this machine" in fails(2, "study", tiny, "--cluster", "tcp://a:1", "--jobs", "2")
    assert "--seeds: " in fails(2, "study", tiny, "--data", names, "--seeds", "-1")
    fails(1, "study", tiny, "--data", "nowhere.txt")
    assert not Path("studies").exists()
    Path("file").touch()
    result = wavemore("study", tiny, "--data", names, "--folder", "file/x")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "cannot create" in result.err


def test_runs_of_other_settings_are_not_mixed_in(fails: Any, wavemore: Any, tiny: str, names: str) -> None:
    assert wavemore("study", tiny, "--data", names, "--jobs", "1").code == 0
    Path(tiny).write_text(TINY.replace("hidden = 6", "hidden = 7"), encoding="utf-8")
    result = wavemore("study", tiny, "--data", names)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "was trained with other settings or data (hidden 6 → 7)" in result.err


def test_the_studies_of_wavemore_are_listed(wavemore: Any) -> None:
    result = wavemore("study")
    assert result.code == 0
    for name in ("architectures", "architectures-text", "context", "duplicates", "fusion", "lecture", "norm"):
        assert f"\n{name} " in result.out
    listed = json.loads(wavemore("study", "--json").out)
    assert {"name": "norm", "question": listed[6]["question"]} in listed


MODELS = """
question = "Which model?"
seeds = [0, 1]
format = "text"
train_fraction = 0.8
[fixed]
parameters = 900
seconds = 0.02
num_evals = 1
[tune]
learning_rate = [0.01, 0.05]
[[arm]]
name = "WaveNet"
model = "wavenet"
dilations = [1, 2]
block_size = 32
batch_size = 64
[[arm]]
name = "GRU"
model = "gru"
embedding = 4
block_size = 32
batch_size = 64
[[arm]]
name = "tree"
fuse = [2, 2]
embedding = 4
[[arm]]
name = "counts"
model = "ngram"
tune = { order = [2, 3] }
"""


@pytest.mark.slow
def test_a_study_of_models_on_a_continuous_text(wavemore: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = "to be or not to be that is the question\nwhether it is nobler\n\n"
    Path("story.txt").write_text(words * 30, encoding="utf-8")
    Path("models.toml").write_text(MODELS, encoding="utf-8")
    result = wavemore("study", "models.toml", "--data", "story.txt", "--jobs", "1")
    assert result.code == 0, result.err
    record = json.loads(Path("studies/models/study.json").read_text())
    assert record["data"]["train_targets"] == int(0.8 * len(words) * 30)
    rest = len(words) * 30 - record["data"]["train_targets"]
    assert (record["data"]["val_targets"], record["data"]["test_targets"]) == (rest - rest // 2, rest // 2)
    for arm in record["arms"][:3]:
        assert 600 < arm["runs"][0]["parameters"] <= 900
        assert arm["model"]["name"] in ("wavenet", "gru", "tree")
    counts = record["arms"][3]
    assert {trial["settings"]["order"] for trial in counts["trials"]} == {2, 3}
    assert counts["runs"][0]["val_nats"] == counts["runs"][1]["val_nats"]
    page = Path("studies/models/page.md").read_text()
    assert "| test, bits per character |" in page
    assert "a continuous text whose first 80 % are train" in page
    assert "An n-gram model is counted" in page
    assert "leak-free" not in page.lower()
    assert wavemore("report", "studies/models", "--output", "page.html").code == 0
    assert "a continuous text" in Path("page.html").read_text()
    again = wavemore("study", "models.toml", "--data", "story.txt")
    assert again.code == 0
    assert " of 16: " not in again.out


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find child processes")
def test_a_killed_study_leaves_no_process_behind(program: Any, names: str) -> None:
    Path("long.toml").write_text(TINY.replace("steps = 30", "steps = 200000"), encoding="utf-8")
    process = program.start("study", "long.toml", "--data", names, "--jobs", "2")
    deadline = time.monotonic() + 100
    while not list(Path("studies").rglob("metrics.jsonl")) and time.monotonic() < deadline:
        time.sleep(0.1)
    children = children_of(process.pid)
    assert len(children) >= 2
    process.kill()
    process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, "a training is still running"
        time.sleep(0.2)
    with Run(next(Path("studies").rglob("config.json")).parent).lock():
        pass  # and nobody holds the run


def children_of(parent: int) -> list[int]:
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            if int(fields[1]) == parent:
                children.append(int(path.parent.name))
    return children
