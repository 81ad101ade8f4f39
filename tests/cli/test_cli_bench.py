import json
from pathlib import Path
from typing import Any


def test_figures_are_written_by_key(wavemore: Any, names: str) -> None:
    keys = ["unique_step_ratio", "unique_step_lecture_ratio", "unique_evaluate_ratio", "sampling_ratio"]
    said = wavemore("bench", names, "--only", *keys, "--repeats", "1", "--threads", "1", "--json", "bench.json")
    assert said.code == 0
    assert said.out.count("| 1 |") == 4
    assert "| ratio |" in said.out
    record = json.loads(Path("bench.json").read_text(encoding="utf-8"))
    for key in keys:
        assert record[key] == record["threads_1"][key]
    for measurement in record["measurements"]:
        assert measurement["baseline"] > 0
        assert measurement["measured"] > 0
    assert {"cpu", "torch", "commit", "threads"} <= record["environment"].keys()


def test_a_condition_that_is_not_met_gives_no_ratio(wavemore: Any, names: str) -> None:
    said = wavemore("bench", names, "--only", "time_to_lecture_val_ratio", "--repeats", "1", "--threads", "1")
    assert said.code == 0
    assert "condition not met" in said.out  # 45 lines are not the lecture's names


def test_wrong_numbers(wavemore: Any, names: str) -> None:
    said = wavemore("bench", names, "--repeats", "0")
    assert said.code == 2
    assert "at least 1" in said.err
