import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_json(wavemore: Any, run: Path) -> None:
    summary = Run(run).summary()
    assert summary is not None
    record = strict(wavemore("evaluate", "--json").out)
    assert record["val_nats"] == pytest.approx(summary.val_nats)
    assert record["leak_free_val_nats"] == pytest.approx(summary.val_nats)
    assert record["parameters"] == summary.parameters
    assert not [key for key in record if "test" in key or "train" in key]
    record = strict(wavemore("evaluate", "done", "--test", "--train", "--json").out)
    assert record["test_nats"] > 0
    assert record["leak_free_test_nats"] > 0
    assert record["train_nats"] == pytest.approx(summary.train_nats)


def test_a_list_whose_val_lines_are_all_in_train(wavemore: Any, folder: Path) -> None:
    (folder / "same.txt").write_text("anna\n" * 30)
    words = ["--split-method", "lecture", "--steps", "4", "--hidden", "8", "--threads", "1"]
    summary = strict(wavemore("train", "same.txt", *words, "--json").out)
    assert summary["leak_free_val_nats"] is None
    assert strict(wavemore("evaluate", "--json").out)["leak_free_val_nats"] is None
    assert "all of these lines are also in train" in wavemore("evaluate").out
    assert strict(wavemore("log", "--json").out)[0]["leak_free_val_nats"] is None


def test_words(wavemore: Any, run: Path) -> None:
    output = wavemore("evaluate", "--test").out
    assert output.startswith("runs/done: ")
    assert "   val: " in output
    assert "  test: " in output
    rows = output[output.index("\nposition ") + 1 :].splitlines()
    assert rows[0].split() == ["position", "val", "test"]
    record = strict(wavemore("evaluate", "--test", "--json").out)
    longest = max(len(record[f"{part}_nats_by_position"]) for part in ("val", "test"))
    assert [row.split()[0] for row in rows[1:]] == [str(position + 1) for position in range(longest)]


def test_data_that_changed_or_is_gone(fails: Callable[..., str], run: Path, folder: Path) -> None:
    config = (run / "config.json").read_text()
    source = Run(run).config.data.source
    (folder / "list.txt").write_text(Path(source).read_text() + "zoe\n")
    (run / "config.json").write_text(config.replace(source, str(folder / "list.txt")))
    (run / "summary.json").unlink()
    for words in (["evaluate"], ["train", "--resume"]):
        message = fails(1, *words)
        assert "list.txt is not the file that the run began with: it has " in message
        assert message.endswith("; put the right file there, or give its path as --data")
    (folder / "list.txt").unlink()
    for words in (["evaluate"], ["train", "--resume"]):
        assert "the data of runs/done cannot be read: " in fails(1, *words)


def test_several_runs_are_averaged(wavemore: Any, names: str) -> None:
    for name, seed in (("one", "0"), ("two", "1")):
        assert wavemore("train", names, *TINY, "--run", name, "--steps", "60", "--seed", seed).code == 0
    alone = [strict(wavemore("evaluate", name, "--json").out)["val_nats"] for name in ("one", "two")]
    same = strict(wavemore("evaluate", "one", "--ensemble", "one", "one", "--json").out)
    assert same["val_nats"] == pytest.approx(alone[0])
    both = strict(wavemore("evaluate", "one", "--ensemble", "two", "--json").out)
    assert both["val_nats"] < sum(alone) / 2  # the mean of probabilities, not of their logarithms
    assert both["ensemble"] == ["two"]


def test_runs_on_other_data_are_not_averaged(wavemore: Any, names: str) -> None:
    for name, seed in (("one", "0"), ("two", "1")):
        assert wavemore("train", names, *TINY, "--run", name, "--steps", "2", "--split-seed", seed).code == 0
    result = wavemore("evaluate", "one", "--ensemble", "two")
    assert result.code == 2
    assert "two has different data from one: split distinct, seed 0 and distinct, seed 1" in result.err
