"""The bootstrap: how much a mean over the evaluated lines would change with other lines of the same kind.

L lines, K figures, each a ratio of two sums over lines, such as nats per target.

Paper: Efron, Bootstrap methods: another look at the jackknife, https://doi.org/10.1214/aos/1176344552
"""

import numpy as np
from numpy.typing import NDArray

from wavemore.comparison.statistics import LEVEL, Interval

RESAMPLES = 10_000
MIN_LINES = 20
"""With fewer lines there is no interval: they say too little about other lines."""

MAX_UNITS = 5_000
"""Above this number, lines are resampled in bundles."""
CHUNK_SIZE = 1 << 21
"""Indices drawn at once."""


def ratio_intervals(
    numerators: NDArray[np.float64], denominators: NDArray[np.float64], seed: int = 0
) -> list[Interval | None]:
    """Percentile intervals of K ratios of sums over lines, (L, K) each: lines are drawn with replacement.

    All figures share the same 10,000 resamples. More than 5,000 lines are drawn in 5,000 random bundles, which keeps
    the variance of the sums. A figure to which fewer than 20 lines contribute has no interval.

    >>> nats, targets = np.ones((30, 1)), np.full((30, 1), 2.0)
    >>> ratio_intervals(nats, targets)
    [Interval(low=0.5, high=0.5)]
    """
    random = np.random.default_rng(seed)
    sums = np.concatenate([numerators, denominators], axis=1)  # (L, 2K)
    if len(sums) > MAX_UNITS:
        bounds = np.linspace(0, len(sums), MAX_UNITS, endpoint=False).astype(np.int64)
        sums = np.add.reduceat(sums[random.permutation(len(sums))], bounds)
    totals = _resampled_totals(sums, random)  # (resamples, 2K)
    tail = (1 - LEVEL) / 2
    intervals: list[Interval | None] = []
    for figure, lines in enumerate(np.count_nonzero(denominators, axis=0)):
        if lines < MIN_LINES:
            intervals.append(None)
            continue
        divisors = totals[:, numerators.shape[1] + figure]
        positive = divisors > 0  # a resample may hold no line of a rare kind
        low, high = np.quantile(totals[positive, figure] / divisors[positive], [tail, 1 - tail])
        intervals.append(Interval(float(low), float(high)))
    return intervals


def _resampled_totals(sums: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.float64]:
    """Totals of the rows of `sums` (U, 2K) over each resample: (resamples, 2K)."""
    units = len(sums)
    rows = max(1, CHUNK_SIZE // max(1, units))
    totals = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        indices = random.integers(units, size=(count, units)) + np.arange(count)[:, None] * units
        times = np.bincount(indices.ravel(), minlength=count * units).reshape(count, units)  # how often each is drawn
        totals.append(times.astype(np.float64) @ sums)
    return np.concatenate(totals)
