"""The trials behind the default settings."""

import json
import sys
from pathlib import Path

import pytest

from benchmarks import carry_over, given_time, rules, small_lists
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
    monkeypatch.setattr(rules, "TEACHERS", {"teachers": {"hidden": 8, "steps": 2}})
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
def test_what_is_chosen_for_a_time_is_compared_with_other_choices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "\n".join(load_corpus("names").train.lines)
    (tmp_path / "text.txt").write_text(text, encoding="utf-8")
    data = {
        "60 names": given_time.Data(given_time.NAMES, "lines", 60, subsets=2),
        "text of 2 KB": given_time.Data("text.txt", "text", 2_000, fraction=0.9),
    }
    monkeypatch.setattr(given_time, "DATA", data)
    monkeypatch.setattr(given_time, "HELD_OUT", {"lines": 100, "text": 1_000})
    words = ["--data", tmp_path, "--only", *data, "--minutes", "0.05", "--output", tmp_path / "times.json"]
    run(given_time, *words, monkeypatch=monkeypatch)
    record = (tmp_path / "times.json").read_text(encoding="utf-8")
    for cell, subsets in zip(json.loads(record)["cells"], (2, 1), strict=True):
        arms = {trial["arm"]: trial for trial in cell["trials"]}
        assert {"chosen", "narrower", "twice the learning_rate", "ngram"} <= set(arms)
        assert all(len(trial["nats"]) == subsets and 0 < min(trial["nats"]) < 5 for trial in arms.values())
        narrow, chosen = arms["narrower"]["settings"][0], arms["chosen"]["settings"][0]
        assert narrow["width"] < chosen["width"]
        assert narrow["steps"] > chosen["steps"]
    run(given_time, *words, monkeypatch=monkeypatch)
    assert (tmp_path / "times.json").read_text(encoding="utf-8") == record


@pytest.mark.slow
def test_a_judge_reads_the_samples_of_short_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--sizes", "60", "--subsets", "2", "--output", tmp_path / "lists.json"]
    run(small_lists, *words, monkeypatch=monkeypatch)
    [row] = json.loads((tmp_path / "lists.json").read_text(encoding="utf-8"))["rows"]
    assert set(row["arms"]) == set(small_lists.ARMS)
    default = row["arms"]["default"]
    assert default["nats"] == row["arms"]["lstm"]["nats"]
    assert default["temperature"] == 0.5
    assert 0.2 < default["plausible@1"] < default["plausible@0.6"] <= 1
    assert default["distinct@0.6"] > 0.8


@pytest.mark.slow
def test_a_short_list_begins_with_other_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--targets", "names of Finland", "--sizes", "60", "--seeds", "0", "1", "--source-epochs", "0.3"]
    run(carry_over, *words, "--output", tmp_path / "carry.json", monkeypatch=monkeypatch)
    rows = json.loads((tmp_path / "carry.json").read_text(encoding="utf-8"))["rows"]
    assert [row["source"] for row in rows] == [carry_over.USA, carry_over.NEIGHBOURS]
    for row in rows:
        assert row["gain_val"] == pytest.approx(row["scratch_val"] - row["carried_val"], abs=2e-4)
        assert 1 < row["carried_new"] < 3.5
        assert row["scratch_seconds"] >= row["carried_seconds"] > 0
        assert 0 < row["known"] < 1
        assert row["new_lines"] > 100


def test_the_lists_of_the_study_are_distinct_lines() -> None:
    for path in sorted(carry_over.DATA.glob("*.txt")):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert len(set(lines)) == len(lines) > 900
        assert all(line and line == line.strip() for line in lines)
