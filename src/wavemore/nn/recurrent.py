"""Recurrent networks: an RNN, a GRU or an LSTM of torch.

Shapes: B lines, T time, C channels, V vocabulary.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wavemore.nn.config import DROPOUT_HELP, MAX_LAYERS, ModelConfig, setting
from wavemore.nn.model import Decoder, Model, last_positions, output_layer


@dataclass(frozen=True)
class RecurrentConfig(ModelConfig):
    """The settings of a recurrent network: an RNN, a GRU or an LSTM."""

    embedding: int = setting(64, "channels of a character's vector")
    hidden: int = setting(128, "channels of the state")
    layers: int = setting(1, "number of layers")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("hidden",)

    def __post_init__(self) -> None:
        self.require_sizes("embedding", "hidden", "layers")
        self.require_at_most("layers", MAX_LAYERS)
        self.require_fraction("dropout")

    @property
    def receptive_field(self) -> None:
        """The whole line so far."""
        return None

    @property
    def label(self) -> str:
        """Layers and channels, such as "2 x 64/128"."""
        return (f"{self.layers} x " if self.layers > 1 else "") + f"{self.embedding}/{self.hidden}"


class Recurrent(Model):
    """Read a line character by character into a state, and predict from the state.

    - RNN: Elman, "Finding Structure in Time", https://doi.org/10.1207/s15516709cog1402_1; as a language model:
      Mikolov et al., https://www.isca-archive.org/interspeech_2010/mikolov10_interspeech.html
    - GRU: Cho et al., https://arxiv.org/abs/1406.1078
    - LSTM: Hochreiter and Schmidhuber, https://doi.org/10.1162/neco.1997.9.8.1735
    """

    def __init__(
        self, vocabulary_size: int, config: RecurrentConfig, kind: type[nn.RNN] | type[nn.GRU] | type[nn.LSTM]
    ) -> None:
        super().__init__(vocabulary_size)
        self.config = config
        self.embedding = nn.Embedding(vocabulary_size, config.embedding)
        between = config.dropout if config.layers > 1 else 0.0
        self.cells = kind(config.embedding, config.hidden, config.layers, batch_first=True, dropout=between)
        self.drop: nn.Module = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.head = output_layer(config.hidden, vocabulary_size)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        states, _ = self.cells(self.embedding(tokens))  # (B, T, C)
        return last_positions(self.head(self.drop(states)), logits_to_keep)

    def decoder(self, lines: int) -> Decoder:
        """Start lines that grow by one character per step."""
        return _RecurrentDecoder(self, lines)


class _RecurrentDecoder(Decoder):
    """Keeps the state of each layer."""

    def __init__(self, model: Recurrent, lines: int) -> None:
        self.model = model
        self.state: Tensor | tuple[Tensor, Tensor] | None = None  # (layers, B, C); that of an LSTM is a pair
        self.logits = self.step(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        states, self.state = self.model.cells(self.model.embedding(tokens[:, None]), self.state)
        self.logits = self.model.head(states[:, 0])
        return self.logits

    def prefill(self, tokens: Tensor) -> Tensor:
        states, self.state = self.model.cells(self.model.embedding(tokens), self.state)
        after = self.model.head(states)
        before = torch.cat([self.logits[:, None], after[:, :-1]], dim=1)
        self.logits = after[:, -1]
        return before

    def select(self, rows: Tensor) -> None:
        if isinstance(self.state, tuple):
            self.state = self.state[0].index_select(1, rows), self.state[1].index_select(1, rows)
        elif self.state is not None:
            self.state = self.state.index_select(1, rows)
        self.logits = self.logits.index_select(0, rows)
