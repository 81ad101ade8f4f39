"""The tree: a context whose positions are fused step by step until one is left, as in the lecture.

With `fuse=(2, 2, 2)` characters become bigrams, then four-grams, then eight-grams; `fuse=(8,)` is the flat MLP. After
Karpathy, "Building makemore Part 5: Building a WaveNet", https://www.youtube.com/watch?v=t3YJ5hKiMQ0, and van den Oord
et al., https://arxiv.org/abs/1609.03499.

Shapes: B batch, T time, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError, require_kind, require_types
from wavemore.nn.activations import ACTIVATIONS
from wavemore.nn.config import DROPOUT_HELP, MAX_CONTEXT, MAX_LAYERS, ActivationName, ModelConfig, NormName, setting
from wavemore.nn.fusion import is_positional, run_dilated, run_unique, run_windows
from wavemore.nn.kernels.torch_internals import runs_as
from wavemore.nn.layers import Dropout, Embedding, FlattenConsecutive, Linear, Sequential
from wavemore.nn.model import Decoder, Model
from wavemore.nn.norms import NORMS, BatchNorm1dPerPosition
from wavemore.nn.tree_decoder import TreeDecoder, can_decode
from wavemore.nn.unique_plan import UniquePlan

GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "gelu": 1.5335, "silu": 1.6766}
"""Factors for the weights without a normalisation: 1 / sqrt(E[f(z)^2]) for a standard normal z keeps the variance at 1;
that of tanh is the 5/3 of torch and the lecture."""


@dataclass(frozen=True)
class TreeConfig(ModelConfig):
    """The settings of a tree. Raises a UsageError for a value out of range.

    >>> TreeConfig(fuse=(2, 2, 2)).receptive_field
    8
    """

    fuse: tuple[int, ...] = setting((2, 2, 2), "number of positions that each fusion joins, from the characters up")
    embedding: int = setting(24, "channels of a character's vector")
    hidden: int = setting(128, "channels of the hidden layers")
    norm: NormName = setting(
        "batch", "normalisation of each layer (batch-per-position: batch axis only, the lecture's bug)"
    )
    activation: ActivationName = setting("tanh", "activation after each normalisation")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("hidden",)

    def __post_init__(self) -> None:
        require_types(self)
        if not self.fuse or min(self.fuse) < 1:
            sizes = " ".join(map(str, self.fuse)) or "empty"
            raise UsageError(f"`fuse` is {sizes}; it must be one or more sizes of at least 1, such as 2 2 2")
        if len(self.fuse) > MAX_LAYERS or max(self.fuse) > MAX_CONTEXT:
            raise UsageError(f"`fuse` has more than {MAX_LAYERS:,} sizes, or one above {MAX_CONTEXT:,}: use fewer")
        if self.receptive_field > MAX_CONTEXT:
            raise UsageError(f"`fuse` makes a context of {self.receptive_field:,} characters; at most {MAX_CONTEXT:,}")
        self.require_sizes("embedding", "hidden")
        self.require_one_of("norm", NormName)
        self.require_one_of("activation", ActivationName)
        self.require_fraction("dropout")

    @property
    def receptive_field(self) -> int:
        """The product of `fuse`."""
        return math.prod(self.fuse)

    @property
    def label(self) -> str:
        """Fusions and channels, such as "2x2x2 24/128"."""
        return f"{'x'.join(map(str, self.fuse))} {self.embedding}/{self.hidden}"


@dataclass(frozen=True)
class MlpConfig(ModelConfig):
    """The settings of a multi-layer perceptron: a tree with one fusion, of the whole context."""

    context: int = setting(8, "number of characters that a prediction depends on")
    embedding: int = setting(24, "channels of a character's vector")
    hidden: int = setting(200, "channels of the hidden layer")
    norm: NormName = setting("batch", "normalisation of the hidden layer")
    activation: ActivationName = setting("tanh", "activation of the hidden layer")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("hidden",)

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("context")
        self.require_at_most("context", MAX_CONTEXT)
        _ = self.tree

    @property
    def tree(self) -> TreeConfig:
        """The same model as a tree."""
        return TreeConfig((self.context,), self.embedding, self.hidden, self.norm, self.activation, self.dropout)

    @property
    def receptive_field(self) -> int:
        """The context."""
        return self.context

    @property
    def label(self) -> str:
        """Context and channels, such as "8 24/200"."""
        return f"{self.context} {self.embedding}/{self.hidden}"


class Tree(Model):
    """Predict the next character from the `context` ones before it.

    The layers are the lecture's, in its order: Embedding; for every fusion FlattenConsecutive, Linear, norm and
    activation; then a Linear. The same weights run in three ways (see nn/fusion.py): `windows` as in the lecture,
    `dilated`, which `forward` uses, and `unique`. With norm "batch", a prediction is independent of other positions
    and examples in eval mode only.

    >>> model = Tree(27, TreeConfig(fuse=(2, 2, 2), embedding=24, hidden=128))
    >>> model.windows(torch.zeros(32, 8, dtype=torch.int64)).shape
    torch.Size([32, 27])
    """

    def __init__(self, vocabulary_size: int, config: TreeConfig) -> None:
        super().__init__(vocabulary_size)
        require_kind(config, "config", TreeConfig, "a TreeConfig")
        self.config: TreeConfig = config
        self.layers = Sequential(*_layers(vocabulary_size, config))

    @property
    def context(self) -> int:
        """The number of positions that a prediction sees."""
        return self.config.receptive_field

    @property
    def is_positional(self) -> bool:
        """Whether only `windows` can run the tree: see `fusion.is_positional`."""
        return is_positional(self.layers)

    def windows(self, contexts: Tensor) -> Tensor:
        """Predict what follows each context: int64 (B, context) -> logits (B, V), by `fusion.run_windows`.

        Raises a ModelError for contexts of another length.
        """
        if contexts.ndim != 2 or contexts.shape[1] != self.context:
            raise ModelError(
                f"`contexts` has shape {tuple(contexts.shape)}; it must be (B, {self.context}), the context of this "
                "model: for whole lines call the model itself"
            )
        return run_windows(self.layers, contexts)

    def dilated(self, tokens: Tensor) -> Tensor:
        """Predict at every whole context by `fusion.run_dilated`: (B, T) -> (B, T - context + 1, V)."""
        return run_dilated(self.layers, tokens)

    def unique(self, plan: UniquePlan) -> Tensor:
        """Predict what follows each context of a plan: logits (B, V), by `fusion.run_unique`."""
        return run_unique(self.layers, plan)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V).

        >>> model = Tree(27, TreeConfig(norm="layer"))
        >>> model(torch.zeros(5, 30, dtype=torch.int64), logits_to_keep=23).shape
        torch.Size([5, 23, 27])
        """
        count = tokens.shape[1] if logits_to_keep is None else logits_to_keep
        padding = count + self.context - 1 - tokens.shape[1]  # if negative, it cuts
        padded = F.pad(tokens, (padding, 0))
        if not self.is_positional:
            return self.dilated(padded)
        contexts = padded.unfold(1, self.context, 1)  # (B, T, context)
        return self.windows(contexts.flatten(0, 1)).view(*contexts.shape[:2], -1)

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step; see nn/tree_decoder.py. A tree has no labels."""
        assert starts is None
        if self.is_positional or not (runs_as(self, Tree) and can_decode(self.layers)):  # then it is called each time
            return super().decoder(lines)
        return TreeDecoder(self.layers, lines)


def _layers(vocabulary_size: int, config: TreeConfig) -> list[nn.Module]:
    """List the layers of a tree in the order of the lecture, with fresh weights."""
    layers: list[nn.Module] = [Embedding(vocabulary_size, config.embedding)]
    channels, positions = config.embedding, config.receptive_field
    bias = config.norm in ("rms", "none")  # the other norms have their own, so a bias before them would have no effect
    for n in config.fuse:
        linear = Linear(n * channels, config.hidden, bias=bias)
        layers += [FlattenConsecutive(n), linear]
        positions //= n
        if config.norm == "none":
            _scale(linear, GAINS[config.activation])
        elif config.norm == "batch-per-position":
            layers.append(BatchNorm1dPerPosition(config.hidden, positions))
        else:
            layers.append(NORMS[config.norm](config.hidden))
        layers.append(ACTIVATIONS[config.activation]())
        if config.dropout > 0:
            layers.append(Dropout(config.dropout))
        channels = config.hidden
    head = Linear(channels, vocabulary_size)
    _scale(head, 0.1)  # logits near 0, so that the loss starts at ln V
    return [*layers, head]


def _scale(layer: Linear, factor: float) -> None:
    with torch.no_grad():
        layer.weight.mul_(factor)
