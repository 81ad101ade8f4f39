"""Slices of the targets, to see where one model predicts better than another: kinds of lines and positions in the line.

L lines of a part, B targets. No slice depends on the compared models, so none favours one of them: how rare a line is
depends on its pairs of characters in train, not on what a model predicts.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.line_spans import line_sums, positions_in_line
from wavemore.text.corpus import Corpus
from wavemore.text.parts import LinePart

Group = Literal["length", "pairs", "train", "position"]

SINGLE_POSITIONS = 8
"""Positions with a slice of their own; later ones share slices that double in width."""


@dataclass(frozen=True, eq=False)
class Slice:
    """Some of the targets of a part: (B,) booleans."""

    group: Group
    name: str
    targets: NDArray[np.bool_]


def slices(corpus: Corpus, part: LinePart) -> list[Slice]:
    """All non-empty slices of a part; within a group, no target is in two of them."""
    sizes = part.lines.lengths + 1  # a line's end is a target too
    rarity = zip(("common pairs of characters", "less common", "rare"), _thirds(pair_nats(corpus, part)), strict=True)
    kinds: list[tuple[Group, str, NDArray[np.bool_]]] = [
        *(("length", name, lines) for name, lines in _by_length(part)),
        *(("pairs", name, lines) for name, lines in rarity),
        ("train", "also in train", ~part.leak_free),
        ("train", "not in train", part.leak_free),
    ]
    by_line = [Slice(group, name, np.repeat(lines, sizes)) for group, name, lines in kinds if not lines.all()]
    return [each for each in [*by_line, *_by_position(part)] if each.targets.any()]


def pair_nats(corpus: Corpus, part: LinePart) -> NDArray[np.float64]:
    """Mean -log p of the targets of each line, from counts of pairs in train with one added to each: (L,), nats.

    >>> from wavemore.text.line_corpus import LineCorpus
    >>> corpus = LineCorpus.from_lines(["abab"] * 18 + ["aabb"] * 2, split_method="lecture")
    >>> [float(value.round(2)) for value in pair_nats(corpus, corpus.val)]
    [0.38, 0.38]
    """
    size = len(corpus.vocabulary)

    def pairs(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
        ids = tokens.astype(np.int64)
        return np.concatenate(([0], ids[:-1])) * size + ids

    known, counts = np.unique(pairs(corpus.train.tokens), return_counts=True)
    totals = np.bincount(known // size, weights=counts, minlength=size)
    requested = pairs(part.tokens)
    places = np.minimum(np.searchsorted(known, requested), len(known) - 1)
    occurrences = np.where(known[places] == requested, counts[places], 0)
    nats = np.log((totals[requested // size] + size) / (occurrences + 1))
    return line_sums(part, nats) / (part.lines.lengths + 1)


def _by_length(part: LinePart) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    lengths = part.lines.lengths
    for name, lines in zip(("short", "medium", "long"), _thirds(lengths), strict=True):
        if lines.any():
            low, high = lengths[lines].min(), lengths[lines].max()
            yield f"{name}: {_span(low, high)} character{'' if high == 1 else 's'}", lines


def _by_position(part: LinePart) -> Iterator[Slice]:
    positions, ends = positions_in_line(part.tokens), part.tokens == 0
    first, stop, longest = 0, 1, int(part.lines.lengths.max())
    while first < longest:
        in_slice = (positions >= first) & (positions < stop) & ~ends
        yield Slice("position", _span(first + 1, min(stop, longest)), in_slice)
        first, stop = stop, stop + 1 if stop < SINGLE_POSITIONS else 2 * stop
    yield Slice("position", "end of line", ends)


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low} to {high}"


def _thirds(values: NDArray[np.generic]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """The third with the smallest values, the next, and the rest, as (L,) booleans; equal values stay together."""
    low, high = np.quantile(values.astype(np.float64), [1 / 3, 2 / 3])
    return values <= low, (values > low) & (values <= high), values > high
