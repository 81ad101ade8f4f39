"""What the training loop yields after each step, and what resuming a training needs."""

import json
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta
from torch import Tensor

from wavemore.engine.recipe import MAX_COUNT, MAX_NATS

NO_STATE = "there is no state to copy: call `checkpoint` after a step of a training that has not ended"
Count = Annotated[int, Meta(ge=0, le=MAX_COUNT)]
Sum = Annotated[float, Meta(ge=-MAX_COUNT, le=MAX_COUNT * MAX_NATS)]


class Position(msgspec.Struct, frozen=True):
    """Where a training is between two steps; losses in nats per character."""

    step: Count
    """Steps done."""
    best_step: Count
    best_val_nats: Annotated[float, Meta(ge=-1)]
    """Infinite before the first evaluation."""
    loss_sum: Sum = 0.0
    """Since the last logged record, as the next two."""
    distill_sum: Sum = 0.0
    loss_steps: Count = 0
    training: str = ""
    """Digest of all settings of the training, if the checkpoint is of a run."""

    def fits(self, steps: int) -> bool:
        """Whether a training of so many steps can be there."""
        return max(self.best_step, self.loss_steps) <= self.step <= steps


@dataclass(frozen=True)
class Checkpoint:
    """All that a training needs to resume bit-identically: copied tensors and a few numbers."""

    tensors: dict[str, Tensor]
    """`model.*`, `averaged.*` if weights are averaged, `best.*` (lowest val loss so far) and `optimizer.*`."""
    facts: str
    """The rest, a `Position` as JSON."""

    @property
    def position(self) -> Position | None:
        """Where the training is; None if the facts are damaged."""
        try:
            return msgspec.convert(json.loads(self.facts), Position)  # json, as msgspec reads no infinity
        except (ValueError, RecursionError, msgspec.ValidationError):
            return None

    def part(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of `model`, `averaged`, `best` or `optimizer`."""
        start = f"{name}."
        return {key.removeprefix(start): value for key, value in self.tensors.items() if key.startswith(start)}


@dataclass(frozen=True)
class StepRecord:
    """The numbers that are known after a step. Losses are in nats per character."""

    step: int
    """Steps done so far."""
    steps: int
    epoch: float
    """Passes over the training targets so far."""
    learning_rate: float
    train_nats: float
    """Mean loss of the batches since the last `logged` record, against the true characters."""
    distill_nats: float | None
    """For a student, the same for its own loss, which includes the teachers' probabilities."""
    val_nats: float | None
    """Val loss, at the steps where it is measured."""
    best_val_nats: float
    best_step: int
    seconds: float
    """Training time of this call so far, without evaluation."""
    steps_here: int
    """Steps done in this call, without those before a resumption."""
    chars_per_second: float
    """Predicted characters per second of training time, in this call."""
    logged: bool
    """Whether a mean train loss ends here: about 200 times per training, and at each evaluation."""
    update_ratios: dict[str, float] | None
    """If `logged`: log10 of std(update) / std(weight) of each matrix that moved (see `recipe.HEALTHY_UPDATE_RATIO`)."""

    @property
    def scalars(self) -> dict[str, float]:
        """The numbers of this step by name, for a tracker of experiments; empty unless it is `logged`."""
        if not self.logged:
            return {}
        scalars = {"train_nats": self.train_nats, "learning_rate": self.learning_rate, "epoch": self.epoch}
        if self.val_nats is not None:
            scalars["val_nats"] = self.val_nats
        return scalars | {f"update_ratios/{name}": ratio for name, ratio in (self.update_ratios or {}).items()}

    @property
    def is_best(self) -> bool:
        """Whether the weights after this step have the lowest val loss so far."""
        return self.best_step == self.step
