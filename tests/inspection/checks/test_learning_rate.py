"""The learning rate is judged by one rule; these records are made by hand."""

from typing import Any

import pytest

from wavemore.engine.recipe import HEALTHY_UPDATE_RATIO, Recipe
from wavemore.inspection.checks.learning_rate import check_training, typical_ratios


def records(ratio: float, *, steps: int = 500, train_nats: float = 2.0, val_nats: float = 2.1) -> list[dict[str, Any]]:
    """Ten records of three matrices; the one in the middle is hidden."""
    ratios = {"first": -9.0, "hidden": ratio, "last": 0.0}
    return [
        {
            "step": steps * number // 10,
            "learning_rate": 0.1,
            "train_nats": train_nats,
            "val_nats": val_nats,
            "update_ratios": ratios,
        }
        for number in range(1, 11)
    ]


def kinds(trained: list[dict[str, Any]], optimizer: Any = "adamw") -> list[str]:
    recipe = Recipe(steps=500, optimizer=optimizer)
    return [finding.kind for finding in check_training(trained, recipe, uniform_nats=3.3)]


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon"])
def test_a_healthy_ratio_has_no_finding(optimizer: Any) -> None:
    healthy = HEALTHY_UPDATE_RATIO[optimizer]
    assert kinds(records(healthy), optimizer) == (["learning rate too low"] if healthy == -3 else [])
    assert kinds(records(-1.5), optimizer) == []


def test_a_ratio_is_too_high_above_a_tenth_and_too_low_if_all_steps_move_little() -> None:
    assert kinds(records(-0.9)) == ["learning rate too high"]
    assert kinds(records(-3.1)) == ["learning rate too low"]
    assert kinds(records(-2.9)) == []
    assert kinds(records(-3.1)[:9]) == [], "the training has not ended"


def test_losses_above_uniform_and_after_the_best() -> None:
    assert kinds(records(-2.0, train_nats=3.7)) == ["learning rate too high"]
    rising = records(-2.0)
    rising[-1]["val_nats"] = 2.4
    assert kinds(rising) == ["overfitting"]


def test_records_without_ratios_and_no_records() -> None:
    for record in (without := records(-0.5)):
        del record["update_ratios"]
    assert typical_ratios(without) == {}
    assert kinds(without) == []
    assert kinds([]) == []


def test_typical_ratios_are_of_the_steps_near_the_peak() -> None:
    trained = records(-2.0)
    trained[0] |= {"learning_rate": 0.01, "update_ratios": {"hidden": -5.0}}
    assert typical_ratios(trained) == {"first": -9.0, "hidden": -2.0, "last": 0.0}
