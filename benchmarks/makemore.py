"""makemore's transformer in its default setting, in plain words of its own: what `wavemore bench` measures against.

After https://github.com/karpathy/makemore, `makemore.py` without flags: 4 layers of 4 heads, 64 channels, AdamW at a
fixed rate on 32 names a step. There it goes on until it is stopped; here it ends after `STEPS`. It is trained on the
lecture's split, where makemore keeps 1,000 names for a test, many of which stand in the list twice and so are known.
Nothing here is used for anything else.

B names, T characters of the longest one and its end, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.gpt import GPT, Shape
from wavemore.text.corpus import Corpus, Part

LAYERS, HEADS, CHANNELS = 4, 4, 64
STEPS, BATCH_SIZE = 20_000, 32
LEARNING_RATE, WEIGHT_DECAY, BETAS = 5e-4, 0.01, (0.9, 0.99)
NOTHING = -1
"""The target where a name has ended: it does not count."""


class Makemore:
    """The setting's model, fresh, and its loop."""

    def __init__(self, corpus: Corpus, seed: int = 3407) -> None:
        torch.manual_seed(seed)
        self.context = 1 + corpus.report.longest
        shape = Shape(LAYERS, HEADS, CHANNELS, self.context, bias=True, gelu="tanh", tied=False)
        self.model = GPT(len(corpus.vocabulary), shape)
        self.rows = rows(corpus.train, self.context)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, betas=BETAS, eps=1e-8
        )

    def train(self, steps: int = STEPS) -> Iterator[int]:
        """AdamW on names from anywhere in the list, a step an item: the number of steps done."""
        self.model.train()
        for step in range(steps):
            picked = self.rows[torch.randint(len(self.rows), (BATCH_SIZE,))]
            loss = nats(self.model, picked).sum() / (picked[:, 1:] != NOTHING).sum()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            yield step + 1

    @torch.no_grad()
    def loss(self, part: Part) -> float:
        """Mean nats of all characters of a part, the ends of its names included."""
        self.model.eval()
        total = 0.0
        for some in torch.split(rows(part, self.context), 1_000):
            total += float(nats(self.model, some).double().sum())
        self.model.train()
        return total / part.targets


def rows(part: Part, context: int) -> Tensor:
    """A row a name: the boundary, its characters, the boundary, then nothing: (B, T + 1)."""
    ends = np.flatnonzero(part.tokens == 0)
    found = np.full((len(ends), context + 1), NOTHING, dtype=np.int64)
    found[:, 0] = 0
    for row, name in zip(found, np.split(part.tokens, ends[:-1] + 1), strict=True):
        row[1 : len(name) + 1] = name
    return torch.from_numpy(found)


def nats(model: GPT, picked: Tensor) -> Tensor:
    """-log p of every character of each row but its first, 0 where there is nothing: (B, T + 1) -> (B, T)."""
    logits = model(picked[:, :-1].clamp(min=0))
    return F.cross_entropy(logits.mT, picked[:, 1:], ignore_index=NOTHING, reduction="none")
