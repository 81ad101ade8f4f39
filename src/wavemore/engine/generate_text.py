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
from wavemore.errors import A_SAMPLING, A_VOCABULARY, UsageError, require_kind, typed, whole
from wavemore.nn.model import Model, require_model
from wavemore.text.vocabulary import Vocabulary

CHUNK = 16  # characters drawn before they are yielded: switching to eval mode takes longer than one character


class GeneratedText(NamedTuple):
    """A generated text."""

    text: str
    """The prefix and the characters drawn after it."""
    nats: float
    """-log p of the drawn characters, at temperature 1."""
    num_drawn: int
    """The drawn characters."""

    @property
    def nats_per_char(self) -> float:
        """The mean over the drawn characters."""
        return self.nats / self.num_drawn


def generate_text(
    model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling, stop: str = ""
) -> list[GeneratedText]:
    """Draw `n` texts of `length` characters after the prefix, which begins the text.

    With `stop`, such as ".", each ends after the first occurrence of that among the drawn characters, if there is one.

    Raises `UnknownCharacterError` for a prefix or a `stop` with a character that is not in the vocabulary, and
    `ModelError` if the vocabulary is not the model's.
    """
    steps = list(stream_text(model, vocabulary, n, length, sampling, stop))
    if not steps:
        return []
    ids, nats = (np.stack(columns, axis=1) for columns in zip(*steps, strict=True))  # (B, T) each
    prefix, stop = vocabulary.clean(sampling.prefix), vocabulary.clean(stop)
    texts = []
    for row, row_nats in zip(ids, nats, strict=True):
        text = vocabulary.decode_text(row)
        end = text.find(stop) + len(stop) if stop and stop in text else len(text)
        texts.append(GeneratedText(prefix + text[:end], float(row_nats[:end].cumsum()[-1]), end))
    return texts


class Step(NamedTuple):
    """The next character of each text, its id and its -log p: (B,) each."""

    ids: NDArray[np.int64]
    nats: NDArray[np.float64]


def stream_text(
    model: Model, vocabulary: Vocabulary, n: int, length: int, sampling: Sampling, stop: str = ""
) -> Iterator[Step]:
    """Draw the same texts as `generate_text`, and yield their characters as they are drawn, without the prefix.

    With `stop` it ends with the text that is the last to end; what the others draw until then is not theirs.
    """
    n, length, stop = whole(n, "n"), whole(length, "length", least=1), typed(stop, "stop", str)
    require_model(model)
    require_kind(vocabulary, "vocabulary", Vocabulary, A_VOCABULARY)
    require_kind(sampling, "sampling", Sampling, A_SAMPLING)
    model.require_vocabulary(vocabulary.characters)
    if sampling.label:
        raise UsageError("`label` is for lines, and this makes continuous text: leave it out")
    prefix, end = (vocabulary.encode_text(vocabulary.clean(text)).astype(np.int64) for text in (sampling.prefix, stop))
    return _stream(model, torch.from_numpy(prefix), n, length, sampling, end) if n else iter(())


def _stream(
    model: Model, prefix: Tensor, n: int, length: int, sampling: Sampling, stop: NDArray[np.int64]
) -> Iterator[Step]:
    with eval_mode(model):
        groups = _groups(model, prefix, n, sampling.seed)
    latest = np.full((n, len(stop)), -1)  # ids of each text
    has_ended = np.zeros(n, np.bool_)
    for start in range(0, length, CHUNK):
        steps = []
        with eval_mode(model):  # not around `yield`, so that the caller finds the model's own mode
            for _ in range(min(CHUNK, length - start)):
                drawn = [group.step(sampling) for group in groups]
                steps.append(Step(*(np.concatenate(parts)[:n] for parts in zip(*drawn, strict=True))))
                if len(stop):
                    latest = np.column_stack([latest[:, 1:], steps[-1].ids])
                    has_ended |= (latest == stop).all(axis=1)
                    if has_ended.all():
                        break
        yield from steps
        if has_ended.all():
            return


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
