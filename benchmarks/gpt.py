"""The plain GPT that nanoGPT and makemore train, for the two baselines in `nanogpt.py` and `makemore.py`.

After Radford et al., "Language Models are Unsupervised Multitask Learners" (GPT-2): learned positions, a normalisation
before each part, a hidden layer of four times the channels.

B texts, T characters, C channels, V vocabulary.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Shape:
    """The settings in which the two baselines differ."""

    layers: int
    heads: int
    channels: int
    context: int
    """Positions that have a vector; no text is longer."""
    bias: bool
    """Whether linear layers and normalisations have a bias; the head has none."""
    gelu: Literal["none", "tanh"]
    """How the GELU activation is approximated."""
    tied: bool
    """Whether the head shares its weights with the embedding."""


class Block(nn.Module):
    """Causal attention, then a hidden layer, each added to its input: (B, T, C) -> (B, T, C)."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        c, self.heads = shape.channels, shape.heads
        self.attention_norm = nn.LayerNorm(c, bias=shape.bias)
        self.attention = nn.Linear(c, 3 * c, bias=shape.bias)
        self.attention_out = nn.Linear(c, c, bias=shape.bias)
        self.hidden_norm = nn.LayerNorm(c, bias=shape.bias)
        self.hidden = nn.Linear(c, 4 * c, bias=shape.bias)
        self.hidden_out = nn.Linear(4 * c, c, bias=shape.bias)
        self.gelu = nn.GELU(approximate=shape.gelu)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the block."""
        q, k, v = self.attention(self.attention_norm(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))  # (B, heads, T, D) each
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.attention_out(y.transpose(1, 2).flatten(2))
        out: Tensor = x + self.hidden_out(self.gelu(self.hidden(self.hidden_norm(x))))
        return out


class GPT(nn.Module):
    """Predict the next character at every position: int64 (B, T) -> logits (B, T, V)."""

    def __init__(self, vocabulary_size: int, shape: Shape) -> None:
        super().__init__()
        self.characters = nn.Embedding(vocabulary_size, shape.channels)
        self.places = nn.Embedding(shape.context, shape.channels)
        self.blocks = nn.Sequential(*(Block(shape) for _ in range(shape.layers)))
        self.norm = nn.LayerNorm(shape.channels, bias=shape.bias)
        self.head = nn.Linear(shape.channels, vocabulary_size, bias=False)
        if shape.tied:
            self.head.weight = self.characters.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Predict the next character at every position."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.characters(tokens) + self.places(places)
        logits: Tensor = self.head(self.norm(self.blocks(x)))
        return logits

    def parameter_count(self) -> int:
        """Count the trained numbers, the position vectors included."""
        return sum(parameter.numel() for parameter in self.parameters())
