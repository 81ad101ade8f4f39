"""New lines from a model: batched, filtered, each with its log-probability.

B lines drawn at once, T context length, V vocabulary.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.evaluate import eval_mode
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

LARGEST_BATCH = 32_768
COLDEST = 1e-200  # a temperature so low is greedy; logits divided by a lower one could be infinite


class Sample(NamedTuple):
    """A line that a model made."""

    text: str
    nats: float
    """Surprise of the whole line, its end included, at temperature 1: what `score` says of it."""
    new: bool
    """Whether it is not a line of the data."""


def generate(
    model: Model, vocabulary: Vocabulary, n: int, sampling: Sampling, known: NDArray[np.uint64]
) -> Iterator[Sample]:
    """Draw lines until `n` have passed the filters, or until drawing more no longer helps (then fewer come).

    `known` are the sorted hashes of the data's lines (`Corpus.line_hashes`). The draw is given up when 20 batches in
    a row, of at least 1,000 lines together, have brought nothing that passes.

    Raises `UnknownCharacterError` for a prefix that the model cannot read, `UsageError` for a greedy line that does
    not end.
    """
    if n < 0:
        raise UsageError(f"n is {n}; it must be 0 or more")
    if sampling.prefix != sampling.prefix.lstrip():
        raise UsageError(f"prefix is {sampling.prefix!r}; no line begins with a space, so begin it with a character")
    vocabulary.encode(sampling.prefix)
    generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU: the same lines whatever the device
    if sampling.temperature == 0 and n > 0:
        yield from _greedy(model, vocabulary, n, sampling, known, generator)
        return
    seen: set[str] = set()
    kept = drawn = fruitless = drawn_in_vain = 0
    while kept < n and not (fruitless >= 20 and drawn_in_vain >= 1_000):
        needed = (n - kept) * max(1.1, drawn / max(1, kept)) if drawn else n - kept
        size = int(min(LARGEST_BATCH, max(16, needed)))
        before = kept
        passing = _draw(model, vocabulary, size, sampling, known, generator)
        if sampling.new:
            passing = (sample for sample in passing if sample.new)
        if sampling.distinct:
            passing = _unseen(passing, seen)
        for sample in islice(passing, n - kept):
            kept += 1
            yield sample
        drawn += size
        fruitless, drawn_in_vain = (0, 0) if kept > before else (fruitless + 1, drawn_in_vain + size)


def _unseen(samples: Iterator[Sample], seen: set[str]) -> Iterator[Sample]:
    for sample in samples:
        if sample.text not in seen:
            seen.add(sample.text)
            yield sample


def _greedy(
    model: Model,
    vocabulary: Vocabulary,
    n: int,
    sampling: Sampling,
    known: NDArray[np.uint64],
    generator: torch.Generator,
) -> Iterator[Sample]:
    """At temperature 0 all lines are the same one."""
    lines = list(_draw(model, vocabulary, 1, sampling, known, generator))
    if not lines:
        raise UsageError(
            f"the likeliest line does not end within {sampling.max_length} characters; "
            "raise --max-length or take a --temperature above 0"
        )
    if not (sampling.new and not lines[0].new):
        yield from lines * (min(n, 1) if sampling.distinct else n)


def _draw(
    model: Model,
    vocabulary: Vocabulary,
    size: int,
    sampling: Sampling,
    known: NDArray[np.uint64],
    generator: torch.Generator,
) -> Iterator[Sample]:
    """One batch of lines; those that do not end within the maximum length are left out.

    Lines that have begun alike have the same state, so the stream holds every distinct beginning once (D of them),
    and each of the B lines that have not ended knows which one is its own.
    """
    prefix = vocabulary.encode(sampling.prefix)
    device, size_v = model.device, model.vocabulary_size
    columns: list[NDArray[np.int64]] = []  # (B,) ids at each position, boundaries where a line has ended
    nats = torch.zeros(size, dtype=torch.float64)
    lengths = np.full(size, -1)  # -1: not ended
    lines = torch.arange(size)  # (B,) the lines that have not ended
    beginnings = torch.zeros(size, dtype=torch.int64)  # (B,) the row of each in the stream
    with eval_mode(model):
        stream = model.stream(1)
        for position in range(sampling.max_length + 1):
            logits = stream.logits.cpu()  # (D, V)
            if position < len(prefix):
                chosen = torch.full_like(lines, int(prefix[position]))  # (B,)
            else:
                chosen = draw(probabilities(logits, sampling, position), beginnings, generator)
            surprise = logits.logsumexp(dim=1, keepdim=True) - logits  # (D, V)
            extended = beginnings * size_v + chosen  # (B,) each distinct beginning with its next character
            nats[lines] += surprise.flatten()[extended]
            ended = (chosen == BOUNDARY) & (position >= len(prefix))
            lengths[lines[ended].numpy()] = position
            if position == sampling.max_length or bool(ended.all()):
                break
            lines, chosen, extended = lines[~ended], chosen[~ended], extended[~ended]
            columns.append(np.full(size, BOUNDARY))
            columns[-1][lines.numpy()] = chosen.numpy()
            distinct, beginnings = torch.unique(extended, return_inverse=True)  # (D,), (B,)
            stream.keep((distinct // size_v).to(device))
            stream.step((distinct % size_v).to(device))
    ids = np.stack(columns, axis=1) if columns else np.zeros((size, 0), np.int64)  # (B, T)
    return _samples(vocabulary, ids, lengths, nats.numpy(), known)


def probabilities(logits: Tensor, sampling: Sampling, position: int) -> Tensor:
    """What is drawn from, after minimum length, temperature, top-k and top-p: (D, V) -> (D, V), rows that sum to 1."""
    if position < sampling.min_length:
        logits = logits.clone()
        logits[:, BOUNDARY] = -torch.inf
    if sampling.temperature == 0:
        return F.one_hot(logits.argmax(dim=1), logits.shape[1]).double()
    if sampling.temperature != 1:
        logits = logits.double() / max(sampling.temperature, COLDEST)
    if sampling.top_k != "all" and sampling.top_k < logits.shape[1]:
        smallest = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    p = logits.softmax(dim=1)
    if sampling.top_p < 1:
        ordered, order = p.sort(dim=1, descending=True)
        outside = ordered.cumsum(dim=1) - ordered >= sampling.top_p  # the likeliest is always inside
        p = p.masked_fill(outside.gather(1, order.argsort(dim=1)), 0.0)
    return p / p.sum(dim=1, keepdim=True)


def draw(p: Tensor, rows: Tensor, generator: torch.Generator) -> Tensor:
    """A character for each line, from its row of probabilities: (D, V), (B,) -> (B,).

    The rows' summed probabilities are laid end to end on one line from 0 to D, on which row d has its stretch from d to
    d + 1; a uniform number falls into the stretch of a character as often as it is likely.

    >>> draw(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), torch.tensor([1, 0, 0]), torch.Generator()).tolist()
    [0, 1, 1]
    """
    summed = p.double().cumsum(dim=1)  # (D, V)
    summed = summed / summed[:, -1:] + torch.arange(len(p))[:, None]
    # A hair below 1: adding the row must not round it up into the next row.
    uniform = torch.rand(len(rows), dtype=torch.float64, generator=generator) * (1 - 1e-9)
    return torch.searchsorted(summed.flatten(), rows + uniform, right=True) - rows * p.shape[1]


def _samples(
    vocabulary: Vocabulary,
    ids: NDArray[np.int64],
    lengths: NDArray[np.int64],
    nats: NDArray[np.float64],
    known: NDArray[np.uint64],
) -> Iterator[Sample]:
    """Lines from their ids, (B, T)."""
    spaces = [number for number, character in enumerate(vocabulary.characters, start=1) if character.isspace()]
    padded = np.pad(ids, ((0, 0), (0, 1)))  # the first and the last character of an empty line are boundaries
    outer = padded[:, 0], padded[np.arange(len(ids)), np.maximum(lengths - 1, 0)]
    # Left out are lines that have not ended, and those with space around them: the data has none such.
    fit = (lengths >= 0) & ~np.isin(outer[0], spaces) & ~np.isin(outer[1], spaces)
    ids, lengths, nats = ids[fit], lengths[fit], nats[fit]
    # All rows are decoded at once, with any character where a row has ended, and then cut.
    width = ids.shape[1]
    characters = vocabulary.decode(np.where(ids == BOUNDARY, 1, ids).ravel())
    texts = [characters[row * width : row * width + length] for row, length in enumerate(lengths.tolist())]
    hashes = Lines("".join(text + "\n" for text in texts), lengths).hashes()
    left = np.searchsorted(known, hashes, "left")
    new = left == np.searchsorted(known, hashes, "right")  # `known` is sorted
    # One at a time: thousands of objects at once would wake the garbage collector, which then takes most of the time.
    return map(Sample._make, zip(texts, nats.tolist(), new.tolist(), strict=True))
