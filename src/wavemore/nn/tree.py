"""The tree: a context whose positions are fused step by step until one is left, as in the lecture.

With `fuse=(2, 2, 2)` characters become bigrams, bigrams four-grams, four-grams eight-grams; `fuse=(8,)` is
the flat MLP and `fuse=(1,)` a bigram net. After Karpathy, "Building makemore Part 5: Building a WaveNet",
https://www.youtube.com/watch?v=t3YJ5hKiMQ0, and van den Oord et al., https://arxiv.org/abs/1609.03499.

Shapes: B batch, T time, C channels, V vocabulary.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import ModelError
from wavemore.nn.config import TreeConfig
from wavemore.nn.fusion import UniquePlan, run_dilated, run_unique, run_windows
from wavemore.nn.layers import (
    ACTIVATIONS,
    NORMS,
    BatchNorm1dPerPosition,
    Dropout,
    Embedding,
    FlattenConsecutive,
    Linear,
    Sequential,
)
from wavemore.nn.model import Model, Stream

__all__ = ["Tree", "TreeConfig"]

# Without a normalisation each Linear makes up for the variance that its activation takes away:
# 1 / sqrt(E[f(z)^2]) for a standard normal z, and for tanh the 5/3 that torch and the lecture use.
GAINS = {"tanh": 5 / 3, "relu": math.sqrt(2), "gelu": 1.5335, "silu": 1.6766}


class Tree(Model):
    """Predict the next character from the `config.context` ones before it.

    The layers are the lecture's, in its order: Embedding, then for every fusion FlattenConsecutive, Linear,
    norm, activation; then a Linear whose weight starts at a tenth, so that a fresh model's loss is ln V.
    `model(tokens)` is the `windows` execution; `model.dilated(tokens)` and `model.unique(plan)` run the
    same weights in the other two ways. With norm "batch" a prediction is independent of other positions and
    examples in eval mode only.

    >>> model = Tree(27, TreeConfig(fuse=(2, 2, 2), embedding=24, hidden=128))
    >>> model(torch.zeros(32, 8, dtype=torch.int64)).shape
    torch.Size([32, 27])
    >>> model.parameter_count()
    76579
    """

    def __init__(self, vocabulary_size: int, config: TreeConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: TreeConfig = config
        self.layers = Sequential(*_layers(vocabulary_size, config))

    @property
    def context(self) -> int:
        """The number of positions that a prediction sees."""
        return self.config.context

    @property
    def is_positional(self) -> bool:
        """Whether a part of the tree acts otherwise at another position: then only `windows` can run it."""
        return any(isinstance(layer, BatchNorm1dPerPosition) for layer in self.layers)

    def forward(self, tokens: Tensor) -> Tensor:
        """Predict what follows each context: int64 (B, context) -> logits (B, V), by `fusion.run_windows`.

        Raises a ModelError for contexts of another length.
        """
        if tokens.ndim != 2 or tokens.shape[1] != self.context:
            raise ModelError(
                f"this model takes contexts of {self.context} tokens, (B, {self.context}), but was given "
                f"{tuple(tokens.shape)}; for lines of other lengths call model.dilated"
            )
        return run_windows(self.layers, tokens)

    def dilated(self, tokens: Tensor) -> Tensor:
        """Predict at every whole context: (B, T) -> (B, T - context + 1, V), by `fusion.run_dilated`.

        >>> model = Tree(27, TreeConfig(fuse=(2, 2)))
        >>> model.dilated(torch.zeros(1, 100, dtype=torch.int64)).shape
        torch.Size([1, 97, 27])
        """
        return run_dilated(self.layers, tokens)

    def unique(self, plan: UniquePlan) -> Tensor:
        """Predict what follows each context of a plan: logits (B, V), by `fusion.run_unique`.

        >>> from wavemore.nn.fusion import plan_of
        >>> model = Tree(27, TreeConfig(fuse=(2, 2)))
        >>> model.unique(plan_of(torch.zeros(32, 4, dtype=torch.int64), fuse=(2, 2))).shape
        torch.Size([32, 27])
        """
        return run_unique(self.layers, plan)

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position of lines that begin with a boundary: (B, T) -> (B, T, V).

        >>> Tree(27, TreeConfig(norm="layer")).logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape
        torch.Size([5, 3, 27])
        """
        return self.dilated(F.pad(tokens, (self.context - 1, 0)))

    def logits_at_last(self, tokens: Tensor, count: int) -> Tensor:
        """The same for the last positions alone, the others are only seen: (B, T) -> (B, count, V).

        >>> Tree(27, TreeConfig(norm="layer")).logits_at_last(torch.zeros(5, 30, dtype=torch.int64), count=23).shape
        torch.Size([5, 23, 27])
        """
        needed = count + self.context - 1
        return self.dilated(F.pad(tokens, (needed - tokens.shape[1], 0)))  # or cut, where it is less than none

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step; see nn/stream.py."""
        from wavemore.nn.tree_decoder import stream_of

        return stream_of(self, lines)


def _layers(vocabulary_size: int, config: TreeConfig) -> list[nn.Module]:
    """List the layers of a tree in the order of the lecture, with fresh weights."""
    layers: list[nn.Module] = [Embedding(vocabulary_size, config.embedding)]
    channels, positions = config.embedding, config.context
    # A norm with a bias of its own makes that of the Linear before it idle (after BatchNorm1d, exactly).
    bias = config.norm in ("rms", "none")
    for n in config.fuse:
        mix = Linear(n * channels, config.hidden, bias=bias)
        layers += [FlattenConsecutive(n), mix]
        positions //= n
        if config.norm == "none":
            _scale(mix, GAINS[config.activation])
        elif config.norm == "batch-per-position":
            layers.append(BatchNorm1dPerPosition(config.hidden, positions))
        else:
            layers.append(NORMS[config.norm](config.hidden))
        layers.append(ACTIVATIONS[config.activation]())
        if config.dropout > 0:
            layers.append(Dropout(config.dropout))
        channels = config.hidden
    head = Linear(channels, vocabulary_size)
    _scale(head, 0.1)  # no opinion yet: logits near 0, so the loss starts at ln V
    return [*layers, head]


def _scale(layer: Linear, factor: float) -> None:
    with torch.no_grad():
        layer.weight.mul_(factor)
