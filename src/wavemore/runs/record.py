"""The records of a run: one per logged step, and a summary at its end."""

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

import msgspec


@dataclass(frozen=True)
class Summary:
    """The result of a finished run; losses are nats per character, of the best checkpoint.

    The train loss of a text is that of its last training characters, as many as val has, but at most 500,000.
    """

    train_nats: float
    val_nats: float
    leak_free_val_nats: float | None
    """None if every val line occurs in train."""
    parameters: int
    steps: int
    best_step: int
    train_seconds: float
    """Training time without evaluation, over all parts of a resumed run.

    For a student, this includes the time to compute its teachers' probabilities.
    """
    finished: str
    val_line_percentiles: Annotated[tuple[float, ...], msgspec.Meta(min_length=101, max_length=101)] | None
    """Percentiles 0, 1, ..., 100 of the nats per character of the val lines, to rank other lines; None for a text."""
    environment: dict[str, str | int]
    teachers_train_seconds: float | None = None
    """For a student, the training time of its teachers and of theirs; not part of `train_seconds`."""

    @property
    def total_seconds(self) -> float:
        """Training time of the run and of all its teachers."""
        return self.train_seconds + (self.teachers_train_seconds or 0.0)


class Failure(msgspec.Struct):
    """Why a training ended without a result."""

    failed: str
    seconds: float


class Record(TypedDict):
    """A line of `metrics.jsonl`; losses are nats per character."""

    step: int
    epoch: float
    learning_rate: float
    train_nats: float
    """Mean loss of the batches since the previous record, against the true characters."""
    val_nats: NotRequired[float]
    seconds: float
    """Training time so far, without evaluation, over all parts of a resumed run."""
    distill_nats: NotRequired[float]
    """For a student, the mean of its own loss, which includes the teachers' probabilities."""
    update_ratios: NotRequired[dict[str, float]]
    """log10 of std(update) / std(weight) in this step, by the weight's name, for the weights that moved."""
