"""The schedule, the steps of the evaluations, and the ranges of the settings."""

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
    rates = scales(Recipe(steps=100, warmup_fraction=0.1))
    assert rates[:10] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    assert rates[10:] == pytest.approx([step / 90 for step in range(90, 0, -1)])


def test_the_lectures_learning_rate_is_a_tenth_from_step_150_000() -> None:
    rates = [LECTURE.learning_rate * LECTURE.learning_rate_scale(step) for step in (0, 149_999, 150_000, 199_999)]
    assert rates == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_constant_is_constant() -> None:
    assert scales(Recipe(steps=7, schedule="constant", warmup_fraction=0.0)) == [1.0] * 7


@pytest.mark.parametrize("schedule", ["constant", "step"])
def test_the_other_schedules_warm_up_too(schedule: Any) -> None:
    assert scales(Recipe(steps=8, schedule=schedule, warmup_fraction=0.5))[:5] == pytest.approx(
        [0.25, 0.5, 0.75, 1.0, 1.0]
    )


@given(
    st.integers(1, 400), st.sampled_from(["linear", "step", "constant"]), st.floats(0, 1, exclude_max=True, width=32)
)
def test_a_scale_is_above_zero_and_at_most_one(steps: int, schedule: Any, warmup: float) -> None:
    rates = scales(Recipe(steps=steps, schedule=schedule, warmup_fraction=warmup))
    assert 0 < min(rates) <= max(rates) <= 1


@given(st.integers(1, 3_000), st.integers(1, 60))
def test_evaluations_are_evenly_spaced_and_end_with_the_last_step(steps: int, num_evals: int) -> None:
    recipe = Recipe(steps=steps, num_evals=num_evals)
    evaluated = [done for done in range(1, steps + 1) if recipe.evaluates_after(done)]
    assert len(evaluated) == min(steps, num_evals)
    assert evaluated[-1] == steps
    gaps = [later - earlier for earlier, later in zip([0, *evaluated], evaluated, strict=False)]
    assert max(gaps) - min(gaps) <= 1


@given(st.integers(1, 10**7))
def test_a_training_has_at_most_200_logged_records(steps: int) -> None:
    assert steps // Recipe(steps=steps).log_every <= 200


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optimizer", "adam"),
        ("schedule", "cosine"),
        ("sampling", "sorted"),
        ("execution", "dilated"),
        ("execution", "lines"),
        ("block_size", 0),
        ("steps", 0),
        ("batch_size", -3),
        ("batch_size", 1),
        ("num_evals", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("adamw_learning_rate", float("inf")),
        ("weight_decay", -0.5),
        ("ema_decay", 1.0),
        ("ema_decay", -0.1),
        ("warmup_fraction", 1.0),
        ("warmup_fraction", -0.1),
        ("distill_weight", 1.5),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_value_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(UsageError, match=rf"^`{setting}` is {value!r}; ") as caught:
        replace(LECTURE, **{setting: value})
    assert len(str(caught.value).splitlines()) == 1
