"""nanoGPT's CPU setting, re-created: the baseline of `wavenet_text_ratio`.

After https://github.com/karpathy/nanoGPT, `config/train_shakespeare_char.py` with the flags that its README gives for
a CPU: 4 layers of 4 heads, 128 channels, blocks of 64 characters, 2,000 steps of 12 blocks. The text is
tinyshakespeare, and its first 90 % are train.

B blocks, T characters, V vocabulary.
"""

from collections.abc import Iterator
from math import cos, pi

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpt import GPT, Shape
from wavemore.text.parts import TextPart
from wavemore.text.text_corpus import TextCorpus

SHAPE = Shape(layers=4, heads=4, channels=128, context=64, bias=False, gelu="none", tied=True)
STEPS, BATCH_SIZE = 2_000, 12
LEARNING_RATE, LEAST_LEARNING_RATE, WARMUP = 1e-3, 1e-4, 100
WEIGHT_DECAY, BETAS, CLIP = 0.1, (0.9, 0.99), 1.0


class NanoGPT:
    """The model with fresh weights, and its training loop."""

    def __init__(self, corpus: TextCorpus, seed: int = 1337) -> None:
        torch.manual_seed(seed)
        self.tokens = torch.from_numpy(corpus.train.tokens.astype(np.int64))
        self.model = GPT(len(corpus.vocabulary), SHAPE)
        for name, parameter in self.model.named_parameters():
            if parameter.ndim == 2:
                # The two additions to the residual path per layer start smaller, so that the path does not grow.
                added = name.endswith("_out.weight")
                nn.init.normal_(parameter, std=0.02 / (2 * SHAPE.layers) ** 0.5 if added else 0.02)
        matrices = [parameter for parameter in self.model.parameters() if parameter.ndim == 2]
        gains = [parameter for parameter in self.model.parameters() if parameter.ndim == 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": gains, "weight_decay": 0.0}],
            lr=LEARNING_RATE,
            betas=BETAS,
        )

    def train(self, steps: int = STEPS) -> Iterator[int]:
        """Train by AdamW on random blocks of the text; yield the number of steps done after each step."""
        self.model.train()
        for step in range(steps):
            for group in self.optimizer.param_groups:
                group["lr"] = learning_rate(step)
            starts = torch.randint(len(self.tokens) - SHAPE.context, (BATCH_SIZE,))
            blocks = torch.stack([self.tokens[start : start + SHAPE.context + 1] for start in starts.tolist()])
            loss = nats(self.model, blocks).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.model.parameters(), CLIP)
            self.optimizer.step()
            yield step + 1

    @torch.no_grad()
    def loss(self, part: TextPart, counted: int = SHAPE.context) -> float:
        """Return the mean nats of every character of a part but the first, which has no character before it.

        Blocks do not overlap, and a character is predicted from the earlier ones of its block: contexts of 1 to 64
        characters, as in the random blocks over which nanoGPT averages. With `counted` below 64 blocks overlap, and
        only the last `counted` characters of each count: contexts of 65 - `counted` to 64 characters.
        """
        self.model.eval()
        tokens = torch.from_numpy(part.tokens.astype(np.int64))
        context = SHAPE.context
        total, done = 0.0, 1  # characters predicted so far, the first one included
        first = min(context, len(tokens) - 1)
        total += float(nats(self.model, tokens[None, : first + 1]).double().sum())
        done += first
        while done < len(tokens):
            rows = max(1, min(64, (len(tokens) - done) // counted))
            new = min(counted, len(tokens) - done)  # fewer in the last block
            ends = done + new + counted * torch.arange(rows)
            before = new if counted == context else context
            blocks = tokens[ends[:, None] + torch.arange(-before - 1, 0)]
            total += float(nats(self.model, blocks)[:, -new:].double().sum())
            done += rows * new
        return total / (len(tokens) - 1)


def learning_rate(step: int) -> float:
    """Return the learning rate of a step, counted from 0: a linear warm-up, then a cosine decay."""
    if step < WARMUP:
        return LEARNING_RATE * (step + 1) / (WARMUP + 1)
    fallen = (step - WARMUP) / (STEPS - WARMUP)
    return LEAST_LEARNING_RATE + 0.5 * (1 + cos(pi * fallen)) * (LEARNING_RATE - LEAST_LEARNING_RATE)


def nats(model: GPT, blocks: Tensor) -> Tensor:
    """Return -log p of every character of each block but its first: (B, T + 1) -> (B, T)."""
    logits = model(blocks[:, :-1])
    return F.cross_entropy(logits.mT, blocks[:, 1:], reduction="none")
