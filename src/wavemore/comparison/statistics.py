"""Statistics over seeds: mean and standard deviation, and the difference between two recipes with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

LEVEL = 0.95
"""Confidence level of every interval here."""


@dataclass(frozen=True)
class MeanStd:
    """Mean and standard deviation over n seeds; the deviation is None for one seed."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.std is None else f"{self.mean:.4f} ± {self.std:.4f}"


def mean_std(values: Sequence[float]) -> MeanStd:
    """Mean and standard deviation of a sample (divided by n - 1).

    >>> str(mean_std([1.0, 2.0, 3.0])), str(mean_std([1.0]))
    ('2.0000 ± 1.0000', '1.0000')
    """
    return MeanStd(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.low:+.4f} to {self.high:+.4f}"

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends have the same sign."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class SeedsTest(Interval):
    """The difference of two means over seeds, b - a, with its interval: below 0, b's loss is lower."""

    difference: float
    p: float
    """Probability of a difference this large if the two means are equal."""


def welch(a: Sequence[float], b: Sequence[float]) -> SeedsTest | None:
    """Welch's t-test of two recipes by their seeds' losses; None if one of them has a single seed.

    The seeds are not paired: seed 3 of one model has nothing in common with seed 3 of another.

    >>> test = welch([2.01, 2.02, 2.03], [1.97, 1.98, 1.96])
    >>> round(test.difference, 3), test.excludes_zero
    (-0.05, True)

    Paper: Welch, The generalization of "Student's" problem, https://doi.org/10.1093/biomet/34.1-2.28
    """
    if min(len(a), len(b)) < 2:
        return None
    from scipy.stats import t

    difference = fmean(b) - fmean(a)
    va, vb = variance(a) / len(a), variance(b) / len(b)
    if va + vb == 0:
        return SeedsTest(difference, difference, difference, p=1.0 if difference == 0 else 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    error = (va + vb) ** 0.5
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * t.sf(abs(difference) / error, freedom))
    return SeedsTest(difference - half, difference + half, difference, p)


def half_interval(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval of a mean over seeds, by Student's t; None for one seed.

    >>> round(half_interval([1.0, 2.0, 3.0]), 3), half_interval([1.0])
    (2.484, None)
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, len(values) - 1) * stdev(values) / len(values) ** 0.5)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for several tests: at level 0.05, the chance of any false positive among them is 5 %.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Paper: Holm, A simple sequentially rejective multiple test procedure, https://www.jstor.org/stable/4615733
    """
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted
