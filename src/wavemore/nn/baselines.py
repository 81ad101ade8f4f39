"""The models that a new one has to beat: thin modules over torch.nn, each with its paper.

Shapes: B lines, T time, C channels, V vocabulary.
"""

import torch
from torch import Tensor, nn

from wavemore.nn.config import BigramConfig
from wavemore.nn.model import LineModel


class Bigram(LineModel):
    """Look up what follows a character: a table of logits, (V, V).

    Shannon, "A Mathematical Theory of Communication" (1948), counted the same table by hand.

    >>> Bigram(27, BigramConfig()).logits_at_every(torch.zeros(5, 3, dtype=torch.int64)).shape
    torch.Size([5, 3, 27])
    """

    def __init__(self, vocabulary_size: int, config: BigramConfig) -> None:
        super().__init__(vocabulary_size)
        self.config = config
        self.table = nn.Embedding(vocabulary_size, vocabulary_size)
        nn.init.normal_(self.table.weight, std=0.1)  # no opinion yet: the loss starts at ln V

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position: int64 (B, T) -> logits (B, T, V)."""
        logits: Tensor = self.table(tokens)
        return logits

    def stream(self, lines: int) -> "BigramStream":
        """Begin lines that grow by a character a step."""
        return BigramStream(self, lines)


class BigramStream:
    """The last character of each line is all that counts."""

    def __init__(self, model: Bigram, lines: int) -> None:
        self.model = model
        self.logits: Tensor = model.table(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        self.logits = self.model.table(tokens)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        self.logits = self.logits.index_select(0, rows)
