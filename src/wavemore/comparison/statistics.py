"""What several seeds say: mean and standard deviation, and the difference between two recipes with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

LEVEL = 0.95
"""Of every interval here: it holds the truth in 95 of 100 cases."""


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over n seeds; the deviation is None for one seed."""

    mean: float
    std: float | None
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f}" if self.std is None else f"{self.mean:.4f} ± {self.std:.4f}"


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation (of a sample: by n - 1).

    >>> str(spread([1.0, 2.0, 3.0])), str(spread([1.0]))
    ('2.0000 ± 1.0000', '1.0000')
    """
    return Spread(fmean(values), stdev(values) if len(values) > 1 else None, len(values))


@dataclass(frozen=True)
class SeedsTest:
    """The difference of two means over seeds, b - a: below 0, b's loss is lower."""

    difference: float
    low: float
    """Lower end of the 95 % interval."""
    high: float
    p: float
    """How often chance alone gives a difference so large, where there is none."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.p < 1 - LEVEL


def welch(a: Sequence[float], b: Sequence[float]) -> SeedsTest | None:
    """Welch's t-test of two recipes by their seeds' losses; None where one of them has a single seed.

    The seeds are not paired: seed 3 of one model has nothing in common with seed 3 of another.

    >>> test = welch([2.01, 2.02, 2.03], [1.97, 1.98, 1.96])
    >>> round(test.difference, 3), test.shown
    (-0.05, True)

    Paper: Welch, The generalization of "Student's" problem, https://doi.org/10.1093/biomet/34.1-2.28
    """
    if min(len(a), len(b)) < 2:
        return None
    from scipy.stats import t

    difference = fmean(b) - fmean(a)
    va, vb = variance(a) / len(a), variance(b) / len(b)
    if va + vb == 0:
        return SeedsTest(difference, difference, difference, 1.0 if difference == 0 else 0.0)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    error = (va + vb) ** 0.5
    half = float(t.ppf((1 + LEVEL) / 2, freedom)) * error
    p = float(2 * t.sf(abs(difference) / error, freedom))
    return SeedsTest(difference, difference - half, difference + half, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for looking at several differences at once: a verdict on each, 5 % wrong among all.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

    Paper: Holm, A simple sequentially rejective multiple test procedure, https://www.jstor.org/stable/4615733
    """
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted
