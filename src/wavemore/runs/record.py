"""What a run writes down: one record per logged step, and a summary at its end."""

from dataclasses import dataclass
from typing import Annotated, NotRequired, TypedDict

import msgspec


@dataclass(frozen=True)
class Summary:
    """How a run ended; losses are nats per character, of the state that was kept.

    Of a text, `train_nats` is of the last training characters, as many as there are val characters, 500,000 at most.
    """

    train_nats: float
    val_nats: float
    leak_free_val_nats: float | None
    """None where train holds every val line."""
    parameters: int
    steps: int
    best_step: int
    train_seconds: float
    """Training alone, without evaluation, over all stretches of a resumed run.

    Of a student it includes the time in which its teachers' probabilities were computed.
    """
    finished: str
    val_line_percentiles: Annotated[tuple[float, ...], msgspec.Meta(min_length=101, max_length=101)] | None
    """Percentiles 0, 1, ..., 100 of the nats per character of the val lines: how usual is a line among them?

    None of a text, which has no lines to be compared with.
    """
    environment: dict[str, str | int]
    teachers_train_seconds: float | None = None
    """Of a student: what the training of its teachers took, and of theirs; it is not in `train_seconds`."""

    @property
    def total_seconds(self) -> float:
        """What it took to train all that the run needed: itself and, of a student, its teachers."""
        return self.train_seconds + (self.teachers_train_seconds or 0.0)


class Record(TypedDict):
    """A line of `metrics.jsonl`; losses are nats per character."""

    step: int
    epoch: float
    learning_rate: float
    train_nats: float
    """Mean loss of the batches since the record before, against the true characters."""
    val_nats: NotRequired[float]
    seconds: float
    """Training time so far, without evaluation, over all stretches of a resumed run."""
    taught_nats: NotRequired[float]
    """Of a student, the same as `train_nats` against its targets, which are partly its teachers'."""
    update_ratios: NotRequired[dict[str, float]]
    """log10 of std(update) / std(weight) in this step, by the weight's name; those that did not move left out."""
