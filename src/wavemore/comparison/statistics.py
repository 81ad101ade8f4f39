"""Statistics: mean and standard deviation over seeds, the t-test of an estimate with several errors, Holm's method."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance
from typing import NamedTuple

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

    @property
    def width(self) -> float:
        """The distance of its ends."""
        return self.high - self.low


class Error(NamedTuple):
    """One source of chance in an estimate: the variance that it gives the estimate, and its degrees of freedom."""

    variance: float
    freedom: int


@dataclass(frozen=True)
class TTest:
    """An estimate with its 95 % interval, and the p-value of the hypothesis that it is zero."""

    estimate: float
    interval: Interval
    p: float


def t_test(estimate: float, errors: Sequence[Error]) -> TTest:
    """A t-test of an estimate whose errors add up; Welch's test if they are those of two means.

    The degrees of freedom are those of Welch and Satterthwaite. Without errors, the interval is a point.

    >>> test = t_test(-0.05, [Error(0.0001 / 3, 2), Error(0.0001 / 3, 2)])
    >>> str(test.interval), round(test.p, 4)
    ('-0.0727 to -0.0273', 0.0036)

    Paper: Welch, The generalization of "Student's" problem, https://doi.org/10.1093/biomet/34.1-2.28
    """
    from scipy.special import stdtr, stdtrit

    variance = sum(error.variance for error in errors)
    if variance == 0:
        return TTest(estimate, Interval(estimate, estimate), p=1.0 if estimate == 0 else 0.0)
    freedom = 1 / sum((error.variance / variance) ** 2 / error.freedom for error in errors)
    half = float(stdtrit(freedom, (1 + LEVEL) / 2)) * variance**0.5
    p = float(2 * stdtr(freedom, -abs(estimate) / variance**0.5))
    return TTest(estimate, Interval(estimate - half, estimate + half), p)


def half_interval(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval of a mean over seeds, by Student's t; None for one seed.

    >>> round(half_interval([1.0, 2.0, 3.0]), 3), half_interval([1.0])
    (2.484, None)
    """
    if len(values) < 2:
        return None
    return t_test(0.0, [Error(variance(values) / len(values), len(values) - 1)]).interval.high


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
