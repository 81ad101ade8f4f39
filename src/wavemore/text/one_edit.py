"""Which texts are within one edit of a known line, by the hashes of the known lines alone.

All texts one edit away from a given one (a character deleted, replaced or inserted) are hashed and looked up. The hash
of a line is a sum over its characters and their positions (`Lines.hashes`), so that of an edited text is the sum before
the edit, that after it, moved by one position where needed, and the new character.

Shapes: N texts, J characters of all texts, each with its line feed, V known characters.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wavemore.text.arrays import is_among, scramble
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import code_points

CHUNK = 1 << 20
"""Edited texts that are looked up at once."""


def within_one_edit(texts: Sequence[str], known: NDArray[np.uint64], characters: str) -> NDArray[np.bool_]:
    """Whether each text is a known line or one edit away from one: (N,).

    `known` are the sorted hashes of the known lines, such as `Corpus.line_hashes`, and `characters` all that they have.
    A text takes about 2 x V x length look-ups.

    >>> known = np.sort(Lines.from_iterable(["anna", "bob"]).hashes())
    >>> within_one_edit(["anna", "ana", "hanna", "bab", "baa"], known, "abno").tolist()
    [True, True, True, True, False]
    """
    found = np.zeros(len(texts), np.bool_)
    codes = code_points(characters)
    start, size = 0, 0
    for stop, text in enumerate(texts, 1):
        size += (len(text) + 1) * (2 * len(codes) + 1)
        if size >= CHUNK or stop == len(texts):
            found[start:stop] = _any_edit(texts[start:stop], known, codes)
            start, size = stop, 0
    return found


def _any_edit(texts: Sequence[str], known: NDArray[np.uint64], codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    """Do the same for a few texts at once."""
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])
    lines = Lines("".join(f"{text}\n" for text in texts), np.diff(begins) - 1)
    found = np.zeros(int(begins[-1]), np.bool_)  # by the place of the edit, (J,)
    for hashes in _edited(lines, begins, codes):
        found |= is_among(hashes.ravel(), known).reshape(hashes.shape).any(axis=1)
    return np.logical_or.reduceat(found, begins[:-1])


def _edited(lines: Lines, begins: NDArray[np.int64], codes: NDArray[np.uint32]) -> Iterator[NDArray[np.uint64]]:
    """Yield the hashes of all edited texts, by the place of the edit: deletions (J, 1), others (J, V).

    The line feed is neither deleted nor replaced: at its place, the hash is that of the text itself.
    """
    characters, sizes = code_points(lines.text).astype(np.uint64), np.diff(begins)
    line = np.repeat(np.arange(len(sizes)), sizes)  # (J,)
    ends, places = begins[1:][line], np.arange(len(characters)) - begins[line]
    is_end = places == sizes[line] - 1

    def rest(shift: int, skip: int) -> NDArray[np.uint64]:
        """Return the sum over the characters of the line from each place on, without the first `skip`, all moved."""
        values = scramble(characters | _position(np.maximum(places + shift, 0)))
        sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(values, dtype=np.uint64)])
        result: NDArray[np.uint64] = sums[ends] - sums[np.minimum(np.arange(len(values)) + skip, ends)]
        return result

    unchanged = rest(0, 0)[begins[:-1]][line]
    before = unchanged - rest(0, 0)
    new = scramble(codes.astype(np.uint64) | _position(places)[:, None])  # (J, V)
    yield np.where(is_end, unchanged, before + rest(-1, 1))[:, None]
    yield np.where(is_end[:, None], unchanged[:, None], (before + rest(0, 1))[:, None] + new)
    yield (before + rest(1, 0))[:, None] + new


def _position(places: NDArray[np.int64]) -> NDArray[np.uint64]:
    return places.astype(np.uint64) << np.uint64(32)
