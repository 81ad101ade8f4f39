"""The schedule, the places of the evaluations, and the ranges of the settings."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.engine.recipe import LECTURE, Recipe
from wavemore.errors import UsageError


def scales(recipe: Recipe) -> list[float]:
    return [recipe.learning_rate_scale(step) for step in range(recipe.steps)]


def test_linear_rises_to_one_and_falls_to_nearly_zero() -> None:
    found = scales(Recipe(steps=100, warmup=0.1))
    assert found[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert found[10:] == pytest.approx([step / 90 for step in range(90, 0, -1)])


def test_the_lectures_rate_is_a_tenth_from_step_150_000() -> None:
    rates = [LECTURE.learning_rate * LECTURE.learning_rate_scale(step) for step in (0, 149_999, 150_000, 199_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_constant_stays() -> None:
    assert scales(Recipe(steps=7, schedule="constant", warmup=0.0)) == [1.0] * 7


@pytest.mark.parametrize("schedule", ["constant", "step"])
def test_the_other_schedules_warm_up_too(schedule: Any) -> None:
    assert scales(Recipe(steps=8, schedule=schedule, warmup=0.5))[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


@given(
    st.integers(1, 400), st.sampled_from(["linear", "step", "constant"]), st.floats(0, 1, exclude_max=True, width=32)
)
def test_a_scale_is_above_zero_and_at_most_one(steps: int, schedule: Any, warmup: float) -> None:
    found = scales(Recipe(steps=steps, schedule=schedule, warmup=warmup))
    assert 0 < min(found) <= max(found) <= 1


@given(st.integers(1, 3_000), st.integers(1, 60))
def test_evaluations_are_spread_evenly_and_end_with_the_last_step(steps: int, evaluations: int) -> None:
    recipe = Recipe(steps=steps, evaluations=evaluations)
    taken = [done for done in range(1, steps + 1) if recipe.evaluates_after(done)]
    assert len(taken) == min(steps, evaluations)
    assert taken[-1] == steps
    gaps = [later - earlier for earlier, later in zip([0, *taken], taken, strict=False)]
    assert max(gaps) - min(gaps) <= 1


@given(st.integers(1, 10**7))
def test_a_training_has_at_most_200_records_of_its_train_loss(steps: int) -> None:
    assert steps // Recipe(steps=steps).log_every <= 200


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optimizer", "adam"),
        ("schedule", "cosine"),
        ("order", "sorted"),
        ("execution", "dilated"),
        ("steps", 0),
        ("batch_size", -3),
        ("evaluations", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("rest_learning_rate", float("inf")),
        ("weight_decay", -0.5),
        ("average", 1.0),
        ("average", -0.1),
        ("warmup", 1.0),
        ("warmup", -0.1),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_value_outside_its_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^{setting} is {value!r}; ") as caught:
        replace(LECTURE, **{setting: value})
    assert len(str(caught.value).splitlines()) == 1
