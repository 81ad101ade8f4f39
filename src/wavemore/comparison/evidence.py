"""The evidence for every verdict of `compare`, `log` and `study`: is B better than A, beyond chance?

Other seeds would give other models, and other lines would give other losses. The squares of both standard errors of the
difference B - A are added: those of the seeds of A and of B, and that of the units of the data (see `Part.units`),
paired, as both sides predict the same ones. A t-test with Welch-Satterthwaite degrees of freedom gives one interval and
one p. An n-gram model is counted: it is the same for every seed, so it has no error of seeds.

S seeds, U units.

Papers: Satterthwaite, An approximate distribution of estimates of variance components,
https://doi.org/10.2307/3002019; for the sum of both errors, Owen, The pigeonhole bootstrap,
https://doi.org/10.1214/07-AOAS122
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import variance

import numpy as np
from numpy.typing import NDArray

from wavemore.comparison.statistics import Error, Interval, mean_std, t_test
from wavemore.comparison.verdict import MIN_UNITS, Outcome
from wavemore.errors import RunError

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SideLosses:
    """The nats of each unit under one recipe, one row per seed: (S, U)."""

    nats: Array
    counted: bool = False
    """Whether the model is counted and not trained, so that all seeds are equal."""


def judge(a: SideLosses, b: SideLosses, targets: Array) -> Outcome:
    """Compare two sides on units with `targets` targets each, (U,); units without targets do not count.

    Raises `RunError` for a loss that is not finite.

    >>> units = np.arange(30.0)
    >>> a, b = SideLosses(np.stack([units + 3.0, units + 3.1])), SideLosses(np.stack([units + 2.0, units + 2.1]))
    >>> judge(a, b, np.full(30, 2.0)).verdict
    'B is better by 0.5000 nats per character (95 % interval 0.3479 to 0.6521, p = 0.0050, 2 seeds each)'
    """
    total = targets.sum()
    values = [(side.nats.sum(axis=1) / total).tolist() for side in (a, b)]
    if not all(isfinite(value) for side in values for value in side):
        raise RunError("a loss is not finite, so the two cannot be compared: train that side again")
    influence = unit_influence(b.nats.mean(axis=0) - a.nats.mean(axis=0), targets)
    return _outcome(values, influence[targets > 0], int(total), (a.counted, b.counted))


def judge_excess(a: SideLosses, b: SideLosses, targets: Array, some: NDArray[np.bool_]) -> Outcome:
    """Compare how much lower the loss on all units is than that on some of them, (U,); all losses are finite."""
    total, part = targets.sum(), (targets * some).sum()
    values = [(side.nats.sum(axis=1) / total - (side.nats @ some) / part).tolist() for side in (a, b)]
    difference = b.nats.mean(axis=0) - a.nats.mean(axis=0)
    influence = unit_influence(difference, targets) - unit_influence(difference * some, targets * some)
    return _outcome(values, influence, int(total), (a.counted, b.counted))


def unit_influence(difference: Array, targets: Array) -> Array:
    """How far each unit moves the difference per target away from its mean: (U,) each, the sum is zero."""
    total = targets.sum()
    influence: Array = (difference - targets * (difference.sum() / total)) / total
    return influence


def units_interval(difference: Array, targets: Array) -> Interval | None:
    """Interval over units of a difference per target, for these models; None for fewer than `MIN_UNITS` units."""
    error = _units_error(unit_influence(difference, targets)[targets > 0])
    if error is None:
        return None
    return t_test(float(difference.sum() / targets.sum()), [error]).interval


def _units_error(influence: Array) -> Error | None:
    count = len(influence)
    return Error(count / (count - 1) * float((influence**2).sum()), count - 1) if count >= MIN_UNITS else None


def _outcome(
    values: Sequence[Sequence[float]], influence: Array, num_targets: int, counted: tuple[bool, bool]
) -> Outcome:
    """The outcome from one figure per seed of A and of B, and the influence of each unit on their difference."""
    sides = [side[:1] if is_counted else side for side, is_counted in zip(values, counted, strict=True)]
    a, b = map(mean_std, sides)
    difference = b.mean - a.mean
    trained = [side for side, is_counted in zip(sides, counted, strict=True) if not is_counted]
    units = _units_error(influence)
    seeds = None
    if all(len(side) > 1 for side in trained):
        seeds = [Error(variance(side) / len(side), len(side) - 1) for side in trained]
    test = None if units is None or seeds is None else t_test(difference, [*seeds, units])
    return Outcome(
        num_targets=num_targets,
        num_units=len(influence),
        a=a,
        b=b,
        counted=counted,
        difference=difference,
        interval=test.interval if test else None,
        p=test.p if test else None,
        seeds=t_test(difference, seeds).interval if seeds else None,
        units=t_test(difference, [units]).interval if units else None,
    )
