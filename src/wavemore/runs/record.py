"""The records of a run: one per logged step, and a summary at its end."""

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

from msgspec import Meta, Struct

from wavemore.engine.memorised import Memorised
from wavemore.engine.recipe import MAX_COUNT, MAX_NATS

Nats = Annotated[float, Meta(ge=-1, le=MAX_NATS)]
"""A loss; rounding can put one of 0 a little below 0."""
Seconds = Annotated[float, Meta(ge=0, le=1e12)]
Steps = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Line = Annotated[str, Meta(max_length=1_000)]


@dataclass(frozen=True)
class Summary:
    """The result of a finished run; losses are nats per character, of the best checkpoint."""

    train_nats: Nats
    """Of all of train, of a sample of its lines, or of the last characters of a text: see `train_targets`."""
    val_nats: Nats
    leak_free_val_nats: Nats | None
    """None if every val line occurs in train."""
    parameters: Annotated[int, Meta(ge=0, le=10**15)]
    steps: Steps
    best_step: Steps
    train_seconds: Seconds
    """Training time without evaluation, over all parts of a resumed run.

    For a student, this includes the time to compute its teachers' probabilities.
    """
    finished: Line
    val_line_percentiles: Annotated[tuple[Nats, ...], Meta(min_length=101, max_length=101)] | None
    """Percentiles 0, 1, ..., 100 of the nats per character of the val lines, to rank other lines; None for a text."""
    environment: Annotated[dict[Line, Line | int], Meta(max_length=100)]
    teachers_train_seconds: Seconds | None = None
    """For a student, the training time of its teachers and of theirs; not part of `train_seconds`."""
    train_targets: Annotated[int, Meta(ge=1, le=10**15)] | None = None
    """The number of targets that `train_nats` is the mean of; None if an older version did not note it."""
    temperature: Annotated[float, Meta(gt=0, le=10)] = 1.0
    """Suggested for samples: below 1 for a short list, whose model finds unlikely characters too likely."""

    val_label_recovery: Annotated[float, Meta(ge=0, le=1)] | None = None
    """For items with labels, the fraction of the val items whose likeliest label is their own."""
    memorised: Memorised | None = None
    """How many of the samples of a list are known; None for a text, or if it was not counted."""

    @property
    def total_seconds(self) -> float:
        """Training time of the run and of all its teachers."""
        return self.train_seconds + (self.teachers_train_seconds or 0.0)


class Failure(Struct):
    """Why a training ended without a result."""

    failed: Line
    seconds: Seconds


class Record(TypedDict):
    """A line of `metrics.jsonl`; losses are nats per character."""

    step: Steps
    epoch: Annotated[float, Meta(ge=0, le=1e12)]
    learning_rate: Annotated[float, Meta(ge=0)]
    train_nats: Nats
    """Mean loss of the batches since the previous record, against the true characters."""
    val_nats: NotRequired[Nats]
    seconds: Seconds
    """Training time so far, without evaluation, over all parts of a resumed run."""
    distill_nats: NotRequired[Nats]
    """For a student, the mean of its own loss, which includes the teachers' probabilities."""
    update_ratios: NotRequired[Annotated[dict[Line, Annotated[float, Meta(ge=-1e3, le=1e3)]], Meta(max_length=10_000)]]
    """log10 of std(update) / std(weight) in this step, by the weight's name, for the weights that moved."""
