"""The trainings of a tuning that are under way, what becomes of them, and how that is said."""

from collections.abc import Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

from wavemore.studies.job import Job, Result


@dataclass(frozen=True)
class Event:
    """The progress of a tuning."""

    done: int
    """Finished trials, or repeats."""
    total: int | None
    running: tuple[str, ...]
    """What is being trained, and how far it is."""
    left: float | None
    """Seconds until the end, if it is known."""
    message: str = ""
    """What has just happened; empty if nothing has, so that the caller can react to Ctrl-C."""


@dataclass
class Training:
    """A training that is under way."""

    number: int
    job: Job
    future: Future[Result | None]
    started: float
    evaluations: int = 0
    why: str = ""
    """Why it was stopped."""


def outcome(future: "Future[Result | None]") -> Result | None:
    """Return the result of a training, None if it was stopped; one whose memory ran out has failed."""
    try:
        return future.result()
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, BrokenProcessPool):
            raise
        if isinstance(error, MemoryError) or "memory" in str(error):
            return {"failed": "out of memory", "seconds": 0.0}
        raise


def repeat_message(training: Training, result: Mapping[str, Any] | None) -> str:
    """Say how a repeat has ended."""
    name = f"trial {training.number} on seed {training.job.config.recipe.seed}"
    if result is None:
        return f"{name}: left out, as the time was over"
    if "failed" in result:
        return f"{name}: failed, {result['failed']}"
    return f"{name}: val {result['val_nats']:.4f}, {result['seconds']:.1f} s"
