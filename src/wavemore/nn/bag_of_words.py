"""A bag of words, whose words are characters: their order does not matter, except for the last one.

Shapes: B lines, T time, C channels, V vocabulary, W characters in the bag.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import require_kind, require_types
from wavemore.nn.config import MAX_CONTEXT, ModelConfig, setting
from wavemore.nn.kernels.torch_internals import runs_as
from wavemore.nn.model import Decoder, Model, last_positions, output_layer


@dataclass(frozen=True)
class BowConfig(ModelConfig):
    """The settings of a bag of words."""

    context: int = setting(8, "number of characters that a prediction depends on")
    embedding: int = setting(64, "channels of a character's vector")
    hidden: int = setting(64, "channels of the hidden layer")
    width_settings = ("embedding", "hidden")

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("context", "embedding", "hidden")
        self.require_at_most("context", MAX_CONTEXT)

    @property
    def receptive_field(self) -> int:
        """The context."""
        return self.context

    @property
    def label(self) -> str:
        """Context and channels, such as "8 64/64"."""
        return f"{self.context} {self.embedding}/{self.hidden}"


class BagOfWords(Model):
    """Predict the next character from the vector of the last one and the mean vector of the last W.

    It is the bag of words of makemore. With words instead of characters: Mikolov et al.,
    https://arxiv.org/abs/1301.3781.
    """

    def __init__(self, vocabulary_size: int, config: BowConfig) -> None:
        super().__init__(vocabulary_size)
        require_kind(config, "config", BowConfig, "a BowConfig")
        self.config: BowConfig = config
        c = config.embedding
        self.embedding = nn.Embedding(vocabulary_size, c)
        self.hidden = nn.Sequential(nn.Linear(c, config.hidden), nn.Tanh(), nn.Linear(config.hidden, c))
        self.head = output_layer(c, vocabulary_size)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        x = self.embedding(tokens)  # (B, T, C)
        # The first position of a line is a boundary, and so are all positions before it.
        before = x[:, :1].expand(-1, self.config.context - 1, -1)
        means = F.avg_pool1d(torch.cat([before, x], dim=1).mT, self.config.context, stride=1).mT
        return last_positions(self.predict(x, means), logits_to_keep)

    def predict(self, last: Tensor, mean: Tensor) -> Tensor:
        """Predict from the last vector and the mean vector: (..., C), (..., C) -> (..., V)."""
        y = last + mean
        logits: Tensor = self.head(y + self.hidden(y))
        return logits

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step."""
        return _BagOfWordsDecoder(self, lines) if runs_as(self, BagOfWords) else super().decoder(lines)


class _BagOfWordsDecoder(Decoder):
    """Keeps the vectors of the last W characters."""

    def __init__(self, model: BagOfWords, lines: int) -> None:
        self.model = model
        boundaries = torch.zeros(lines, model.config.context, dtype=torch.int64, device=model.device)
        self.bag: Tensor = model.embedding(boundaries)  # (B, W, C)
        self.logits = model.predict(self.bag[:, -1], self.bag.mean(dim=1))

    def step(self, tokens: Tensor) -> Tensor:
        x = self.model.embedding(tokens)
        self.bag = torch.cat([self.bag[:, 1:], x[:, None]], dim=1)
        self.logits = self.model.predict(x, self.bag.mean(dim=1))
        return self.logits

    def select(self, rows: Tensor) -> None:
        self.bag, self.logits = self.bag.index_select(0, rows), self.logits.index_select(0, rows)
