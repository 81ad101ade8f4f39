"""The page says what the record says: verdicts, gains, memory, tuning, failures."""

import copy
from typing import Any

import pytest

from wavemore.studies.page import comparisons, page, table


def arm(name: str, vals: list[float], against: str | None, **more: Any) -> dict[str, Any]:
    runs = [
        {"seed": s, "val_nats": v, "leak_free_val_nats": v + 0.01, "train_nats": v - 0.1, "parameters": 1_000,
         "steps": 10, "seconds": 2.0, "commit": "0123456789ab"}
        for s, v in enumerate(vals)
    ]  # fmt: skip
    return {
        "name": name, "group": "", "against": against, "settings": {}, "model": {}, "recipe": {}, "epochs": 1.5,
        "tuned": {}, "tries": [], "published": None, "runs": runs, **more,
    }  # fmt: skip


RECORD: dict[str, Any] = {
    "format": 1,
    "name": "example",
    "question": "Which?",
    "expected": "The second.",
    "source": "",
    "measure": [],
    "data": {
        "name": "names", "sha256": "0", "split": "lecture", "split_seed": 0, "train_lines": 80, "val_lines": 10,
        "val_targets": 70, "leak_free_val_targets": 60,
    },
    "seeds": [0, 1, 2],
    "tune_seeds": [1000],
    "arms": [
        arm("one", [2.00, 2.01, 2.02], None),
        arm("two", [1.90, 1.91, 1.92], "one"),
        arm("three", [2.00, 2.02, 2.01], "one"),
        arm("four", [2.10, 2.11, 2.12], "one"),
    ],
    "environment": {"cpu": "a processor", "torch": "2.13", "commit": "abc"},
    "jobs": 2,
    "training_seconds": 24.0,
}  # fmt: skip


def test_a_verdict_is_better_worse_or_not_shown() -> None:
    found = comparisons(RECORD)
    assert {name: comparison.verdict for name, comparison in found.items()} == {
        "two": "better", "three": "not shown", "four": "worse",
    }  # fmt: skip
    assert str(found["two"]).startswith(
        "two is better than one by 0.1000 nats (95 % interval +0.0773 to +0.1227, 3 seeds"
    )
    assert "not shown (gain +0.0000 nats" in str(found["three"])
    assert str(found["four"]).startswith("four is worse than one by 0.1000 nats")
    assert found["two"].test is not None
    assert found["two"].p == pytest.approx(3 * found["two"].test.p), "three looks"


def test_many_looks_make_a_verdict_harder() -> None:
    """One difference with p = 0.03 is shown alone, and is not among ten others."""
    close = arm("close", [1.976, 1.986, 1.99], "one")
    alone = {**RECORD, "arms": [RECORD["arms"][0], close]}
    test = comparisons(alone)["close"]
    assert test.test is not None
    assert 0.01 < test.test.p < 0.05
    assert test.verdict == "better"
    among = {**alone, "arms": [*alone["arms"], *(arm(f"same {n}", [2.0, 2.01, 2.03], "one") for n in range(10))]}
    assert comparisons(among)["close"].verdict == "not shown"


def test_the_page_holds_the_question_the_answer_and_every_arm() -> None:
    text = page(RECORD, ["example-1.svg"])
    assert text.startswith("# Which?\n")
    assert "**Expected before it was run:** The second." in text
    assert "![Which?](example-1.svg)" in text
    assert (
        "| two | 1,000 | 1.5 | 1.8100 ± 0.0100 | 1.9100 ± 0.0100 | 1.9200 ± 0.0100 | +0.1000 (+0.0773 to +0.1227) |"
        in text
    )
    assert "Lowest of all: two, val 1.9100 ± 0.0100" in text
    assert "Nothing was tuned" in text
    assert "commit 0123456789ab; 24 s of training" in text
    assert "## Memory" not in text


def test_published_figures_stand_beside_the_measured_ones() -> None:
    record = copy.deepcopy(RECORD)
    record["arms"][1]["published"] = {"val": 1.9, "train": None}
    assert "| published train | published val | val less published |" in page(record)
    assert "|  | 1.900 | +0.0100 |" in page(record)


def test_memory_is_what_a_gain_has_more_on_val_than_on_leak_free_val() -> None:
    record = {**copy.deepcopy(RECORD), "measure": ["memory"]}
    for run in record["arms"][1]["runs"]:
        run["leak_free_val_nats"] = run["val_nats"] + 0.05  # of the gain of 0.1, 0.04 are gone
    text = page(record)
    assert "| two against one | +0.1000 | +0.0600 | +0.0400 (+0.0400 to +0.0400) | 40 % |" in text
    assert "| three against one | +0.0000 | +0.0000 | +0.0000 (+0.0000 to +0.0000) | no gain shown |" in text
    assert "10 of 70 val characters" in text


def test_what_was_tried_and_what_failed_is_told() -> None:
    record = copy.deepcopy(RECORD)
    record["arms"][1] |= {
        "tuned": {"learning_rate": 0.3},
        "tries": [
            {"settings": {"learning_rate": rate}, "val_nats": val}
            for rate, val in ((0.1, 2.0), (0.2, None), (0.3, 1.9))
        ],
    }
    record["arms"][2]["runs"][0] = {"seed": 0, "failed": "the loss is nan at step 3", "seconds": 0.1}
    text = page(record)
    assert "| two | learning rate 0.3 | 1.9000 | 2.0000 | 1 | learning rate |" in text
    assert "Failed: three, seed 0: the loss is nan at step 3." in text
    assert comparisons(record)["three"].seeds == (2, 3)


def test_an_arm_that_always_failed_has_no_verdict() -> None:
    record = copy.deepcopy(RECORD)
    for run in record["arms"][3]["runs"]:
        del run["val_nats"], run["train_nats"], run["leak_free_val_nats"], run["parameters"]
        run["failed"] = "the loss is nan"
    text = page(record)
    assert "| four |  | 1.5 |  | failed |" in text
    assert "four against one: not shown" in text


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert table(["a"], [["x|y"]]).splitlines()[-1] == "| x\\|y |"
