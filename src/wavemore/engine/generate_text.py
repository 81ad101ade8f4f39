"""New text from a model of continuous text.

Shapes: B texts drawn at once, T characters of the prefix or of the text, V vocabulary.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batchers import nats_of
from wavemore.engine.evaluate import eval_mode
from wavemore.engine.generate_lines import draw, probabilities
from wavemore.engine.sampling import Sampling
from wavemore.errors import require
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

    Raises `UnknownCharacterError` for a prefix with a character that is not in the vocabulary.
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
    prefix = vocabulary.encode_text(vocabulary.clean(sampling.prefix)).astype(np.int64)
    return _stream(model, torch.from_numpy(prefix), n, length, sampling) if n else iter(())


def _stream(model: Model, prefix: Tensor, n: int, length: int, sampling: Sampling) -> Iterator[Step]:
    generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU: the same on every device
    rows = torch.arange(n)
    with eval_mode(model):
        decoder = model.decoder(1)
        if len(prefix):
            decoder.prefill(prefix[None].to(model.device))
        decoder.select(torch.zeros(n, dtype=torch.int64, device=model.device))  # n copies of the prefix
    for start in range(0, length, CHUNK):
        steps = []
        with eval_mode(model):  # not around `yield`, so that the caller finds the model's own mode
            for _ in range(min(CHUNK, length - start)):
                logits = decoder.logits.cpu()  # (B, V)
                ids = draw(probabilities(logits, sampling, sampling.min_length), rows, generator)  # (B,)
                decoder.step(ids.to(model.device))
                steps.append(Step(ids.numpy(), nats_of(logits.double(), ids).numpy()))
        yield from steps
