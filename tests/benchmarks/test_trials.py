"""The trials behind the default settings."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import rules, small_lists
from wavemore.text.datasets import load_corpus


def run(module: object, *words: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["trials", *map(str, words)])
    module.main()  # type: ignore[attr-defined]


def test_a_trial_is_not_repeated_and_one_without_data_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    common = {"hidden": 8, "steps": 2, "batch_size": 64}
    taught = {"distill_weight": 0.5, "teachers": 1}
    questions = {
        "rates": rules.Question("Which rate?", "moses", common, ({"learning_rate": 0.08}, {"learning_rate": 0.02})),
        "teachers": rules.Question("What do they teach?", "names", common, (taught,)),
        "text": rules.Question("And a text?", "tinyshakespeare", common, ({},)),
    }
    monkeypatch.setattr(rules, "QUESTIONS", questions)
    monkeypatch.setattr(rules, "TEACHER", {"hidden": 8, "steps": 2})
    lines = load_corpus("names").train.lines[:400]
    for name in ("moses", "names"):
        (tmp_path / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["--data", tmp_path, "--only", *questions, "--output", tmp_path / "rules.json"]
    run(rules, *words, monkeypatch=monkeypatch)
    trials = json.loads((tmp_path / "rules.json").read_text(encoding="utf-8"))["trials"]
    assert [trial["question"] for trial in trials] == ["rates", "rates", "teachers"]
    assert all(0 < trial["val_nats"] < 5 for trial in trials)
    assert "tinyshakespeare.txt is missing" in capsys.readouterr().out
    run(rules, *words, monkeypatch=monkeypatch)
    assert json.loads((tmp_path / "rules.json").read_text(encoding="utf-8"))["trials"] == trials


@pytest.mark.slow
def test_a_judge_reads_the_samples_of_short_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--sizes", "60", "--subsets", "2", "--output", tmp_path / "lists.json"]
    run(small_lists, *words, monkeypatch=monkeypatch)
    [row] = json.loads((tmp_path / "lists.json").read_text(encoding="utf-8"))["rows"]
    assert set(row["arms"]) == set(small_lists.ARMS)
    default = row["arms"]["default"]
    assert default["nats"] == row["arms"]["lstm"]["nats"]
    assert default["temperature"] == 0.6
    assert 0.2 < default["plausible@1"] < default["plausible@0.6"] <= 1
    assert default["distinct@0.6"] > 0.8
