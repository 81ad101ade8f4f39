"""The recipe of a training: optimizer, steps and schedule as plain data. It imports no torch, so `--help` is fast."""

from dataclasses import dataclass, replace
from itertools import pairwise
from math import inf
from typing import Literal

from wavemore.errors import require, require_types
from wavemore.nn.config import setting

Optimizer = Literal["muon", "adamw", "sgd"]
Schedule = Literal["linear", "step", "constant"]
BatchSampling = Literal["shuffle", "replacement", "streams"]
Execution = Literal["unique", "windows"]
Precision = Literal["float32", "bfloat16"]

NO_STREAMS = "`sampling` streams is for recurrent models on continuous text: choose shuffle or replacement"

MAX_COUNT, MAX_BATCH = 10**9, 2**20
MAX_NATS = 1e12
"""A training whose loss is above this, in nats per character, has diverged."""

HEALTHY_UPDATE_RATIO: dict[Optimizer, float] = {"muon": -2.0, "adamw": -3.0, "sgd": -3.0}
"""A rule of thumb: log10 of std(update) / std(weight) of the matrices that an optimizer trains, in a typical step."""


@dataclass(frozen=True)
class Recipe:
    """How weights are trained, apart from the data and the model. Raises `UsageError` for a value out of range.

    The learning rates are peak values; `schedule` scales them at each step (see `learning_rate_scale`).

    >>> Recipe(steps=100).learning_rate_scale(step=0)  # one of ten warm-up steps
    0.1
    """

    optimizer: Optimizer = setting("muon", "muon (hidden matrices; AdamW for all other weights), adamw or sgd")
    steps: int = setting(1_000, "number of optimizer steps")
    batch_size: int = setting(1_024, "characters predicted per step (approximate for models that read whole lines)")
    learning_rate: float = setting(0.02, "peak learning rate of Muon (with adamw or sgd: of all weights)")
    adamw_learning_rate: float = setting(0.005, "with muon: peak learning rate of AdamW, for all other weights")
    weight_decay: float = setting(0.1, "decoupled weight decay of the hidden matrices")
    ema_decay: float = setting(0.99, "decay of the weights' running average (0.99: about 100 steps; 0: no average)")
    schedule: Schedule = setting("linear", "linear (decay to zero), step (a tenth after 75 % of the steps) or constant")
    warmup_fraction: float = setting(0.1, "fraction of the steps in which the learning rate rises to its peak")
    sampling: BatchSampling = setting(
        "shuffle",
        "shuffle (no target twice per epoch), replacement (as in the lecture) or streams (recurrent, on a text)",
    )
    num_evals: int = setting(10, "number of times the val loss is measured during training; the best weights are kept")
    execution: Execution = setting(
        "unique", "for a tree or mlp on a list: unique (each distinct n-gram once: fast) or windows (as in the lecture)"
    )
    block_size: int = setting(256, "for continuous text: consecutive characters predicted together")
    precision: Precision = setting("float32", "precision of the matrix products: float32, or bfloat16 if supported")
    distill_weight: float = setting(0.0, "weight of the teachers in each target (auto: 0.5 with teachers)")
    seed: int = setting(0, "seed of the initial weights and of the order of the batches")
    replanned: tuple[tuple[int, int], ...] = ()
    """Each change of `steps` on the way, to end in time: the steps done by then, and the number planned before."""

    def __post_init__(self) -> None:
        require_types(self)
        # A batch of one has no batch statistics.
        limits = {"steps": (1, MAX_COUNT), "batch_size": (2, MAX_BATCH), "num_evals": (1, MAX_COUNT)}
        for name, (least, most) in {**limits, "block_size": (1, MAX_BATCH)}.items():
            value = getattr(self, name)
            require(least <= value <= most, name, value, f"at least {least}, at most {most:,}")
        for name in ("learning_rate", "adamw_learning_rate"):
            require(0 < getattr(self, name) < inf, name, getattr(self, name), "above 0 and finite")
        for name in ("ema_decay", "warmup_fraction"):
            require(0 <= getattr(self, name) < 1, name, getattr(self, name), "at least 0 and below 1")
        require(0 <= self.weight_decay < inf, "weight_decay", self.weight_decay, "at least 0 and finite")
        require(0 <= self.distill_weight <= 1, "distill_weight", self.distill_weight, "between 0 and 1")
        require(0 <= self.seed < 2**63, "seed", self.seed, "between 0 and 2**63 - 1")
        done = [0, *(done for done, _ in self.replanned), self.steps]
        valid = all(a < b for a, b in pairwise(done)) and all(1 <= steps <= MAX_COUNT for _, steps in self.replanned)
        require(valid, "replanned", self.replanned, "steps done, rising to `steps`, each with the number planned then")

    def with_steps(self, steps: int, done: int) -> "Recipe":
        """Change the number of steps in all to `steps`, when `done` are done.

        From there the learning rate falls to zero at the new end. Changes that a training had made later, before it was
        resumed from an earlier state, are undone.

        >>> recipe = Recipe(steps=100, schedule="linear", warmup_fraction=0).with_steps(60, done=40)
        >>> [recipe.learning_rate_scale(step) for step in (20, 40, 50)]
        [0.8, 0.6, 0.3]
        """
        kept = tuple(change for change in self.replanned if change[0] < done)
        planned = self.replanned[len(kept)][1] if len(kept) < len(self.replanned) else self.steps
        return replace(self, steps=steps, replanned=(*kept, (done, planned)))

    @property
    def planned_first(self) -> "Recipe":
        """The recipe before all changes of `steps`."""
        return replace(self, steps=self.replanned[0][1], replanned=()) if self.replanned else self

    def learning_rate_scale(self, step: int) -> float:
        """Factor by which the schedule scales the learning rates at `step`, counted from 0."""
        first, *ends = *(steps for _, steps in self.replanned), self.steps
        if self.schedule != "linear" or not ends:
            return self._scale(step, first)
        changes = [done for done, _ in self.replanned]
        scale = self._scale(min(step, changes[0]), first)
        for done, end, until in zip(changes, ends, [*changes[1:], step], strict=True):
            if step > done:
                scale = scale * (end - min(step, until)) / (end - done)
        return scale

    def _scale(self, step: int, steps: int) -> float:
        """Return the factor in a training of so many steps."""
        rising = min(1.0, (step + 1) / max(1.0, self.warmup_fraction * steps))
        if self.schedule == "linear":
            falling = (steps - step) / max(1.0, (1 - self.warmup_fraction) * steps)
            return min(rising, falling)
        return 0.1 * rising if self.schedule == "step" and step >= 0.75 * steps else rising

    def evaluates_after(self, steps_done: int) -> bool:
        """Whether the val loss is measured after `steps_done` steps: evenly spaced, and after the last step."""
        return steps_done * self.num_evals // self.steps > (steps_done - 1) * self.num_evals // self.steps

    @property
    def log_every(self) -> int:
        """Number of steps between two logged records: there are at most 200 per training."""
        return -(-self.steps // 200)


LECTURE = Recipe(
    optimizer="sgd",
    steps=200_000,
    batch_size=32,
    learning_rate=0.1,
    weight_decay=0.0,
    ema_decay=0.0,
    schedule="step",
    warmup_fraction=0.0,
    sampling="replacement",
    num_evals=20,
    execution="windows",
)
"""Karpathy, "Building makemore Part 5": 200,000 steps of 32 windows, SGD at 0.1, then 0.01 from step 150,000."""
