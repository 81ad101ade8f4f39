"""A bigram model: the last character alone predicts the next.

Shapes: B lines, T time, V vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from wavemore.errors import require_kind
from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Model, last_positions


@dataclass(frozen=True)
class BigramConfig(ModelConfig):
    """The settings of a bigram model: there are none."""

    @property
    def receptive_field(self) -> int:
        """The last character."""
        return 1

    def describe(self) -> str:
        """Describe the settings in one line."""
        return "a table of logits, one row per character"

    @property
    def label(self) -> str:
        """What the model is."""
        return "table"


class Bigram(Model):
    """Predict the next character from a table of logits, (V, V), with one row per character.

    Shannon counted such a table by hand: "A Mathematical Theory of Communication", 1948,
    https://doi.org/10.1002/j.1538-7305.1948.tb01338.x.
    """

    def __init__(self, vocabulary_size: int, config: BigramConfig) -> None:
        super().__init__(vocabulary_size)
        require_kind(config, "config", BigramConfig, "a BigramConfig")
        self.config = config
        self.table = nn.Embedding(vocabulary_size, vocabulary_size)
        nn.init.normal_(self.table.weight, std=0.1)  # logits near 0: the loss starts at ln V

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        return last_positions(self.table(tokens), logits_to_keep)
