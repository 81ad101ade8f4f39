"""Checks of a training by its records: was the learning rate too high or too low, and was the best model early?

The update ratio is log10 of std(update) / std(weight) of a matrix in one step. The limits are for the hidden matrices,
those between the first and the last; `HEALTHY_UPDATE_RATIO` is the rule of thumb that the messages give.
"""

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from wavemore.engine.recipe import HEALTHY_UPDATE_RATIO, Recipe
from wavemore.inspection.finding import Finding

Records = Sequence[Mapping[str, Any]]

MAX_RATIO = -1.0
"""With any optimizer, weights do not settle if each step moves them by more than a tenth of their size."""
MIN_MOVED = 0.5
"""All steps together must move the weights by at least half of their size; good runs move them at least 0.85."""
MAX_ABOVE_UNIFORM = 0.3
"""Nats by which the train loss may exceed ln V after the first quarter of the training."""
MAX_ABOVE_BEST = 0.2
"""Nats by which the last val loss may exceed the best one."""


def typical_ratios(records: Records) -> dict[str, float]:
    """Median update ratio of each matrix, by name, in the steps with at least half of the peak learning rate."""
    logged = [record for record in records if record.get("update_ratios")]
    peak = max((record["learning_rate"] for record in logged), default=0.0)
    ratios: dict[str, list[float]] = {}
    for record in logged:
        if record["learning_rate"] >= peak / 2:
            for name, ratio in record["update_ratios"].items():
                ratios.setdefault(name, []).append(ratio)
    return {name: median(values) for name, values in ratios.items()}


def check_training(records: Records, recipe: Recipe, uniform_nats: float) -> Iterator[Finding]:
    """Find a wrong learning rate, and a val loss that has risen after its best."""
    if not records:
        return
    ratios, rate = typical_ratios(records), recipe.learning_rate
    hidden = list(ratios)[1:-1] or list(ratios)
    ratio = median(ratios[name] for name in hidden) if ratios else None
    healthy = f"about {_size(HEALTHY_UPDATE_RATIO[recipe.optimizer])} is healthy"
    highest = max(record["train_nats"] for record in records[len(records) // 4 :])
    too_high = ""
    if highest > uniform_nats + MAX_ABOVE_UNIFORM:
        too_high = f"the train loss rose to {highest:.2f} nats; equal probabilities would give {uniform_nats:.2f}"
    elif ratio is not None and ratio > MAX_RATIO:
        too_high = f"a typical step moves the hidden weights by {_size(ratio)}; {healthy}"
    if too_high:
        decay = f", or less `weight_decay` than {recipe.weight_decay:g}" if recipe.weight_decay else ""
        yield Finding(
            "learning rate too high",
            f"{too_high}. The weights do not settle: use a lower `learning_rate` than {rate:g}, such as {rate / 10:g}"
            f"{decay}",
            recipe.optimizer,
        )
    elif ratio is not None and records[-1]["step"] >= recipe.steps:
        moved = _hidden_movement(records, hidden)
        if moved < MIN_MOVED:
            yield Finding(
                "learning rate too low",
                f"a typical step moves the hidden weights by {_size(ratio)}, and all {recipe.steps:,} steps together "
                f"by at most {moved:.2g} times their size; {healthy}. They stay close to their random start: "
                f"use a higher `learning_rate` than {rate:g}, such as {rate * 10:g}, or more `steps`",
                recipe.optimizer,
            )
    vals = [(record["val_nats"], record["step"]) for record in records if record.get("val_nats") is not None]
    if vals and vals[-1][0] - min(vals)[0] > MAX_ABOVE_BEST:
        best, step = min(vals)
        yield Finding(
            "overfitting",
            f"the val loss was lowest after step {step:,} with {best:.3f} nats (the best checkpoint) and is "
            f"{vals[-1][0]:.3f} at the end, with a train loss of {records[-1]['train_nats']:.3f}: the model memorises "
            "train; use fewer `epochs`, more `weight_decay` or a smaller model",
        )


def _hidden_movement(records: Records, hidden: Sequence[str]) -> float:
    """Sum of update / weight over all steps: as far as the hidden matrices can have moved, relative to their size."""
    moved, previous = 0.0, 0
    for record in records:
        ratios = [ratio for name, ratio in (record.get("update_ratios") or {}).items() if name in hidden]
        if ratios:
            moved += 10 ** median(ratios) * (record["step"] - previous)
            previous = record["step"]
    return moved


def _size(ratio: float) -> str:
    """An update ratio in words."""
    return f"{10**ratio:.2g} of their size (log10 {ratio:.1f})"
