"""A transformer: every position attends to those before it.

Shapes: B lines, T time, C channels, H heads, D = C / H channels of a head, V vocabulary, W positions that an attention
reaches.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import UsageError, require_kind, require_types
from wavemore.nn.config import DROPOUT_HELP, MAX_CONTEXT, MAX_LAYERS, ModelConfig, setting
from wavemore.nn.kernels.torch_internals import runs_as
from wavemore.nn.model import Decoder, Model, last_positions, output_layer


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """The settings of a transformer.

    >>> TransformerConfig(heads=3)
    Traceback (most recent call last):
    wavemore.errors.UsageError: `channels` is 64; 3 heads need a multiple of 6, as each needs an even number
    """

    layers: int = setting(4, "number of blocks, each of attention and a hidden layer")
    heads: int = setting(4, "number of attention heads in a block")
    channels: int = setting(64, "channels of the residual path")
    context: int = setting(64, "number of positions that each attention sees, its own included")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("channels",)

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("layers", "heads", "channels", "context")
        self.require_at_most("layers", MAX_LAYERS)
        self.require_at_most("context", MAX_CONTEXT)
        self.require_fraction("dropout")
        if self.channels % (2 * self.heads):
            need = f"{self.heads} heads need a multiple of {2 * self.heads}, as each needs an even number"
            raise UsageError(f"`channels` is {self.channels}; {need}")

    @property
    def receptive_field(self) -> int:
        """The characters that the last layer sees through all those below it."""
        return 1 + self.layers * (self.context - 1)

    @property
    def label(self) -> str:
        """Layers, heads and channels, such as "4 x 4 heads 64"."""
        return f"{self.layers} x {self.heads} heads {self.channels}"

    @property
    def width(self) -> int:
        """Half of the channels of a head."""
        return self.channels // (2 * self.heads)

    def with_width(self, width: int) -> Self:
        """Return the same settings with other channels."""
        return replace(self, channels=width * 2 * self.heads)


class Transformer(Model):
    """Predict the next character by attention over those before, as far as each attention reaches.

    Vaswani et al., https://arxiv.org/abs/1706.03762, with the normalisations before each part, as in GPT-2. Queries and
    keys are rotated by an angle that grows with the position, Su et al., https://arxiv.org/abs/2104.09864: attention
    depends on the distance of two characters, so a line may be of any length. An attention reaches W positions, as in
    Child et al., https://arxiv.org/abs/1904.10509; with several layers a prediction sees further.
    """

    def __init__(self, vocabulary_size: int, config: TransformerConfig, num_labels: int = 0) -> None:
        super().__init__(vocabulary_size, num_labels)
        require_kind(config, "config", TransformerConfig, "a TransformerConfig")
        self.config: TransformerConfig = config
        self.embedding = nn.Embedding(vocabulary_size + num_labels, config.channels)
        self.blocks = nn.ModuleList(TransformerBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.channels)
        self.head = output_layer(config.channels, vocabulary_size)

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        x = self.embedding(tokens)  # (B, T, C)
        rotation, mask = self.rotation(0, tokens.shape[1], x), self._mask(tokens.shape[1], x.device)
        for block in self.blocks:
            x, _ = block(x, rotation, mask, None)
        return last_positions(self.head(self.norm(x)), logits_to_keep)

    def rotation(self, first: int, count: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Return the cosine and sine of the angles of each pair of channels at each position: (T, D/2) each."""
        half = self.config.channels // self.config.heads // 2
        device = like.device if like.is_cuda else torch.device("cpu")  # other devices may have no float64
        speeds = 10_000.0 ** (-torch.arange(half, dtype=torch.float64, device=device) / half)
        angles = torch.arange(first, first + count, device=device)[:, None] * speeds
        return angles.cos().to(like), angles.sin().to(like)

    def _mask(self, length: int, device: torch.device) -> Tensor | None:
        """Return which positions each one attends to, (T, T); None if these are all positions before it."""
        if not torch.compiler.is_exporting() and length <= self.config.context:  # exported, a line has any length
            return None
        distance = torch.arange(length, device=device)[:, None] - torch.arange(length, device=device)
        return (distance >= 0) & (distance < self.config.context)

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step, after the tokens `starts`, (B,), or after boundaries."""
        if not runs_as(self, Transformer):
            return super().decoder(lines, starts)
        return _TransformerDecoder(self, self.start_tokens(lines, starts))


class TransformerBlock(nn.Module):
    """Attention, then a hidden layer of four times the channels; each is added to its input."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        c = config.channels
        self.heads, self.dropout = config.heads, config.dropout
        self.attention_norm = nn.LayerNorm(c)
        self.attention = nn.Linear(c, 3 * c)
        self.attention_out = nn.Linear(c, c)
        self.hidden_norm = nn.LayerNorm(c)
        self.hidden = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))
        self.drop: nn.Module = nn.Dropout(config.dropout) if config.dropout else nn.Identity()

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], mask: Tensor | None, cache: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Map `x` (B, T, C) to the same shape; also return the keys and values, after those of the `cache`."""
        b, t, c = x.shape
        qkv = self.attention(self.attention_norm(x)).view(b, t, 3, self.heads, c // self.heads)
        q, k, v = qkv.transpose(1, 3).unbind(2)  # (B, H, T, D) each
        q, k = _rotate(q, rotation), _rotate(k, rotation)
        if cache is not None:
            k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, mask, p, is_causal=cache is None and mask is None)
        x = x + self.drop(self.attention_out(y.transpose(1, 2).reshape(b, t, c)))
        return x + self.drop(self.hidden(self.hidden_norm(x))), (k, v)


def _rotate(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate each pair of channels in its plane, (B, H, T, D): a channel and the one D/2 after it are a pair."""
    (cos, sin), (a, b) = rotation, x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


class _TransformerDecoder(Decoder):
    """Keeps the keys and values of the last W - 1 positions."""

    def __init__(self, model: Transformer, starts: Tensor) -> None:
        self.model, self.time = model, 0
        self.caches: list[tuple[Tensor, Tensor] | None] = [None] * len(model.blocks)  # (B, H, up to W - 1, D) each
        self.logits = self.step(starts)

    def step(self, tokens: Tensor) -> Tensor:
        x = self.model.embedding(tokens[:, None])  # (B, 1, C)
        rotation = self.model.rotation(self.time, 1, x)
        for number, block in enumerate(self.model.blocks):
            x, (k, v) = block(x, rotation, None, self.caches[number])
            first = max(0, k.shape[2] - (self.model.config.context - 1))
            self.caches[number] = k[:, :, first:], v[:, :, first:]
        self.time += 1
        self.logits = self.model.head(self.model.norm(x[:, 0]))
        return self.logits

    def select(self, rows: Tensor) -> None:
        self.caches = [
            cache and (cache[0].index_select(0, rows), cache[1].index_select(0, rows)) for cache in self.caches
        ]
        self.logits = self.logits.index_select(0, rows)
