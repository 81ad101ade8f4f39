import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm
from wavemore.cli import main

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((ROOT / "src" / "wavemore" / "experiments").glob("*.toml"))


def test_results_are_made_from_the_records(script: Any) -> None:
    results = script("results")
    found = results.records()
    assert found
    stale = "run `python scripts/results.py`"
    assert (ROOT / "RESULTS.md").read_text(encoding="utf-8") == results.results(found), stale
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert text == results.readme(text, found), stale
    assert results.table(found) in text, stale


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


def test_a_recipe_is_called_better_than_itself_in_at_most_7_of_100_comparisons(script: Any) -> None:
    record = script("results").records()["calibration"]
    assert record["itself"]["comparisons"] >= 200
    assert record["itself"]["share"] == record["itself"]["better"] / record["itself"]["comparisons"] <= 0.07
    assert record["better_one"]["b_better"] == record["better_one"]["better"]
    assert record["better_one"]["share"] > record["itself"]["share"]  # the verdict is not simply silent


def test_calibration_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    monkeypatch.setattr("sys.argv", ["calibrate.py", "-n", "2", "--better", "2", "-o", str(tmp_path / "record.json")])
    script("calibrate").main()
    record = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert record["itself"]["comparisons"] == record["better_one"]["comparisons"] == 2
    assert abs(record["itself"]["mean_difference"]) < 0.1


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_experiments_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any) -> None:
    monkeypatch.chdir(tmp_path)
    found = tomllib.loads(path.read_text(encoding="utf-8"))
    assert found["question"].endswith("?")
    assert found["expected"]
    Path("list.txt").write_text("\n".join(list(wm.load("names").train.lines)[:1_000]) + "\n", encoding="utf-8")
    kind = ["--text", found["text"]] if "text" in found else ["--split", found["split"]]
    record = script("record")

    def small(train: dict[str, Any]) -> list[str]:
        width = {"channels": 8} if train.get("model") == "wavenet" else {"hidden": 16}
        kept = {key: value for key, value in train.items() if key != "epochs"}
        return [*kind, *record._flags({**kept, **width, "steps": 3, "threads": 1})]

    teachers = record._teachers(found)
    for number, teacher in enumerate(teachers):
        assert main(["train", "list.txt", *small(teacher), "--run", f"teachers/{number}"]) == 0
    taught = ["--teachers", "teachers"] if teachers else []
    assert main(["train", "list.txt", "--seed", str(found["seeds"][0]), *small(found["train"]), *taught]) == 0


STUDENTS = """
question = "Does it run?"
data = "makemore-names"
split = "lecture"
seeds = [0, 1]
ensemble = true

[[teachers]]
count = 1
model = "ngram"

[[teachers]]
count = 1
hidden = 16
steps = 3

[train]
model = "lstm"
hidden = 16
steps = 3
"""


def test_a_record_of_students_counts_their_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any
) -> None:
    record = script("record")
    monkeypatch.setattr(record, "EXPERIMENTS", tmp_path)
    (tmp_path / "students.toml").write_text(STUDENTS, encoding="utf-8")
    list_ = tmp_path / "list.txt"
    list_.write_text("\n".join(list(wm.load("names").train.lines)[:500]) + "\n", encoding="utf-8")
    found = record.experiment("students", str(list_))
    for seed, run in enumerate(found["runs"]):
        assert [teacher["seed"] for teacher in run["teachers"]] == [100 * (seed + 1), 100 * (seed + 1) + 1]
        taught = sum(teacher["train_seconds"] for teacher in run["teachers"])
        assert run["total_seconds"] == pytest.approx(run["train_seconds"] + taught, abs=1e-2)
    assert found["mean"]["total_seconds"] > found["mean"]["train_seconds"]
    assert found["ensemble"]["total_seconds"] == pytest.approx(sum(run["total_seconds"] for run in found["runs"]))
    assert found["command"].splitlines() == [
        "for N in 0; do wavemore train makemore-names --split lecture --model ngram "
        '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"; done',
        "for N in 1; do wavemore train makemore-names --split lecture --hidden 16 --steps 3 "
        '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"; done',
        "wavemore train makemore-names --split lecture --model lstm --hidden 16 --steps 3 "
        '--seed $SEED --teachers "teachers-$SEED"',
    ]
    text = script("results").results({"distilled": found})
    assert f"| {found['mean']['total_seconds']:.0f} s | 2 |" in text
    assert f"| {found['ensemble']['total_seconds']:.0f} s | |" in text
