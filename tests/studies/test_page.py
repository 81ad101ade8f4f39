"""The page shows what the record has: verdicts, gains, memorisation, tuning, failures."""

import copy
from typing import Any

import numpy as np
import pytest

from wavemore.engine.unit_losses import UnitLosses
from wavemore.studies.page import page
from wavemore.studies.record import answer, compare_arms, verdicts

FIRST = [2.00, 2.01, 2.02]
"""The test losses of the baseline, one per seed."""


def losses(loss: float, memorised: float = 0.0) -> UnitLosses:
    """The same loss on 40 lines of 5 characters, but `memorised` less on 10 of them, which are in train."""
    leak_free = np.arange(40) >= 10
    return UnitLosses((5 * (loss - memorised * ~leak_free)).astype(np.float64), np.full(40, 5), leak_free)


def arm(name: str, tests: list[float], baseline: str | None, memorised: float = 0.0, **more: Any) -> dict[str, Any]:
    runs = [
        {"seed": seed, "val_nats": test - 0.01, "test_nats": one.mean, "leak_free_test_nats": one.leak_free_mean,
         "train_nats": test - 0.1, "parameters": 1_000, "steps": 10, "seconds": 2.0, "commit": "0123456789ab"}
        for seed, test in enumerate(tests)
        for one in [losses(test, memorised)]
    ]  # fmt: skip
    comparison = None
    if baseline is not None and tests:
        sides = [losses(test) for test in FIRST], [losses(test, memorised) for test in tests]
        comparison = compare_arms(*sides, (False, False))
    return {
        "name": name, "group": "", "baseline": baseline, "settings": {}, "model": {}, "recipe": {}, "epochs": 1.5,
        "tuned": {}, "trials": [], "published": None, "runs": runs, "comparison": comparison, **more,
    }  # fmt: skip


RECORD: dict[str, Any] = {
    "format": 2,
    "name": "example",
    "question": "Which?",
    "expected": "The second.",
    "source": "",
    "measure": [],
    "data": {
        "name": "names", "sha256": "0", "split_method": "lecture", "split_seed": 0, "train_lines": 80, "val_lines": 10,
        "test_lines": 40, "val_targets": 70, "test_targets": 200, "leak_free_test_targets": 150,
    },
    "seeds": [0, 1, 2],
    "tune_seeds": [1000],
    "arms": [
        arm("one", FIRST, None),
        arm("two", [1.90, 1.91, 1.92], "one"),
        arm("three", [2.00, 2.02, 2.01], "one"),
        arm("four", [2.10, 2.11, 2.12], "one"),
    ],
    "environment": {"cpu": "a processor", "torch": "2.13", "commit": "abc"},
    "jobs": 2,
    "training_seconds": 24.0,
}  # fmt: skip


def test_an_arm_is_better_worse_or_not_significantly_different() -> None:
    found = verdicts(RECORD)
    assert {name: verdict.verdict for name, verdict in found.items()} == {
        "two": "better", "three": "no significant difference", "four": "worse",
    }  # fmt: skip
    assert str(found["two"]) == (
        "two is better than one by 0.1000 nats per character (95 % interval +0.0773 to +0.1227, p = 0.0008, "
        "3 seeds each)."
    )
    assert str(found["three"]).startswith("three and one: no significant difference (gain +0.0000 nats per character,")
    assert str(found["four"]).startswith("four is worse than one by 0.1000 nats per character")
    assert found["two"].outcome is not None
    assert found["two"].outcome.p is not None
    assert found["two"].p == pytest.approx(3 * found["two"].outcome.p), "three comparisons"


def test_more_comparisons_need_a_lower_p_value() -> None:
    """A difference with p = 0.03 is significant alone, but not among ten others."""
    close = arm("close", [1.976, 1.986, 1.99], "one")
    alone = {**RECORD, "arms": [RECORD["arms"][0], close]}
    verdict = verdicts(alone)["close"]
    assert verdict.p is not None
    assert 0.01 < verdict.p < 0.05
    assert verdict.verdict == "better"
    among = {**alone, "arms": [*alone["arms"], *(arm(f"same {n}", [2.0, 2.01, 2.03], "one") for n in range(10))]}
    assert not verdicts(among)["close"].significant


def test_the_page_has_the_question_the_answer_and_every_arm() -> None:
    text = page(RECORD, ["example-1.svg"])
    assert text.startswith("# Which?\n")
    assert "**Expected before it was run:** The second." in text
    assert "![Which?](example-1.svg)" in text
    assert (
        "| two | 1,000 | 1.5 | 1.8100 ± 0.0100 | 1.9000 ± 0.0100 | 1.9100 ± 0.0100 | 1.9100 ± 0.0100 "
        "| +0.1000 (+0.0773 to +0.1227) |" in text
    )
    assert "- Lowest test loss of all: two, 1.9100 ± 0.0100.\n" in text
    assert "Nothing was tuned" in text
    assert "commit 0123456789ab; 24 s of training" in text
    assert "## Memorisation" not in text


def test_published_losses_are_beside_the_measured_ones() -> None:
    record = copy.deepcopy(RECORD)
    record["arms"][1]["published"] = {"val": 1.89, "train": None}
    assert "| published train | published val | val minus published |" in page(record)
    assert "|  | 1.890 | +0.0100 |" in page(record)


def test_memorisation_is_the_part_of_a_gain_that_is_lost_on_leak_free_test() -> None:
    record = {**copy.deepcopy(RECORD), "measure": ["memorisation"]}
    record["arms"][1] = arm("two", [1.94, 1.95, 1.96], "one", memorised=0.16)  # a quarter of the lines: 0.04 of 0.1
    text = page(record)
    [row] = [line for line in text.splitlines() if line.startswith("| two and one |")]
    assert row.startswith("| two and one | +0.1000 | +0.0600 | +0.0400 (+0.0")
    assert row.endswith("| 40 % |")
    assert "| three and one | +0.0000 | +0.0000 | +0.0000 (+0.0000 to +0.0000) | no significant gain |" in text
    assert "50 of 200 test characters" in text


def test_trials_and_failures() -> None:
    record = copy.deepcopy(RECORD)
    record["arms"][1] |= {
        "tuned": {"learning_rate": 0.3},
        "trials": [
            {"settings": {"learning_rate": rate}, "val_nats": val}
            for rate, val in ((0.1, 2.0), (0.2, None), (0.3, 1.9))
        ],
    }
    record["arms"][2]["runs"][0] = {"seed": 0, "failed": "the loss is nan at step 3", "seconds": 0.1}
    text = page(record)
    assert "| two | learning rate 0.3 | 1.9000 | 2.0000 | 1 | learning rate |" in text
    assert "Failed: three, seed 0: the loss is nan at step 3." in text


def test_an_arm_that_always_failed_has_no_verdict() -> None:
    record = copy.deepcopy(RECORD)
    record["arms"][3] = {**arm("four", [], "one"), "runs": [{"seed": 0, "failed": "the loss is nan", "seconds": 0.1}]}
    assert "| four |  | 1.5 |  | failed |" in page(record)
    [sentence] = [sentence for sentence in answer(record) if sentence.startswith("four and one: no verdict")]
    assert "no finished seed with a test loss" in sentence


def test_names_are_text_and_not_markup() -> None:
    record = {**RECORD, "arms": [arm("a|b *c* <i>", FIRST, None), arm("d", [2.0, 2.1], "a|b *c* <i>")]}
    assert "| a\\|b \\*c\\* \\<i\\> |" in page(record)
