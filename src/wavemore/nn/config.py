"""The settings of the models, kept apart from the models so that naming them does not import torch."""

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from wavemore.errors import UsageError

NormName: TypeAlias = Literal["batch", "layer", "rms", "none", "batch-per-position"]
ActivationName: TypeAlias = Literal["tanh", "relu", "gelu", "silu"]

LONGEST_CONTEXT = 4096


@dataclass(frozen=True)
class TreeConfig:
    """The shape of a tree: how many positions each fusion joins, and what mixes them.

    Raises a UsageError for a value outside its range.

    >>> TreeConfig(fuse=(2, 2, 2)).context
    8
    >>> TreeConfig(dropout=1.0)
    Traceback (most recent call last):
    wavemore.errors.UsageError: dropout is a share of at least 0 and below 1, not 1.0
    """

    fuse: tuple[int, ...] = field(
        default=(2, 2, 2), metadata={"help": "positions that each fusion joins, from the characters up"}
    )
    embedding: int = field(default=24, metadata={"help": "channels of a character's vector"})
    hidden: int = field(default=128, metadata={"help": "channels after each fusion"})
    norm: NormName = field(
        default="batch",
        metadata={"help": "normalisation after each fusion (batch-per-position: the lecture's bug)"},
    )
    activation: ActivationName = field(default="tanh", metadata={"help": "activation after each normalisation"})
    dropout: float = field(default=0.0, metadata={"help": "share of values set to zero in training"})

    def __post_init__(self) -> None:
        if not self.fuse:
            raise UsageError("fuse is empty: give one fusion or more, such as 2 2 2")
        if min(self.fuse) < 1:
            raise UsageError(f"fuse takes sizes of 1 or more, not {' '.join(map(str, self.fuse))}")
        if self.context > LONGEST_CONTEXT:
            raise UsageError(f"fuse makes a context of {self.context} positions; the longest is {LONGEST_CONTEXT}")
        if self.embedding < 1 or self.hidden < 1:
            raise UsageError(f"embedding and hidden are 1 or more, not {self.embedding} and {self.hidden}")
        if self.norm not in get_args(NormName):
            raise UsageError(f"norm is one of {', '.join(get_args(NormName))}, not {self.norm!r}")
        if self.activation not in get_args(ActivationName):
            raise UsageError(f"activation is one of {', '.join(get_args(ActivationName))}, not {self.activation!r}")
        if not 0 <= self.dropout < 1:
            raise UsageError(f"dropout is a share of at least 0 and below 1, not {self.dropout}")

    @property
    def context(self) -> int:
        """The number of positions that a prediction sees: the product of `fuse`."""
        return math.prod(self.fuse)
