"""What all models have in common: from tokens so far to what comes next, at every position or a character at a time.

Shapes: B lines, T time, V vocabulary, K lines that are kept.
"""

from abc import ABC, abstractmethod
from itertools import chain
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from wavemore.errors import UsageError
from wavemore.nn.config import ModelConfig


class Stream(Protocol):
    """B lines that grow by a character a step; before the first one stand boundary tokens.

    The model must be in eval mode, and its weights must stay as they are, for as long as the stream is used.
    """

    @property
    def logits(self) -> Tensor:
        """What the model says of the next character of each line: (B, V)."""

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""


@runtime_checkable
class Reader(Stream, Protocol):
    """A stream that takes many characters at once faster than one by one."""

    def read(self, tokens: Tensor) -> Tensor:
        """Take T more characters a line, (B, T), and return what was said of each before: (B, T, V)."""


def read(stream: Stream, tokens: Tensor) -> Tensor:
    """Let a stream take T characters a line, (B, T), and return what it said of each before: (B, T, V)."""
    if isinstance(stream, Reader):
        return stream.read(tokens)
    logits = []
    for token in tokens.unbind(dim=1):
        logits.append(stream.logits)
        stream.step(token)
    return torch.stack(logits, dim=1)


class Model(nn.Module, ABC):
    """Predict the next character from those before it."""

    config: ModelConfig

    def __init__(self, vocabulary_size: int) -> None:
        super().__init__()
        if vocabulary_size < 2:
            raise UsageError(f"a vocabulary has the boundary and one character or more, not {vocabulary_size} tokens")
        self.vocabulary_size = vocabulary_size

    @property
    def context(self) -> int | None:
        """The number of tokens that a prediction sees; None where it is all of them."""
        return self.config.receptive_field

    @abstractmethod
    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V).

        A line begins with the boundary token, id 0, so that its first prediction is that of its first character;
        before it stand boundary tokens too, as far as the model sees. No prediction depends on a later token (of a
        model with batch statistics: in eval mode).
        """

    def logits_at_last(self, tokens: Tensor, count: int) -> Tensor:
        """The same for the last positions alone, the others are only seen: (B, T) -> (B, count, V)."""
        return self.logits_at_every(tokens)[:, -count:]

    @abstractmethod
    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step."""

    def parameter_count(self) -> int:
        """Count the trained numbers: weights and biases, no running statistics."""
        return sum(parameter.numel() for parameter in self.parameters())

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(chain(self.parameters(), self.buffers())).device

    def _repr_html_(self) -> str:
        from wavemore.nn.display import model_html

        return model_html(self)


class LineModel(Model):
    """A model that is run on whole lines; called like any torch module, it predicts at every position."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V); see `logits_at_every`."""
        return self.logits_at_every(tokens)


def are_all(rows: Tensor, lines: int) -> bool:
    """Whether the rows that are kept are all of them, as they are.

    >>> are_all(torch.tensor([0, 1, 2]), 3), are_all(torch.tensor([0, 2]), 3)
    (True, False)
    """
    return len(rows) == lines and bool((rows == torch.arange(lines, device=rows.device)).all())
