"""The scripts that write records, with small training runs."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm
from benchmarks import calibrate, record
from wavemore.cli import main

EXPERIMENTS = sorted(record.EXPERIMENTS.glob("*.toml"))


def write_names(count: int) -> None:
    lines = list(wm.load_corpus("names").train.lines)[:count]
    Path("list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.mark.slow
def test_calibration_writes_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "SEEDS", (3,))
    monkeypatch.setattr("sys.argv", ["calibrate", "-n", "60", "--models", "6", "-o", str(tmp_path / "record.json")])
    calibrate.main()
    result = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))
    assert (len(result["simulated"]), len(result["trained"])) == (4 + 5, 1 + 4)
    assert all(row["false_better"] < 0.3 < row["power"] for row in result["simulated"])


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_flags_of_an_experiment_train(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    toml = tomllib.loads(path.read_text(encoding="utf-8"))
    assert toml["question"].endswith("?")
    assert toml["expected"]
    write_names(1_000)

    def small(settings: dict[str, Any]) -> list[str]:
        width = {"channels": 8} if settings.get("model") == "wavenet" else {"hidden": 16}
        kept = {key: value for key, value in settings.items() if key != "epochs"}
        return [*record.data_flags_of(toml), *record.flags_of({**kept, **width, "steps": 3, "threads": 1})]

    teachers = record.teachers_of(toml)
    for number, teacher in enumerate(teachers):
        assert main(["train", "list.txt", *small(teacher), "--run", f"teachers/{number}"]) == 0
    flags = ["--seed", str(toml["seeds"][0]), *(["--teachers", "teachers"] if teachers else [])]
    assert main(["train", "list.txt", *small(toml["train"]), *flags]) == 0


STUDENTS = """
question = "Does it run?"
data = "makemore-names"
split_method = "lecture"
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


@pytest.mark.slow
def test_the_record_of_a_student_counts_its_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any
) -> None:
    monkeypatch.setattr(record, "EXPERIMENTS", tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("students.toml").write_text(STUDENTS, encoding="utf-8")
    write_names(500)
    result = record.experiment("students", "list.txt")
    for seed, run in enumerate(result["runs"]):
        assert [teacher["seed"] for teacher in run["teachers"]] == [100 * (seed + 1), 100 * (seed + 1) + 1]
        teacher_seconds = sum(teacher["train_seconds"] for teacher in run["teachers"])
        assert run["total_seconds"] == pytest.approx(run["train_seconds"] + teacher_seconds, abs=1e-2)
    assert result["mean"]["total_seconds"] > result["mean"]["train_seconds"]
    assert result["ensemble"]["total_seconds"] == pytest.approx(sum(run["total_seconds"] for run in result["runs"]))
    assert result["command"].splitlines() == [
        "for N in 0; do wavemore train makemore-names --split-method lecture --model ngram "
        '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"; done',
        "for N in 1; do wavemore train makemore-names --split-method lecture --hidden 16 --steps 3 "
        '--seed $((100 * (SEED + 1) + N)) --run "teachers-$SEED/$N"; done',
        "wavemore train makemore-names --split-method lecture --model lstm --hidden 16 --steps 3 "
        '--seed $SEED --teachers "teachers-$SEED"',
    ]
    text = script("results").results({"distilled": result})
    assert f"| {result['mean']['total_seconds']:.0f} s | 2 |" in text
    assert f"| {result['ensemble']['total_seconds']:.0f} s | |" in text
