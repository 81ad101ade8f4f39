"""`wavemore tune`: search, interruption by Ctrl-C and kill, the command of the winner; wrong input is one line."""

import contextlib
import json
import os
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.comparison.compare import compare
from wavemore.runs.run import Run
from wavemore.studies.tuning.record import answer, read_tuning

SMALL = ("--trials", "6", "--model", "tree,bigram", "--max-parameters", "1500", "--repeats", "2")
FOLDER = Path("runs/tune-few")


@pytest.fixture
def few(folder: Path) -> str:
    """A list of 15 lines, on which a training takes a moment."""
    lines = [f"{first}{last}" for first in ("an", "bo", "el") for last in "aeiou"]
    (folder / "few.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "few.txt"


@pytest.fixture
def tune(program: Any) -> Callable[..., str]:
    """Run a command that must succeed, however busy the machine is, and return what it prints."""

    def run(*words: str) -> str:
        process = program.start(*words)
        out, err = process.communicate(timeout=900)
        assert (process.returncode, err) == (0, "")
        return str(out)

    return run


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """The trials, without what the clock decides."""
    trials: list[dict[str, Any]] = json.loads((folder / "tune.json").read_text())["trials"]
    return [{key: value for key, value in each.items() if key not in ("elapsed", "train_seconds")} for each in trials]


@pytest.mark.slow
def test_a_search_ends_with_a_winner_that_can_be_trained_again(
    tune: Callable[..., str], wavemore: Any, few: str
) -> None:
    words = ("tune", few, *SMALL, "--jobs", "2", "--split-method", "lecture")
    out = tune(*words)
    record = read_tuning(FOLDER)
    assert len(record["trials"]) == 6
    winner, *others = record["finalists"]
    assert record["winner"] == winner["trial"]
    assert all(each["parameters"] <= 1_500 for each in record["finalists"])
    assert 1 in {each["trial"] for each in record["finalists"]}, "the defaults are repeated too"
    assert [run["seed"] for run in winner["runs"]] == [1, 2]
    for sentence in answer(record):
        assert f"- {sentence}\n" in out
    assert "Winner's curse: the lowest val loss of the search is " in out
    assert not list(FOLDER.rglob("test.safetensors")), "nothing has looked at test"

    verdict = compare(others[0]["experiment"], winner["experiment"])
    [outcome] = [each["outcome"] for each in record["comparisons"] if each["trial"] == others[0]["trial"]]
    assert verdict.difference == pytest.approx(outcome["difference"])
    assert (verdict.overall.seeds is None) == (outcome["seeds"] is None)

    command = next(line.strip() for line in out.splitlines() if line.startswith("  wavemore train"))
    assert shlex.split(command) == winner["command"]
    tune(*shlex.split(command)[1:], "--run", "again")
    run = Run(winner["paths"][0])
    assert Path("again/model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()
    summary, kept = Run("again").summary(), run.summary()
    assert summary is not None
    assert kept is not None
    assert summary.val_nats == kept.val_nats

    trial = min((each for each in record["trials"] if each["val_nats"]), key=lambda each: each["val_nats"])["number"]
    assert wavemore("sample", f"tune-few/trials/{trial}").code == 0
    log = wavemore("log").out
    assert f"{winner['experiment']} " in log
    assert "wavemore log runs/tune-few/trials" in log
    assert wavemore("log", "runs/tune-few/trials").out.count("tune-few-search-") == 6
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2  # with six trials, no importance
    assert wavemore("report", "tune-few", "-o", "report.html").code == 0
    assert Path("report.html").read_text(encoding="utf-8") == page

    other = wavemore(*words, "--max-parameters", "1400", "--seed", "3")
    assert (other.code, other.err.count("\n")) == (1, 1)
    assert "--max-parameters 1500 there, 1400 here; --seed 0 there, 3 here" in other.err
    assert " of 6" not in tune(*words), "nothing is trained again"
    more = wavemore(*words, "--trials", "7", "--json")
    assert more.err.count("7 of 7") == 1
    assert len(json.loads(more.out)["trials"]) == 7


@pytest.mark.slow
def test_a_stopped_or_killed_search_is_resumed_to_the_same_trials(
    program: Any, tune: Callable[..., str], wavemore: Any, few: str
) -> None:
    words = ("tune", few, *SMALL, "--jobs", "1")
    tune(*words, "--folder", "whole")
    for after, number in ((2, signal.SIGINT), (5, signal.SIGKILL)):
        process = program.start(*words, "--folder", "cut")
        while not (Path("cut/trials") / str(after) / "config.json").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
        out, err = process.communicate(timeout=900)
        assert not Path("cut/tune.json").exists()
        if number == signal.SIGINT:
            assert (process.returncode, err) == (130, "")
            assert f"Continue with the same command: wavemore {' '.join(words)} --folder cut" in out
    tune(*words, "--folder", "cut")
    assert trials_of(Path("cut")) == trials_of(Path("whole"))
    for each in trials_of(Path("cut")):
        if each["state"] == "complete":
            files = [Path(folder) / f"trials/{each['number']}/model.safetensors" for folder in ("whole", "cut")]
            assert files[0].read_bytes() == files[1].read_bytes()

    journal = Path("cut/journal.jsonl")  # as if it was killed between the end of the last training and its note
    lines = journal.read_bytes().splitlines(keepends=True)
    facts = [place for place, line in enumerate(lines) if b'"settings"' in line and json.loads(line)["trial_id"] == 5]
    assert len(facts) == 2, "as the trial begins, and as it ends"
    journal.write_bytes(b"".join(lines[: facts[0] + 1]))
    files = [path for path in Path("cut/trials/6").iterdir() if path.name in ("summary.json", "model.safetensors")]
    before = [path.stat().st_mtime_ns for path in files]
    tune(*words, "--folder", "cut")
    assert trials_of(Path("cut")) == trials_of(Path("whole"))
    assert [path.stat().st_mtime_ns for path in files] == before or not Path("cut/trials/6/summary.json").exists()

    journal.unlink()
    result = wavemore(*words, "--folder", "cut")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "cut/journal.jsonl lacks trials/1, which is in cut: put the whole journal back, or choose" in result.err


@pytest.mark.slow
def test_the_time_is_shared_by_trials_and_repeats(tune: Callable[..., str], few: str) -> None:
    limits = ("--minutes", "0.4", "--max-seconds", "0.2", "--repeats", "1")
    words = ("tune", few, *limits, "--model", "tree", "--jobs", "2")
    assert " s left: trial 1, tree " in tune(*words)
    record = read_tuning(FOLDER)
    assert record["search"]["seconds"] == 0.2
    assert record["finalists"][0]["runs"]
    tune(*words)
    assert read_tuning(FOLDER)["trials"] == record["trials"], "the search is over"


def test_wrong_flags_are_one_line(fails: Any, names: str) -> None:
    assert "Give --trials or --minutes" in fails(2, "tune", names)
    assert "--trials is 0" in fails(2, "tune", names, "--trials", "0")
    assert "--cluster is empty; it must be the address" in fails(2, "tune", names, "--trials", "1", "--cluster", "")
    assert "--minutes is nan" in fails(2, "tune", names, "--minutes", "nan")
    assert "--jobs is 0" in fails(2, "tune", names, "--trials", "1", "--jobs", "0")
    assert "--seed is -1" in fails(2, "tune", names, "--trials", "1", "--seed", "-1")
    assert "leave out --max-parameters" in fails(
        2, "tune", names, "--trials", "1", "--model", "ngram", "--max-parameters", "5"
    )
    assert "raise --max-parameters from 5" in fails(2, "tune", names, "--trials", "1", "--max-parameters", "5")
    assert "--model is 'lstn'; it must be one of tree" in fails(
        2, "tune", names, "--trials", "1", "--model", "tree,lstn"
    )
    assert "--model is ''; it must be one of tree" in fails(2, "tune", names, "--trials", "1", "--model", "tree,")
    assert not Path("runs").exists()


def test_a_folder_of_something_else_is_left_alone(wavemore: Any, names: str) -> None:
    Path("mine").mkdir()
    Path("mine/letter.txt").touch()
    result = wavemore("tune", names, "--trials", "1", "--folder", "mine")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "mine holds other things (letter.txt): choose another --folder" in result.err
    Path("mine/search.json").write_text("{", encoding="utf-8")
    result = wavemore("tune", names, "--trials", "1", "--folder", "mine")
    assert result.code == 1
    assert "mine/search.json is damaged" in result.err


def test_too_little_time_is_said_before_anything_is_trained(wavemore: Any, names: str) -> None:
    result = wavemore("tune", names, "--minutes", "0.1", "--max-seconds", "30", "--jobs", "1")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "--minutes is 0.1, too short for a trial and the repeats of the best ones" in result.err
    assert not (FOLDER / "trials").exists()
    result = wavemore("tune", names, "--trials", "1", "--folder", names)
    assert (result.code, result.err) == (1, f"wavemore: cannot create {names}: File exists; choose another --folder\n")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to find child processes")
def test_a_trial_whose_process_is_killed_is_done_again_or_given_up(program: Any) -> None:
    limits = ("--max-parameters", "4000", "--max-seconds", "2")
    process = program.start(
        "tune", "names", "--trials", "2", "--model", "tree", *limits, "--jobs", "1", "--repeats", "1"
    )
    path = Path("runs/tune-names/trials/1")
    for _ in range(2):
        killed: list[int] = []
        while not killed:
            assert process.poll() is None
            killed = workers_of(process.pid) if path.exists() and Run(path).is_training() else []
            time.sleep(0.01)
        for worker in killed:
            os.kill(worker, signal.SIGKILL)
        while Run(path).is_training():
            time.sleep(0.01)
    out, err = process.communicate(timeout=900)
    assert (process.returncode, err) == (0, "")
    assert "trial 1: pruned, its process was killed, perhaps because memory ran out" in out
    record = read_tuning(Path("runs/tune-names"))
    assert [each["failed"] for each in record["trials"]] == [True, False]
    assert record["winner"] == 2


def workers_of(parent: int) -> list[int]:
    """The processes of a pool: children that are no resource tracker."""
    children = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has just ended
            fields = path.read_text(encoding="utf-8").rpartition(")")[2].split()
            command = (path.parent / "cmdline").read_text(encoding="utf-8")
            if int(fields[1]) == parent and "spawn_main" in command:
                children.append(int(path.parent.name))
    return children
