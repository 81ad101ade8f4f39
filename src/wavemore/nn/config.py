"""The settings of the models, kept apart from the models so that naming them does not import torch."""
# ruff: noqa: D102 - what every config tells is explained once, in ModelConfig

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, Self, TypeAlias, get_args

from wavemore.errors import UsageError

NormName: TypeAlias = Literal["batch", "layer", "rms", "none", "batch-per-position"]
RowNormName: TypeAlias = Literal["layer", "rms", "none"]
ActivationName: TypeAlias = Literal["tanh", "relu", "gelu", "silu"]
GateName: TypeAlias = Literal["glu", "swiglu"]

LONGEST_CONTEXT = 4096
MOST_BLOCKS = 1_000


class ModelConfig(ABC):
    """What the settings of all models can tell."""

    @property
    @abstractmethod
    def receptive_field(self) -> int | None:
        """The number of characters that a prediction sees; None where it is the whole line so far."""

    @property
    @abstractmethod
    def words(self) -> str:
        """The settings in words, for people."""

    @property
    @abstractmethod
    def shape(self) -> str:
        """The same as short as can be, for a column of a table."""

    @abstractmethod
    def weights(self, vocabulary_size: int) -> int:
        """About how many weights there are, known before any is made: biases and normalisations are left out."""

    @classmethod
    def kinds(cls) -> dict[str, Any]:
        """The settings by name, with their types."""
        return {field.name: field.type for field in fields(cls)}  # type: ignore[arg-type]

    def values(self) -> dict[str, Any]:
        """The settings by name, with their values."""
        return {name: getattr(self, name) for name in self.kinds()}

    @property
    def width(self) -> int:
        """The channels that decide how many parameters there are; 0 where no setting does."""
        return 0

    def widened(self, width: int) -> Self:
        """The same model with so many channels."""
        raise UsageError(f"a {type(self).__name__} has no width to choose")


@dataclass(frozen=True)
class TreeConfig(ModelConfig):
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
        _require_one_of("norm", self.norm, NormName)
        _require_one_of("activation", self.activation, ActivationName)
        _require_share(self.dropout)

    @property
    def context(self) -> int:
        """The number of positions that a prediction sees: the product of `fuse`."""
        return math.prod(self.fuse)

    @property
    def receptive_field(self) -> int:
        return self.context

    @property
    def words(self) -> str:
        fused = " x ".join(map(str, self.fuse))
        channels = f"embedding {self.embedding}, hidden {self.hidden}, {self.norm} norm, {self.activation}"
        return f"{self.context} characters fused {fused}, {channels}{_dropped(self.dropout)}"

    def weights(self, vocabulary_size: int) -> int:
        inputs = [self.embedding, *[self.hidden] * (len(self.fuse) - 1)]
        matrices = sum(n * channels * self.hidden for n, channels in zip(self.fuse, inputs, strict=True))
        return matrices + vocabulary_size * (self.embedding + self.hidden)

    @property
    def shape(self) -> str:
        return f"{'x'.join(map(str, self.fuse))} {self.embedding}/{self.hidden}"

    @property
    def width(self) -> int:
        return self.hidden

    def widened(self, width: int) -> Self:
        return replace(self, hidden=width)


