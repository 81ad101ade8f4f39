"""New text from a model of continuous text.

Shapes: B texts drawn at once, T characters of the prefix or of the text, V vocabulary.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batcher import nats_of
from wavemore.engine.draw import draw, probabilities
from wavemore.engine.evaluate import eval_mode
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError, require
from wavemore.nn.model import Model
from wavemore.text.vocabulary import Vocabulary

CHUNK = 16  # characters drawn before they are yielded: switching to eval mode takes longer than one character


class GeneratedText(NamedTuple):
    """A generated text."""

    text: str
    """The prefix and the characters drawn after it."""
    nats: float
    """-log p of the drawn characters, at temperature 1."""


def generate_text(model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling) -> list[GeneratedText]:
    """Draw `n` texts of `length` characters after the prefix, which begins the text.

    Raises `UnknownCharacterError` for a prefix with a character that is not in the vocabulary, and `ModelError` if the
    vocabulary is not the model's.
    """
    steps = list(stream_text(model, vocabulary, n, length, sampling))
    nats = sum((step.nats for step in steps), np.zeros(n))
    ids = np.stack([step.ids for step in steps], axis=1) if steps else np.zeros((n, 0), np.int64)  # (B, T)
    return [
        GeneratedText(vocabulary.clean(sampling.prefix) + vocabulary.decode_text(row), float(row_nats))
        for row, row_nats in zip(ids, nats, strict=True)
    ]


class Step(NamedTuple):
    """The next character of each text, its id and its -log p: (B,) each."""

    ids: NDArray[np.int64]
    nats: NDArray[np.float64]


def stream_text(model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling) -> Iterator[Step]:
    """Draw the same texts as `generate_text`, and yield their characters as they are drawn, without the prefix."""
    require(n >= 0, "n", n, "at least 0")
    require(length >= 1, "length", length, "at least 1")
    model.require_vocabulary(vocabulary.characters)
    if sampling.label:
        raise UsageError("`label` is for lines, and this makes continuous text: leave it out")
    prefix = vocabulary.encode_text(vocabulary.clean(sampling.prefix)).astype(np.int64)
    return _stream(model, torch.from_numpy(prefix), n, length, sampling) if n else iter(())


def _stream(model: Model, prefix: Tensor, n: int, length: int, sampling: Sampling) -> Iterator[Step]:
    with eval_mode(model):
        groups = _groups(model, prefix, n, sampling.seed)
    for start in range(0, length, CHUNK):
        steps = []
        with eval_mode(model):  # not around `yield`, so that the caller finds the model's own mode
            for _ in range(min(CHUNK, length - start)):
                drawn = [group.step(sampling) for group in groups]
                steps.append(Step(*(np.concatenate(parts)[:n] for parts in zip(*drawn, strict=True))))
        yield from steps


class _Group:
    """Texts that are drawn together, with random numbers of their own."""

    def __init__(self, model: Model, prefix: Tensor, size: int, seed: int) -> None:
        self.device, self.rows = model.device, torch.arange(size)
        self.generator = torch.Generator().manual_seed(seed)  # on the CPU: the same on every device
        self.decoder = model.decoder(1)
        if len(prefix):
            self.decoder.prefill(prefix[None].to(self.device))
        self.decoder.select(torch.zeros_like(self.rows).to(self.device))  # copies of the prefix

    def step(self, sampling: Sampling) -> Step:
        logits = self.decoder.logits.cpu()  # (B, V)
        ids = draw(probabilities(logits, sampling), self.rows, self.generator)  # (B,)
        self.decoder.step(ids.to(self.device))
        return Step(ids.numpy(), nats_of(logits.double(), ids).numpy())


def _groups(model: Model, prefix: Tensor, n: int, seed: int) -> list[_Group]:
    """Return groups of 1, 3, 12, 48, ... texts, at least n in all.

    Texts drawn together may round differently from the same texts drawn alone. So that more texts begin with the same
    ones, the groups do not depend on n, but for their number.
    """
    groups, count = [], 0
    while count < n:
        group_seed = int(np.random.SeedSequence([seed, count]).generate_state(1, np.uint64)[0]) if count else seed
        groups.append(_Group(model, prefix, max(1, 3 * count), group_seed % 2**63))
        count += len(groups[-1].rows)
    return groups
