"""makemore's transformer in its default setting, re-created: the baseline of `transformer_ratio`.

After https://github.com/karpathy/makemore, `makemore.py` without flags: 4 layers of 4 heads, 64 channels, AdamW at a
fixed rate on 32 names per step. makemore trains until it is stopped; here training ends after `STEPS`. It uses the
lecture's split. (makemore itself holds out 1,000 names, and many of them are in its train part too.)

B names, T positions (the longest name and its end), V vocabulary.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpt import GPT, Shape
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import LinePart

LAYERS, HEADS, CHANNELS = 4, 4, 64
STEPS, BATCH_SIZE = 20_000, 32
LEARNING_RATE, WEIGHT_DECAY, BETAS = 5e-4, 0.01, (0.9, 0.99)
NOTHING = -1
"""The target after the end of a name; it does not count."""


class Makemore:
    """The model with fresh weights, and its training loop."""

    def __init__(self, corpus: LineCorpus, seed: int = 3407) -> None:
        torch.manual_seed(seed)
        self.context = 1 + corpus.longest_line
        shape = Shape(LAYERS, HEADS, CHANNELS, self.context, bias=True, gelu="tanh", tied=False)
        self.model = GPT(len(corpus.vocabulary), shape)
        self.rows = rows(corpus.train, self.context)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=BETAS, eps=1e-8
        )

    def train(self, steps: int = STEPS) -> Iterator[int]:
        """Train by AdamW on random names; yield the number of steps done after each step."""
        self.model.train()
        for step in range(steps):
            batch = self.rows[torch.randint(len(self.rows), (BATCH_SIZE,))]
            loss = nats(self.model, batch).sum() / (batch[:, 1:] != NOTHING).sum()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            yield step + 1

    @torch.no_grad()
    def loss(self, part: LinePart) -> float:
        """Mean nats of all characters of a part, the ends of its names included."""
        self.model.eval()
        total = 0.0
        for chunk in torch.split(rows(part, self.context), 1_000):
            total += float(nats(self.model, chunk).double().sum())
        self.model.train()
        return total / part.num_targets


def rows(part: LinePart, context: int) -> Tensor:
    """Lay out one name per row: the boundary, its characters, the boundary, then `NOTHING`: (B, T + 1)."""
    ends = np.flatnonzero(part.tokens == 0)
    ids = np.full((len(ends), context + 1), NOTHING, dtype=np.int64)
    ids[:, 0] = 0
    for row, name in zip(ids, np.split(part.tokens, ends[:-1] + 1), strict=True):
        row[1 : len(name) + 1] = name
    return torch.from_numpy(ids)


def nats(model: GPT, batch: Tensor) -> Tensor:
    """Return -log p of every character of each row but its first, 0 for `NOTHING`: (B, T + 1) -> (B, T)."""
    logits = model(batch[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.mT, batch[:, 1:], ignore_index=NOTHING, reduction="none")
