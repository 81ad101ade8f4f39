"""Where one model predicts better than another: kinds of lines, and positions in the line.

L lines of a part, B targets. A look is a subset of the targets; none of these looks knows the models, so that none
of them favours one: a line's rarity is that of its pairs of characters in train, not what a model thinks of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.evaluate import positions_of
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus, Part

Group = Literal["length", "pairs", "train", "position"]

ALONE = 8
"""Positions that have a look each; those behind them share one, twice as long each time."""


@dataclass(frozen=True, eq=False)
class Look:
    """Some of the targets of a part: (B,) booleans."""

    group: Group
    what: str
    targets: NDArray[np.bool_]


def looks(corpus: Corpus | TextStream, part: Part) -> list[Look]:
    """All looks at a part that hold anything; within a group no target is in two of them."""
    sizes = part.lines.lengths + 1  # a line's end is a target too
    found = [
        Look(group, what, np.repeat(lines, sizes))
        for group, what, lines in [*_lengths(part), *_rarities(corpus, part), *_known(part)]
    ]
    return [look for look in [*found, *_positions(part)] if look.targets.any()]


def line_sums(part: Part, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over the targets of each line: (B,) -> (L,)."""
    sizes = part.lines.lengths + 1
    sums: NDArray[np.float64] = np.add.reduceat(values, np.cumsum(sizes) - sizes)
    return sums


def surprise_of_pairs(corpus: Corpus | TextStream, part: Part) -> NDArray[np.float64]:
    """Mean -log p of the targets of each line, by counts of pairs in train with one added to each: (L,), nats.

    >>> corpus = Corpus.from_lines(["abab"] * 18 + ["aabb"] * 2, split="lecture")
    >>> [float(value.round(2)) for value in surprise_of_pairs(corpus, corpus.val)]
    [0.38, 0.38]
    """
    size = len(corpus.vocabulary)

    def pairs(tokens: NDArray[np.integer]) -> NDArray[np.int64]:
        ids = tokens.astype(np.int64)
        return np.concatenate(([0], ids[:-1])) * size + ids

    known, counts = np.unique(pairs(corpus.train.tokens), return_counts=True)
    before = np.bincount(known // size, weights=counts, minlength=size)
    asked = pairs(part.tokens)
    places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    seen = np.where(known[places] == asked, counts[places], 0)
    nats = np.log((before[asked // size] + size) / (seen + 1))
    return line_sums(part, nats) / (part.lines.lengths + 1)


def _lengths(part: Part) -> Iterator[tuple[Group, str, NDArray[np.bool_]]]:
    lengths = part.lines.lengths
    for name, lines in zip(("short", "medium", "long"), _thirds(lengths), strict=True):
        if lines.any() and not lines.all():
            low, high = lengths[lines].min(), lengths[lines].max()
            spans = f"{low}" if low == high else f"{low} to {high}"
            yield "length", f"{name}: {spans} character{'' if high == 1 else 's'}", lines


def _rarities(corpus: Corpus | TextStream, part: Part) -> Iterator[tuple[Group, str, NDArray[np.bool_]]]:
    thirds = _thirds(surprise_of_pairs(corpus, part))
    for name, lines in zip(("common pairs of letters", "less common", "rare"), thirds, strict=True):
        if lines.any() and not lines.all():
            yield "pairs", name, lines


def _known(part: Part) -> Iterator[tuple[Group, str, NDArray[np.bool_]]]:
    if part.leak_free.any() and not part.leak_free.all():
        yield "train", "stands in train too", ~part.leak_free
        yield "train", "not in train", part.leak_free


def _positions(part: Part) -> Iterator[Look]:
    positions, ends = positions_of(part.tokens), part.tokens == 0
    first, width, longest = 0, 1, int(part.lines.lengths.max())
    while first < longest:
        stop = first + width
        what = str(first + 1) if width == 1 else f"{first + 1} to {min(stop, longest)}"
        if first + 1 == longest:
            what = str(longest)
        yield Look("position", what, (positions >= first) & (positions < stop) & ~ends)
        first, width = stop, 1 if stop < ALONE else stop
    yield Look("position", "end of line", ends)


def _thirds(values: NDArray[np.generic]) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """The third with the smallest values, the next, and the rest, as (L,) booleans; equal values stay together."""
    low, high = np.quantile(values.astype(np.float64), [1 / 3, 2 / 3])
    return values <= low, (values > low) & (values <= high), values > high
