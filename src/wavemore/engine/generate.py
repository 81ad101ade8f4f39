"""New lines from a model: batched, filtered, each with its log-probability.

B lines drawn at once, T context length, V vocabulary.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.evaluate import eval_mode
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError
from wavemore.nn.tree import Tree
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

LARGEST_BATCH = 4_096


@dataclass(frozen=True)
class Sample:
    """A line that a model made."""

    text: str
    nats: float
    """Surprise of the whole line, its end included, at temperature 1: what `score` says of it."""
    new: bool
    """Whether it is not a line of the data."""


def generate(
    model: Tree, vocabulary: Vocabulary, n: int, sampling: Sampling, known: NDArray[np.uint64]
) -> Iterator[Sample]:
    """Draw lines until `n` have passed the filters, or until drawing more no longer helps (then fewer come).

    `known` are the sorted hashes of the data's lines (`Corpus.line_hashes`). The draw is given up when 20 batches in
    a row, of at least 1,000 lines together, have brought nothing that passes.

    Raises `UnknownCharacterError` for a prefix that the model cannot read, `UsageError` for a greedy line that does
    not end.
    """
    if n < 0:
        raise UsageError(f"n is {n}; it must be 0 or more")
    vocabulary.encode(sampling.prefix)
    generator = torch.Generator().manual_seed(sampling.seed)  # on the CPU: the same lines whatever the device
    if sampling.temperature == 0:
        yield from _greedy(model, vocabulary, n, sampling, known, generator)
        return
    seen: set[str] = set()
    kept = drawn = fruitless = drawn_in_vain = 0
    while kept < n and not (fruitless >= 20 and drawn_in_vain >= 1_000):
        needed = (n - kept) * max(1.1, drawn / max(1, kept)) if drawn else n - kept
        size = int(min(LARGEST_BATCH, max(16, needed)))
        before = kept
        for sample in _draw(model, vocabulary, size, sampling, known, generator):
            if kept < n and not (sampling.new and not sample.new) and not (sampling.distinct and sample.text in seen):
                if sampling.distinct:
                    seen.add(sample.text)
                kept += 1
                yield sample
        drawn += size
        fruitless, drawn_in_vain = (0, 0) if kept > before else (fruitless + 1, drawn_in_vain + size)


def _greedy(
    model: Tree,
    vocabulary: Vocabulary,
    n: int,
    sampling: Sampling,
    known: NDArray[np.uint64],
    generator: torch.Generator,
) -> Iterator[Sample]:
    """At temperature 0 all lines are the same one."""
    lines = _draw(model, vocabulary, 1, sampling, known, generator)
    if not lines:
        raise UsageError(
            f"the likeliest line does not end within {sampling.max_length} characters; "
            "raise --max-length or take a --temperature above 0"
        )
    if not (sampling.new and not lines[0].new):
        yield from lines * (min(n, 1) if sampling.distinct else n)


def _draw(
    model: Tree,
    vocabulary: Vocabulary,
    size: int,
    sampling: Sampling,
    known: NDArray[np.uint64],
    generator: torch.Generator,
) -> list[Sample]:
    """One batch of lines; those that do not end within the maximum length are left out."""
    prefix = vocabulary.encode(sampling.prefix)
    device = next(model.parameters()).device
    length = sampling.max_length
    tokens = torch.zeros(size, model.context + length + 1, dtype=torch.int64)  # boundaries, then lines
    nats = torch.zeros(size, dtype=torch.float64)
    lengths = torch.full((size,), -1)  # -1: not ended
    open_rows = torch.arange(size)
    with eval_mode(model):
        for position in range(length + 1):
            logits = model(tokens[open_rows, position : position + model.context].to(device)).cpu()  # (B, V)
            log_p = logits.double().log_softmax(dim=1)
            if position < len(prefix):
                chosen = torch.full((len(open_rows),), int(prefix[position]))
            elif position == length:
                chosen = torch.full((len(open_rows),), BOUNDARY)
                ending = choose(logits, sampling, position, generator) == BOUNDARY
                open_rows, chosen, log_p = open_rows[ending], chosen[ending], log_p[ending]
            else:
                chosen = choose(logits, sampling, position, generator)
            nats[open_rows] -= log_p.gather(1, chosen[:, None])[:, 0]
            tokens[open_rows, model.context + position] = chosen
            if position >= len(prefix):
                ended = chosen == BOUNDARY
                lengths[open_rows[ended]] = position
                open_rows = open_rows[~ended]
            if not len(open_rows):
                break
    return _samples(vocabulary, tokens[:, model.context :], lengths, nats, known)


def choose(logits: Tensor, sampling: Sampling, position: int, generator: torch.Generator) -> Tensor:
    """The next character of each line: (B, V) -> (B,), after minimum length, temperature, top-k and top-p."""
    if position < sampling.min_length:
        logits = logits.clone()
        logits[:, BOUNDARY] = -torch.inf
    if sampling.temperature == 0:
        return logits.argmax(dim=1)
    logits = logits.double() / sampling.temperature
    if sampling.top_k != "all" and sampling.top_k < logits.shape[1]:
        smallest = logits.topk(sampling.top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < smallest, -torch.inf)
    if sampling.top_p < 1:
        ordered, order = logits.softmax(dim=1).sort(dim=1, descending=True)
        outside = ordered.cumsum(dim=1) - ordered >= sampling.top_p  # the likeliest is always inside
        logits = logits.masked_fill(outside.gather(1, order.argsort(dim=1)), -torch.inf)
    return torch.multinomial(logits.softmax(dim=1), 1, generator=generator)[:, 0]


def _samples(
    vocabulary: Vocabulary, tokens: Tensor, lengths: Tensor, nats: Tensor, known: NDArray[np.uint64]
) -> list[Sample]:
    ids = tokens.numpy()
    texts, losses = [], []
    for row, (length, loss) in enumerate(zip(lengths.tolist(), nats.tolist(), strict=True)):
        text = vocabulary.decode(ids[row, : max(0, length)])
        if length >= 0 and text == text.strip():  # lines of data never begin or end with a space
            texts.append(text)
            losses.append(loss)
    lines = Lines("".join(text + "\n" for text in texts), np.array([len(text) for text in texts], np.int64))
    new = ~np.isin(lines.hashes(), known)
    return [Sample(text, loss, bool(fresh)) for text, loss, fresh in zip(texts, losses, new, strict=True)]
