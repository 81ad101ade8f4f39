"""A figure of `wavemore bench`."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter


@dataclass(frozen=True)
class Measurement:
    """One figure: medians of interleaved repetitions."""

    key: str
    what: str
    threads: int
    baseline: float
    """The baseline's median, in `unit`."""
    measured: float
    """wavemore's median, in `unit`."""
    unit: str
    ratio: float | None
    """How many times better wavemore is (or, for a share, measured / baseline); None where a condition is not met."""
    detail: str
    """What else has to be said: conditions, repetitions."""


def seconds_of(work: Callable[[], object]) -> float:
    """How long some work takes, in seconds."""
    began = perf_counter()
    work()
    return perf_counter() - began
