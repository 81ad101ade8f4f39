"""`python -m benchmarks`, through its entry point."""

import json
from pathlib import Path
from typing import get_args

import pytest

from benchmarks.__main__ import Key, main
from benchmarks.measures import DEFAULT, MEASURES, TEXT_MEASURES

Output = pytest.CaptureFixture[str]


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    lines = [f"{first}{middle}{last}" for first in ("an", "bo", "el") for middle in "aeiou" for last in ("n", "r", "s")]
    Path("list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "list.txt"


@pytest.mark.slow
def test_figures_are_written_by_key(names: str, capsys: Output) -> None:
    keys = ["unique_step_ratio", "unique_step_lecture_ratio", "unique_evaluate_ratio", "sampling_ratio"]
    keys += ["lstm_training_ratio", "lstm_sharing_ratio", "lstm_sampling_ratio"]
    assert main([names, "--only", *keys, "--repeats", "1", "--threads", "1", "--output", "bench.json"]) == 0
    out = capsys.readouterr().out
    assert out.count("| 1 |") == 7
    assert "| ratio |" in out
    record = json.loads(Path("bench.json").read_text(encoding="utf-8"))
    for key in keys:
        assert record[key] == record["threads_1"][key]
    for measurement in record["measurements"]:
        assert measurement["baseline"] > 0
        assert measurement["measured"] > 0
    assert {"cpu", "torch", "commit", "threads"} <= record["environment"].keys()


def test_no_ratio_without_its_condition(names: str, capsys: Output) -> None:
    assert main([names, "--only", "time_to_lecture_val_ratio", "--repeats", "1", "--threads", "1"]) == 0
    assert "condition not met" in capsys.readouterr().out  # 45 lines do not give the lecture's val loss


def test_wrong_numbers(names: str, capsys: Output) -> None:
    assert main([names, "--repeats", "0"]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_a_missing_text_is_reported_and_the_rest_is_measured(names: str, capsys: Output) -> None:
    keys = ["wavenet_text_ratio", "unique_evaluate_ratio"]
    assert main([names, "--only", *keys, "--text", "no.txt", "--repeats", "1", "--threads", "1"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines()[0].startswith("without wavenet_text_ratio: 'no.txt' is neither a file nor a data set")
    assert out.count("| 1 |") == 1


def test_a_missing_text_fails_if_nothing_else_is_measured(names: str, capsys: Output) -> None:
    assert main([names, "--only", "wavenet_text_ratio", "--text", "no.txt"]) == 1
    assert "'no.txt' is neither a file nor a data set" in capsys.readouterr().err


def test_rivals_are_measured_only_if_named() -> None:
    assert set(MEASURES) - set(DEFAULT) == {"transformer_ratio"}
    assert set(TEXT_MEASURES) == {"wavenet_text_ratio"}
    assert set(get_args(Key)) == {*MEASURES, *TEXT_MEASURES}
