import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def test_results_are_made_from_the_records(script: Any) -> None:
    results = script("results")
    found = results.records()
    assert found
    stale = "run `python scripts/results.py`"
    assert (ROOT / "RESULTS.md").read_text(encoding="utf-8") == results.results(found), stale
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == results.readme(text, found), stale
    assert results.table(found) in text, stale


def test_the_tables_of_the_defaults_are_made_from_the_records(script: Any) -> None:
    text = (ROOT / "docs/defaults.md").read_text(encoding="utf-8")
    made = script("defaults").with_tables(text)
    assert made.count("made by scripts/defaults.py") == 12
    assert text == made, "run `python scripts/defaults.py`"


def test_rows_are_those_that_are_recorded(script: Any) -> None:
    results = script("results")
    found = results.records()
    one = next(m for m in found["bench"]["measurements"] if m["key"] == "sampling_ratio" and m["threads"] == 1)
    for name, keys in (("bench", results.BENCH), ("wavenet", results.WAVENET), ("rivals", results.RIVALS)):
        ratios = dict.fromkeys(keys, 12.34)
        measurements = [{**one, "key": key, "what": f"all of {key}"} for key in keys]
        record = {**found["bench"], "threads_1": ratios, "measurements": measurements}
        text, short = results.results({**found, name: record}), results.table({**found, name: record})
        fewer = results.results({**found, name: {**record, "measurements": measurements[:1]}})
        for number, (key, what) in enumerate(keys.items()):
            cell = results._ratio(key, record, 1)
            assert f"| {what} | {cell} |\n" in text  # one thread alone was measured
            assert f"| {what} | {cell} |" in short
            assert f"| all of {key} | " in text
            assert (what in fewer) == (number == 0)


def test_every_record_says_how_it_was_measured(script: Any) -> None:
    for name, record in script("results").records().items():
        assert record["command"], name
        assert re.fullmatch(r"[0-9a-f]{12}", record["environment"]["commit"]), name  # no + : nothing uncommitted
        assert record["date"], name


def test_records_hold_the_means_of_their_runs(script: Any) -> None:
    for name, record in script("results").records().items():
        for key, mean in record.get("mean", {}).items():
            values = [run[key] for run in record["runs"]]
            assert mean == pytest.approx(sum(values) / len(values)), (name, key)


def test_equal_recipes_are_called_different_in_at_most_5_percent_and_a_half(script: Any) -> None:
    record = script("results").records()["calibration"]
    rows = [*record["simulated"], *record["trained"]]
    assert {(row["seeds"][0], row["ratio"]) for row in record["simulated"]} >= {
        (seeds, ratio) for seeds in (3, 5, 10, 20) for ratio in (0.5, 1, 2, 4)
    }
    error = (0.05 * 0.95 / record["trials"]) ** 0.5  # of a share of the trials
    assert [row for row in rows if row["false_better"] > 0.055 + error] == []
    assert [row for row in rows if row["power"] < 0.3] == []  # the verdict is not simply silent
