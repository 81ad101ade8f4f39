"""New text from a model of continuous text: characters without end, until there are enough.

B texts drawn at once, V vocabulary.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.evaluate import eval_mode
from wavemore.engine.generate_lines import draw, probabilities
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError
from wavemore.nn.model import Model, read
from wavemore.text.vocabulary import Vocabulary

PIECE = 16
"""Characters that are drawn before they are handed out: to switch a model's mode takes longer than a character."""


class Written(NamedTuple):
    """A text that a model wrote."""

    text: str
    """The prefix, and what was drawn after it."""
    nats: float
    """Surprise of what was drawn, at temperature 1."""


def write(model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling) -> list[Written]:
    """Draw `length` characters after the prefix, `n` times; as in the data, nothing stands before the prefix.

    Of `sampling` the temperature, top-k, top-p, prefix and seed count: a text has no end to be drawn. Raises
    `UnknownCharacterError` for a prefix that the model cannot read.

    >>> from wavemore.nn.config import TreeConfig
    >>> from wavemore.nn.models import build
    >>> model = build("tree", 3, TreeConfig(fuse=(2,), norm="none"), seed=0)
    >>> [len(written.text) for written in write(model, Vocabulary("ab"), 2, 30, Sampling(prefix="abba"))]
    [34, 34]
    """
    steps = list(characters(model, vocabulary, n, length, sampling))
    nats = sum((step.nats for step in steps), np.zeros(n))
    ids = np.stack([step.ids for step in steps], axis=1) if steps else np.zeros((n, 0), np.int64)  # (B, length)
    return [
        Written(sampling.prefix + vocabulary.decode_text(row), float(surprise))
        for row, surprise in zip(ids, nats, strict=True)
    ]


class Step(NamedTuple):
    """The next character of each text: its id and its surprise, (B,)."""

    ids: NDArray[np.int64]
    nats: NDArray[np.float64]


def characters(model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling) -> Iterator[Step]:
    """The same, one character of each text after the other, as they are drawn."""
    if n < 0:
        raise UsageError(f"n is {n}; it must be 0 or more")
    if length < 1:
        raise UsageError(f"the length is {length}; it must be 1 or more")
    prefix = vocabulary.encode_text(sampling.prefix).astype(np.int64)
    return _characters(model, torch.from_numpy(prefix), n, length, sampling) if n else iter(())


def _characters(model: Model, prefix: Tensor, n: int, length: int, sampling: Sampling) -> Iterator[Step]:
    generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU: the same texts whatever the device
    rows = torch.arange(n)
    with eval_mode(model):
        stream = model.stream(1)
        if len(prefix):
            read(stream, prefix[None].to(model.device))
        stream.keep(torch.zeros(n, dtype=torch.int64, device=model.device))  # the same beginning, n times
    for start in range(0, length, PIECE):
        piece = []
        with eval_mode(model):  # not around a yield: the caller's code is not ours to switch
            for _ in range(min(PIECE, length - start)):
                logits = stream.logits.cpu()  # (B, V)
                chosen = draw(probabilities(logits, sampling, sampling.min_length), rows, generator)  # (B,)
                nats = logits.double().logsumexp(dim=1) - logits.double().gather(1, chosen[:, None]).squeeze(1)
                stream.step(chosen.to(model.device))
                piece.append(Step(chosen.numpy(), nats.numpy()))
        yield from piece
