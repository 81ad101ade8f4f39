"""The fuzzer: it finds faults, repeats them, and finds none in the program."""

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from benchmarks.fuzzing.case import SECRET, Case, Files, Special, from_json, judge
from benchmarks.fuzzing.data import data_case
from benchmarks.fuzzing.flags import flags_of
from wavemore.cli.train import Train

ROOT = Path(__file__).resolve().parents[2]
CASE = Case("x", (("score", "a"),), {})


def test_a_case_is_repeated_from_its_file() -> None:
    files: Files = {"a": b"\xff\x00", "b": Special("link", "/dev/zero"), "c": Special("sparse", size=9)}
    case = Case("runs", (("score", "\udcff"), ("log",)), files, b"\x80", note="a note")
    assert from_json(case.to_json()) == case


def test_the_same_seed_draws_the_same() -> None:
    assert data_case(Random("1"), {}) == data_case(Random("1"), {})
    assert data_case(Random("1"), {}) != data_case(Random("2"), {})


def test_the_flags_are_those_of_the_command() -> None:
    flags = flags_of(Train)
    assert flags["--optimizer"] == ("auto", "muon", "adamw", "sgd")
    assert flags["--overwrite"] is None
    assert {"--hidden", "--split-seed", "--note"} <= flags.keys()
    assert "--source" not in flags


@pytest.mark.parametrize(
    ("status", "memory", "out", "err", "fault"),
    [
        (0, 0, "fine\n", "", ""),
        (1, 0, "", "wavemore: no such run\n", ""),
        (
            1,
            0,
            "",
            'Traceback (most recent call last):\n  File "/x/src/wavemore/a.py", line 3\nKeyError: 1\n',
            "traceback",
        ),
        (0, 3 << 30, "", "", "memory"),
        (1, 0, "", "wavemore: out of memory: use less\n", "memory"),
        (-11, 0, "", "", "exit code"),
        (1, 0, "", "wavemore: a\n" + "b\n" * 13, "long message"),
        (2, 0, "", "", "no message"),
        (0, 0, "", "x.py:3: UserWarning: odd\n", "warning"),
        (0, 0, "a\x1b[2J\n", "", "control character"),
        (0, 0, "a\u202e\n", "", "control character"),
        (1, 0, "", f"wavemore: cannot read {SECRET.decode()}\n", "secret"),
    ],
)
def test_faults_are_told_apart(status: int, memory: int, out: str, err: str, fault: str) -> None:
    assert judge(CASE, ["score"], status, memory, out, err)[0] == fault


def test_the_place_of_a_traceback_is_our_last_line() -> None:
    err = 'Traceback (most recent call last):\n  File "/x/src/wavemore/a.py", line 3, in f\nKeyError: 1\n'
    assert judge(CASE, ["score"], 1, 0, "", err) == ("traceback", "KeyError at wavemore/a.py:3")


def fuzz(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "benchmarks.fuzz", "--output", str(folder / "failures"), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=900)


@pytest.mark.slow
def test_odd_inputs_do_no_harm(tmp_path: Path) -> None:
    result = fuzz(tmp_path, "--seed", "7", "--count", "120")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "120 inputs, seed 7: 0 failed" in result.stdout


@pytest.mark.slow
def test_a_hang_is_killed_and_repeated(tmp_path: Path) -> None:
    case = Case("data", (("train", "list.txt"),), {"list.txt": b"anna\nbo\nella\n" * 20})
    (tmp_path / "case.json").write_text(case.to_json(), encoding="utf-8")
    for timeout in ("0", "0.01"):  # killed before the program begins, too
        result = fuzz(tmp_path, "--repeat", str(tmp_path / "case.json"), "--timeout", timeout)
        assert result.returncode == 1
        assert result.stdout.startswith("hang: train")
    result = fuzz(tmp_path, "--repeat", str(tmp_path / "case.json"))
    assert result.stdout == "no failure\n"
