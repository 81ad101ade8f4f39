import json
from pathlib import Path
from typing import Any, get_args

from benchmarks.__main__ import Key
from benchmarks.tree import MEASURES, TEXT_MEASURES, USUAL


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


def test_a_text_that_is_not_there_is_said_and_the_rest_is_measured(wavemore: Any, names: str) -> None:
    keys = ["wavenet_text_ratio", "unique_evaluate_ratio"]
    said = wavemore("bench", names, "--only", *keys, "--text", "no.txt", "--repeats", "1", "--threads", "1")
    assert said.code == 0
    assert said.err.splitlines()[0].startswith("without wavenet_text_ratio: 'no.txt' is no file and no data set")
    assert said.out.count("| 1 |") == 1


def test_a_text_that_is_not_there_where_nothing_else_is_asked_for(fails: Any, names: str) -> None:
    assert "'no.txt' is no file" in fails(1, "bench", names, "--only", "wavenet_text_ratio", "--text", "no.txt")


def test_what_trains_a_rival_is_measured_only_when_it_is_named(wavemore: Any) -> None:
    assert set(MEASURES) - set(USUAL) == {"transformer_ratio"}
    assert set(TEXT_MEASURES) == {"wavenet_text_ratio"}
    assert set(get_args(Key)) == {*MEASURES, *TEXT_MEASURES}
    said = " ".join(wavemore("bench", "--help").out.split())
    for key in ("transformer_ratio", "wavenet_text_ratio"):
        assert key in said
