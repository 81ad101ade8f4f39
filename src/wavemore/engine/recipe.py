"""What a training is: the optimiser, its steps and its schedule, as plain data (no torch here, so that --help is fast).

The lecture's own recipe is `LECTURE`. The recipe that fits a given list is made by `engine/plan.py`.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from wavemore.errors import UsageError

Optimizer = Literal["muon", "adamw", "sgd"]
Schedule = Literal["linear", "step", "constant"]
Order = Literal["shuffle", "replacement"]
Execution = Literal["unique", "windows", "lines", "stretches"]
Precision = Literal["float32", "bfloat16"]


LARGEST = 10**9


@dataclass(frozen=True)
class Recipe:
    """All that decides how weights are trained, apart from the data and the model.

    Learning rates are of the peak; `schedule` scales them step by step (see `learning_rate_scale`).

    >>> Recipe(steps=100).learning_rate_scale(step=0)  # one of ten warm-up steps
    0.1
    """

    optimizer: Optimizer = field(
        default="muon", metadata={"help": "muon (hidden matrices; AdamW for the rest), adamw or sgd"}
    )
    steps: int = field(default=1_000, metadata={"help": "optimiser steps"})
    batch_size: int = field(
        default=1_024, metadata={"help": "predicted characters a step (on whole lines: about so many)"}
    )
    learning_rate: float = field(
        default=0.02, metadata={"help": "peak learning rate: of Muon, or of AdamW or SGD where they do all"}
    )
    rest_learning_rate: float = field(
        default=0.005,
        metadata={"help": "peak learning rate of AdamW for what is not a hidden matrix (with muon)"},
    )
    weight_decay: float = field(default=0.1, metadata={"help": "decoupled weight decay of the hidden matrices"})
    average: float = field(
        default=0.99,
        metadata={"help": "each step's weights enter a running mean with 1 - this; 0: the last weights alone"},
    )
    schedule: Schedule = field(
        default="linear",
        metadata={"help": "linear (decay to zero), step (a tenth after 75 % of the steps) or constant"},
    )
    warmup: float = field(default=0.1, metadata={"help": "share of the steps in which the learning rate rises"})
    order: Order = field(
        default="shuffle",
        metadata={"help": "shuffle (each target once an epoch) or replacement (the lecture's)"},
    )
    evaluations: int = field(default=10, metadata={"help": "how often the val loss is taken; the best state is kept"})
    execution: Execution = field(
        default="unique",
        metadata={"help": "of a tree: unique (each distinct n-gram once: fast) or windows (the lecture's); else lines"},
    )
    stretch: int = field(default=256, metadata={"help": "of continuous text: characters in a row, predicted at once"})
    lead_in: int = field(
        default=0, metadata={"help": "of continuous text: characters before each stretch, seen and not predicted"}
    )
    precision: Precision = field(
        default="float32",
        metadata={
            "help": "of what enters the matrix products of a training: float32, or bfloat16 where the processor has it"
        },
    )
    teacher_share: float = field(
        default=0.0,
        metadata={
            "help": "how much of each target is the teachers' (auto: 0.5 with --teachers); else what stands there"
        },
    )
    seed: int = field(default=0, metadata={"help": "of the first weights and the order of the batches"})

    def __post_init__(self) -> None:
        for name, kind in (
            ("optimizer", Optimizer),
            ("schedule", Schedule),
            ("order", Order),
            ("execution", Execution),
            ("precision", Precision),
        ):
            if getattr(self, name) not in get_args(kind):
                raise UsageError(f"{name} is {getattr(self, name)!r}; it must be one of {', '.join(get_args(kind))}")
        # Two at least in a batch: there are no batch statistics of one.
        for name, least in (("steps", 1), ("batch_size", 2), ("evaluations", 1), ("stretch", 1), ("lead_in", 0)):
            if not least <= getattr(self, name) <= LARGEST:
                raise UsageError(f"{name} is {getattr(self, name)}; it must be at least {least}, at most {LARGEST:,}")
        for name in ("learning_rate", "rest_learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise UsageError(f"{name} is {getattr(self, name)}; it must be above 0")
        if not 0 <= self.weight_decay < float("inf"):
            raise UsageError(f"weight_decay is {self.weight_decay}; it must be 0 or more")
        if not 0 <= self.average < 1:
            raise UsageError(f"average is {self.average}; it must be at least 0 and below 1")
        if not 0 <= self.teacher_share <= 1:
            raise UsageError(f"teacher_share is {self.teacher_share}; it is a share of the targets, between 0 and 1")
        if not 0 <= self.warmup < 1:
            raise UsageError(f"warmup is {self.warmup}; it is a share of the steps, at least 0 and below 1")
        if not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed}; it must be between 0 and 2**63 - 1")

    def learning_rate_scale(self, step: int) -> float:
        """Factor on the peak learning rates at `step`, counted from 0."""
        rising = min(1.0, (step + 1) / max(1.0, self.warmup * self.steps)) if self.warmup else 1.0
        if self.schedule == "linear":
            falling = (self.steps - step) / max(1.0, (1 - self.warmup) * self.steps)
            return min(rising, falling)
        if self.schedule == "step":
            return rising * (1.0 if step < 0.75 * self.steps else 0.1)
        return rising

    def evaluates_after(self, steps_done: int) -> bool:
        """Whether the val loss is taken after `steps_done` steps: evenly spread, the last step included."""
        return steps_done * self.evaluations // self.steps > (steps_done - 1) * self.evaluations // self.steps

    @property
    def log_every(self) -> int:
        """Steps between two records of the train loss: at most 200 records a training."""
        return -(-self.steps // 200)


LECTURE = Recipe(
    optimizer="sgd",
    steps=200_000,
    batch_size=32,
    learning_rate=0.1,
    weight_decay=0.0,
    average=0.0,
    schedule="step",
    warmup=0.0,
    order="replacement",
    evaluations=20,
    execution="windows",
)
"""Karpathy, "Building makemore Part 5": 200,000 steps of 32 windows, SGD at 0.1, then 0.01 from step 150,000."""
