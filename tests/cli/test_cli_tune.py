"""`wavemore tune`: search, interruption by Ctrl-C and kill, the command of the winner; wrong input is one line."""

import json
import shlex
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from wavemore.comparison.compare import compare
from wavemore.runs.run import Run
from wavemore.studies.tuning.record import answer, read_tuning

SMALL = ("--trials", "6", "--model", "tree,lstm", "--max-parameters", "1500", "--repeats", "2")
FOLDER = Path("runs/tune-names")


def trials_of(folder: Path) -> list[dict[str, Any]]:
    """The trials, without what the clock decides."""
    trials: list[dict[str, Any]] = json.loads((folder / "tune.json").read_text())["trials"]
    return [{key: value for key, value in each.items() if key not in ("elapsed", "train_seconds")} for each in trials]


@pytest.mark.slow
def test_a_search_ends_with_a_winner_that_can_be_trained_again(program: Any, names: str) -> None:
    words = ("tune", names, *SMALL, "--jobs", "2", "--split-method", "lecture")
    done = program(*words)
    assert (done.code, done.err) == (0, "")
    record = read_tuning(FOLDER)
    assert len(record["trials"]) == 6
    winner, *others = record["finalists"]
    assert record["winner"] == winner["trial"]
    assert all(each["parameters"] <= 1_500 for each in record["finalists"])
    assert {1} <= {each["trial"] for each in record["finalists"]}, "the defaults are repeated too"
    assert [run["seed"] for run in winner["runs"]] == [1, 2]
    for sentence in answer(record):
        assert f"- {sentence}\n" in done.out
    assert "Winner's curse: in the search, " in done.out
    assert not list(FOLDER.rglob("test.safetensors")), "nothing has looked at test"

    verdict = compare(others[0]["experiment"], winner["experiment"])
    [outcome] = [each["outcome"] for each in record["comparisons"] if each["trial"] == others[0]["trial"]]
    assert verdict.overall.p == pytest.approx(outcome["p"])
    assert verdict.difference == pytest.approx(outcome["difference"])

    command = next(line.strip() for line in done.out.splitlines() if line.startswith("  wavemore train"))
    assert shlex.split(command) == winner["command"]
    again = program(*shlex.split(command)[1:], "--run", "again")
    assert (again.code, again.err) == (0, "")
    run = Run(winner["paths"][0])
    assert Path("again/model.safetensors").read_bytes() == (run.path / "model.safetensors").read_bytes()
    summary, kept = Run("again").summary(), run.summary()
    assert summary is not None
    assert kept is not None
    assert summary.val_nats == kept.val_nats

    trial = min((each for each in record["trials"] if each["val_nats"]), key=lambda each: each["val_nats"])["number"]
    assert program("sample", f"tune-names/trials/{trial}").code == 0
    log = program("log")
    assert f"{winner['experiment']} " in log.out
    assert "wavemore log runs/tune-names/trials" in log.out
    assert program("log", "runs/tune-names/trials").out.count("tune-names-search-") == 6
    page = (FOLDER / "page.html").read_text(encoding="utf-8")
    assert page.count("<figure>") == 2  # with six trials, no importance
    assert program("report", "tune-names", "-o", "report.html").code == 0
    assert Path("report.html").read_text(encoding="utf-8") == page

    finished = program(*words)
    assert finished.code == 0
    assert " of 6" not in finished.out
    assert "Continue" not in finished.out
    other = program(*words, "--max-parameters", "1400", "--seed", "3")
    assert (other.code, other.err.count("\n")) == (1, 1)
    assert "--max-parameters 1500 there, 1400 here; --seed 0 there, 3 here" in other.err
    more = program(*words, "--trials", "7", "--json")
    assert more.err.count("7 of 7") == 1
    assert len(json.loads(more.out)["trials"]) == 7


@pytest.mark.slow
def test_a_killed_search_is_resumed_to_the_same_trials(program: Any, names: str) -> None:
    words = ("tune", names, *SMALL, "--jobs", "1")
    assert program(*words, "--folder", "whole").code == 0
    for after in (1, 3, 5):
        process = program.start(*words, "--folder", "cut")
        while not (Path("cut/trials") / str(after) / "state.safetensors").exists():
            assert process.poll() is None
            time.sleep(0.02)
        process.kill()
        process.wait()
    done = program(*words, "--folder", "cut")
    assert (done.code, done.err) == (0, "")
    assert trials_of(Path("cut")) == trials_of(Path("whole"))
    for number in range(1, 7):
        weights = [(Path(folder) / f"trials/{number}/model.safetensors").read_bytes() for folder in ("whole", "cut")]
        states = {each["state"] for each in trials_of(Path("cut")) if each["number"] == number}
        assert weights[0] == weights[1] or states == {"pruned"}


@pytest.mark.slow
def test_ctrl_c_says_how_to_go_on(program: Any, names: str) -> None:
    words = ("tune", names, "--trials", "4", "--jobs", "2", "--repeats", "1")
    process = program.start(*words)
    while not (FOLDER / "trials/2/config.json").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert f"Continue with the same command: wavemore {' '.join(words)}" in out
    assert not (FOLDER / "tune.json").exists()
    done = program(*words)
    assert (done.code, done.err) == (0, "")
    assert len(read_tuning(FOLDER)["trials"]) == 4


@pytest.mark.slow
def test_a_time_is_kept(program: Any, names: str) -> None:
    begin = time.monotonic()
    done = program("tune", names, "--minutes", "0.5", "--jobs", "2", "--max-seconds", "0.5")
    assert (done.code, done.err) == (0, "")
    record = read_tuning(FOLDER)
    assert len(record["trials"]) >= 2
    assert record["search"]["seconds"] == 0.5
    assert time.monotonic() - begin < 100, "no measurement, but the time was not ignored"


def test_wrong_flags_are_one_line(fails: Any, names: str) -> None:
    assert "Give --trials or --minutes" in fails(2, "tune", names)
    assert "--trials is 0" in fails(2, "tune", names, "--trials", "0")
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