@dataclass(frozen=True)
class MlpConfig(ModelConfig):
    """The shape of a multi-layer perceptron: a tree with one fusion, of the whole context.

    >>> MlpConfig(context=3, embedding=10, hidden=200).tree.fuse
    (3,)
    """

    context: int = field(default=8, metadata={"help": "characters that a prediction sees"})
    embedding: int = field(default=24, metadata={"help": "channels of a character's vector"})
    hidden: int = field(default=200, metadata={"help": "channels of the hidden layer"})
    norm: NormName = field(default="batch", metadata={"help": "normalisation of the hidden layer"})
    activation: ActivationName = field(default="tanh", metadata={"help": "activation of the hidden layer"})
    dropout: float = field(default=0.0, metadata={"help": "share of values set to zero in training"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "context")
        _ = self.tree

    @property
    def tree(self) -> TreeConfig:
        """The tree that it is."""
        return TreeConfig((self.context,), self.embedding, self.hidden, self.norm, self.activation, self.dropout)

    @property
    def receptive_field(self) -> int:
        return self.context

    @property
    def words(self) -> str:
        channels = f"embedding {self.embedding}, hidden {self.hidden}, {self.norm} norm, {self.activation}"
        return f"{self.context} characters at once, {channels}{_dropped(self.dropout)}"

    def weights(self, vocabulary_size: int) -> int:
        return self.tree.weights(vocabulary_size)

    @property
    def shape(self) -> str:
        return f"{self.context} {self.embedding}/{self.hidden}"

    @property
    def width(self) -> int:
        return self.hidden

    def widened(self, width: int) -> Self:
        return replace(self, hidden=width)


@dataclass(frozen=True)
class WaveNetConfig(ModelConfig):
    """The shape of a WaveNet: cycles of blocks whose dilations grow.

    >>> WaveNetConfig(dilations=(1, 2, 4, 8)).receptive_field
    16
    >>> WaveNetConfig(dilations=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512)).receptive_field  # as in the paper
    1024
    """

    channels: int = field(default=64, metadata={"help": "channels of the residual path"})
    dilations: tuple[int, ...] = field(
        default=(1, 2, 4, 8), metadata={"help": "of the blocks of a cycle: how far apart are the positions they see"}
    )
    cycles: int = field(default=1, metadata={"help": "how often the dilations are repeated"})
    kernel_size: int = field(default=2, metadata={"help": "positions that each block sees"})
    skip_channels: int = field(default=64, metadata={"help": "channels of the skip path, from every block to the head"})
    gate: GateName = field(default="glu", metadata={"help": "glu (tanh x sigmoid, the paper's) or swiglu"})
    norm: RowNormName = field(default="rms", metadata={"help": "normalisation before each block"})
    dropout: float = field(default=0.0, metadata={"help": "share of values set to zero in training"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "channels", "cycles", "kernel_size", "skip_channels")
        if not self.dilations:
            raise UsageError("dilations is empty: give one or more, such as 1 2 4 8")
        if min(self.dilations) < 1:
            raise UsageError(f"dilations are 1 or more, not {' '.join(map(str, self.dilations))}")
        if len(self.dilations) * self.cycles > MOST_BLOCKS:
            raise UsageError(
                f"{len(self.dilations)} dilations x {self.cycles:,} cycles are too many blocks: at most {MOST_BLOCKS:,}"
            )
        if self.receptive_field > 2**20:
            raise UsageError(f"a receptive field of {self.receptive_field:,} is too long: at most {2**20:,}")
        _require_one_of("gate", self.gate, GateName)
        _require_one_of("norm", self.norm, RowNormName)
        _require_share(self.dropout)

    @property
    def receptive_field(self) -> int:
        return 1 + (self.kernel_size - 1) * self.cycles * sum(self.dilations)

    @property
    def words(self) -> str:
        blocks = f"dilations {' '.join(map(str, self.dilations))}"
        if self.cycles > 1:
            blocks += f", {self.cycles} times"
        if self.kernel_size != 2:
            blocks += f", kernel {self.kernel_size}"
        channels = f"channels {self.channels}, skip {self.skip_channels}, {self.gate} gate, {self.norm} norm"
        return f"receptive field {self.receptive_field:,}, {blocks}, {channels}{_dropped(self.dropout)}"

    def weights(self, vocabulary_size: int) -> int:
        gate, out = 2 * self.kernel_size * self.channels, self.channels + self.skip_channels
        blocks = len(self.dilations) * self.cycles * self.channels * (gate + out)
        return blocks + self.skip_channels**2 + vocabulary_size * (self.channels + self.skip_channels)

    @property
    def shape(self) -> str:
        times = f"x{self.cycles}" if self.cycles > 1 else ""
        return f"{self.receptive_field} ({len(self.dilations)}{times} blocks) {self.channels}/{self.skip_channels}"

    @property
    def width(self) -> int:
        return self.channels

    def widened(self, width: int) -> Self:
        return replace(self, channels=width, skip_channels=width)


@dataclass(frozen=True)
class BigramConfig(ModelConfig):
    """The shape of a bigram model: nothing is to be chosen."""

    @property
    def receptive_field(self) -> int:
        return 1

    @property
    def words(self) -> str:
        return "a table of what follows each character"

    def weights(self, vocabulary_size: int) -> int:
        return vocabulary_size**2

    @property
    def shape(self) -> str:
        return "table"


@dataclass(frozen=True)
class RecurrentConfig(ModelConfig):
    """The shape of a recurrent network; which one, its name says: rnn, gru or lstm."""

    embedding: int = field(default=64, metadata={"help": "channels of a character's vector"})
    hidden: int = field(default=128, metadata={"help": "channels of the state"})
    layers: int = field(default=1, metadata={"help": "states on top of each other"})
    dropout: float = field(default=0.0, metadata={"help": "share of values set to zero in training"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "embedding", "hidden", "layers")
        _require_few("layers", self.layers)
        _require_share(self.dropout)

    @property
    def receptive_field(self) -> None:
        return None

    @property
    def words(self) -> str:
        layers = f"{self.layers} layers, " if self.layers > 1 else ""
        return f"{layers}embedding {self.embedding}, hidden {self.hidden}{_dropped(self.dropout)}"

    def weights(self, vocabulary_size: int) -> int:
        states = self.hidden * (self.embedding + (2 * self.layers - 1) * self.hidden)
        return 4 * states + vocabulary_size * (self.embedding + self.hidden)  # a lstm's: the most of the three

    @property
    def shape(self) -> str:
        layers = f"{self.layers} x " if self.layers > 1 else ""
        return f"{layers}{self.embedding}/{self.hidden}"

    @property
    def width(self) -> int:
        return self.hidden

    def widened(self, width: int) -> Self:
        return replace(self, hidden=width)


@dataclass(frozen=True)
class BowConfig(ModelConfig):
    """The shape of a bag of words: the mean of the last characters' vectors, whatever their order."""

    context: int = field(default=8, metadata={"help": "characters that a prediction sees"})
    embedding: int = field(default=64, metadata={"help": "channels of a character's vector"})
    hidden: int = field(default=64, metadata={"help": "channels of the hidden layer"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "context", "embedding", "hidden")
        if self.context > LONGEST_CONTEXT:
            raise UsageError(f"context is {self.context:,}; the longest is {LONGEST_CONTEXT:,}")

    @property
    def receptive_field(self) -> int:
        return self.context

    @property
    def words(self) -> str:
        return f"the mean of {self.context} characters, embedding {self.embedding}, hidden {self.hidden}"

    def weights(self, vocabulary_size: int) -> int:
        return 2 * self.embedding * (self.hidden + vocabulary_size)

    @property
    def shape(self) -> str:
        return f"{self.context} {self.embedding}/{self.hidden}"

    @property
    def width(self) -> int:
        return self.hidden

    def widened(self, width: int) -> Self:
        return replace(self, embedding=width, hidden=width)


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """The shape of a transformer.

    >>> TransformerConfig(heads=3)
    Traceback (most recent call last):
    wavemore.errors.UsageError: channels 64 cannot be shared by 3 heads evenly: each needs an even number
    """

    layers: int = field(default=4, metadata={"help": "blocks of attention and a hidden layer"})
    heads: int = field(default=4, metadata={"help": "attentions side by side in a block"})
    channels: int = field(default=64, metadata={"help": "channels of the residual path"})
    context: int = field(default=64, metadata={"help": "positions back that each attention reaches, its own included"})
    dropout: float = field(default=0.0, metadata={"help": "share of values set to zero in training"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "layers", "heads", "channels", "context")
        _require_few("layers", self.layers)
        if self.channels % (2 * self.heads):
            raise UsageError(
                f"channels {self.channels} cannot be shared by {self.heads} heads evenly: each needs an even number"
            )
        if self.context > LONGEST_CONTEXT:
            raise UsageError(f"context is {self.context:,}; the longest is {LONGEST_CONTEXT:,}")
        _require_share(self.dropout)

    @property
    def receptive_field(self) -> int:
        return 1 + self.layers * (self.context - 1)

    @property
    def words(self) -> str:
        sizes = f"{self.layers} layers of {self.heads} heads, channels {self.channels}"
        return f"{sizes}, attention over {self.context} characters{_dropped(self.dropout)}"

    def weights(self, vocabulary_size: int) -> int:
        return 12 * self.layers * self.channels**2 + 2 * vocabulary_size * self.channels

    @property
    def shape(self) -> str:
        return f"{self.layers} x {self.heads} heads {self.channels}"

    @property
    def width(self) -> int:
        return self.channels // (2 * self.heads)

    def widened(self, width: int) -> Self:
        return replace(self, channels=width * 2 * self.heads)


@dataclass(frozen=True)
class NgramConfig(ModelConfig):
    """The shape of a table of counts."""

    n: int = field(default=5, metadata={"help": "characters counted together, the predicted one included"})

    def __post_init__(self) -> None:
        _require_at_least_one(self, "n")
        if self.n > 64:
            raise UsageError(f"n is {self.n}; the highest is 64")

    @property
    def receptive_field(self) -> int:
        return max(1, self.n - 1)

    @property
    def words(self) -> str:
        return f"counts of up to {self.n} characters, modified Kneser-Ney smoothing"

    def weights(self, vocabulary_size: int) -> int:
        return 0  # it depends on the text, and is never more than the text has n-grams

    @property
    def shape(self) -> str:
        return f"n {self.n}"


ModelName: TypeAlias = Literal["tree", "wavenet", "mlp", "bigram", "rnn", "gru", "lstm", "bow", "transformer", "ngram"]
CONFIGS: dict[str, type[ModelConfig]] = {
    "tree": TreeConfig,
    "wavenet": WaveNetConfig,
    "mlp": MlpConfig,
    "bigram": BigramConfig,
    "rnn": RecurrentConfig,
    "gru": RecurrentConfig,
    "lstm": RecurrentConfig,
    "bow": BowConfig,
    "transformer": TransformerConfig,
    "ngram": NgramConfig,
}
"""The settings of each model, by the model's name."""


def _dropped(dropout: float) -> str:
    return f", dropout {dropout:g}" if dropout else ""


def _require_one_of(name: str, value: Any, kind: Any) -> None:
    if value not in get_args(kind):
        raise UsageError(f"{name} is one of {', '.join(get_args(kind))}, not {value!r}")


def _require_share(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise UsageError(f"dropout is a share of at least 0 and below 1, not {dropout}")


def _require_at_least_one(config: ModelConfig, *names: str) -> None:
    for name in names:
        if getattr(config, name) < 1:
            raise UsageError(f"{name} is {getattr(config, name)}; it must be 1 or more")


def _require_few(name: str, value: int) -> None:
    if value > MOST_BLOCKS:
        raise UsageError(f"{name} is {value:,}; at most {MOST_BLOCKS:,}")
