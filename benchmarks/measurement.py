"""One figure of `python -m benchmarks`."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Measurement:
    """One figure: the medians of interleaved repetitions."""

    key: str
    what: str
    threads: int
    baseline: float
    """Median of the baseline, in `unit`."""
    measured: float
    """Median of wavemore, in `unit`."""
    unit: str
    ratio: float | None
    """How many times better wavemore is (for a share: measured / baseline); None if a condition is not met."""
    detail: str
    """The conditions, and further numbers."""


def seconds_of(work: Callable[[], object]) -> float:
    """Call a function and return how many seconds it took."""
    start = perf_counter()
    work()
    return perf_counter() - start
