"""The trainings of a tuning that are under way, what becomes of them, and how that is said."""

from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

from wavemore.errors import is_out_of_memory
from wavemore.studies.job import Job, KilledError, Result, in_words


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


KILLED = "its process was killed, perhaps because memory ran out"


def outcome(future: Future[Result | None]) -> Result | None:
    """Return the result of a training, None if it was stopped; one whose memory ran out has failed.

    Raises `BrokenProcessPool` if a process of this machine was killed.
    """
    try:
        return future.result()
    except KilledError:
        return {"failed": KILLED, "seconds": 0.0}
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, BrokenProcessPool) or not is_out_of_memory(error):
            raise
        return {"failed": "out of memory", "seconds": 0.0}


def repeat_message(training: Training, result: Result | None) -> str:
    """Say how a repeat has ended."""
    name = f"trial {training.number} on seed {training.job.config.recipe.seed}"
    return f"{name}: {'left out, as the time was over' if result is None else in_words(result)}"
