"""How far a mean over the evaluated lines would move with other lines of the same kind: the bootstrap.

L lines, K figures, each a ratio of two sums over lines, such as nats by targets.

Paper: Efron, Bootstrap methods: another look at the jackknife, https://doi.org/10.1214/aos/1176344552
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavemore.comparison.statistics import LEVEL

RESAMPLES = 10_000
FEWEST = 20
"""Lines below which there is no interval: so few say too little about others."""

_UNITS = 5_000
_CHUNK = 1 << 21


@dataclass(frozen=True)
class Interval:
    """A 95 % interval."""

    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether both ends have the same sign."""
        return self.low > 0 or self.high < 0


def ratio_intervals(above: NDArray[np.float64], below: NDArray[np.float64], seed: int = 0) -> list[Interval | None]:
    """Percentile intervals of sums of `above` by sums of `below`, (L, K) each: lines are drawn with replacement.

    All figures are taken from the same 10,000 draws. More than 5,000 lines are drawn in as many random bundles: the
    spread of the sums is the same. A figure to which fewer than 20 lines contribute has no interval.

    >>> nats, targets = np.ones((30, 1)), np.full((30, 1), 2.0)
    >>> ratio_intervals(nats, targets)
    [Interval(low=0.5, high=0.5)]
    """
    lines = np.count_nonzero(below, axis=0)
    random = np.random.default_rng(seed)
    sums = np.concatenate([above, below], axis=1)  # (L, 2K)
    if len(sums) > _UNITS:
        bounds = np.linspace(0, len(sums), _UNITS, endpoint=False).astype(np.int64)
        sums = np.add.reduceat(sums[random.permutation(len(sums))], bounds)
    units = len(sums)
    rows = max(1, _CHUNK // max(1, units))
    drawn = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        picked = random.integers(units, size=(count, units)) + np.arange(count)[:, None] * units
        times = np.bincount(picked.ravel(), minlength=count * units).reshape(count, units)  # how often each is drawn
        drawn.append(times.astype(np.float64) @ sums)
    totals = np.concatenate(drawn)  # (resamples, 2K)
    tail = (1 - LEVEL) / 2
    intervals: list[Interval | None] = []
    for figure, count in enumerate(lines):
        if count < FEWEST:
            intervals.append(None)
            continue
        divisors = totals[:, above.shape[1] + figure]
        there = divisors > 0  # a draw may hold no line of a rare kind
        low, high = np.quantile(totals[there, figure] / divisors[there], [tail, 1 - tail])
        intervals.append(Interval(float(low), float(high)))
    return intervals
