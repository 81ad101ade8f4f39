"""The split of a list: lines to train on, lines to choose a model by, and lines for the final test."""

import random
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.text.arrays import distinct, scramble
from wavemore.text.lines import Lines
from wavemore.text.reports import pluralize

MIN_DISTINCT = 10  # lines that can be split: eight for train, one for val, one for test

SplitMethod = Literal["distinct", "lecture", "position"]
"""How the parts are chosen: a list is split by one of two methods (see `split`), a text by position."""

Indices = NDArray[np.int64]


def split(lines: Lines, method: SplitMethod = "distinct", seed: int = 0) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the train, val and test lines: 80, 10 and 10 percent.

    `distinct` ranks the distinct lines by a hash of line and seed. All copies of a line are in the same part, the order
    of the file does not matter, and adding a few lines moves few of the others. The indices are sorted.

    `lecture` is the split of "Building makemore": all lines, copies included, are shuffled with `random.seed(42)`
    whatever `seed` is. Copies of a line can then be in different parts. The indices are shuffled too.

    Raises `DataError` for fewer lines than `MIN_DISTINCT`, and `UsageError` for another `method`.

    >>> lines = Lines.from_iterable("ada bea cleo dora ella fay gwen hope iris june ada".split())
    >>> train, val, test = split(lines)
    >>> len(train), len(val), len(test)
    (9, 1, 1)
    >>> bool(0 in train) == bool(10 in train)
    True
    """
    if method == "lecture":
        return _lecture_split(lines)
    if method == "distinct":
        return _distinct_split(lines, seed)
    raise UsageError(f"`split_method` is {method!r}; for a list, it must be distinct or lecture")


def _lecture_split(lines: Lines) -> tuple[Indices, Indices, Indices]:
    count = len(lines)
    if count < MIN_DISTINCT:
        raise _too_few(pluralize(count, "line"))
    order = list(range(count))
    random.Random(42).shuffle(order)
    train, val, test = np.split(np.array(order, np.int64), [int(0.8 * count), int(0.9 * count)])
    return train, val, test


def _distinct_split(lines: Lines, seed: int) -> tuple[Indices, Indices, Indices]:
    keys = scramble(lines.hashes() ^ scramble(np.array([seed % 2**64], np.uint64)))
    ranked = distinct(keys)
    count = len(ranked)
    if count < MIN_DISTINCT:
        raise _too_few(pluralize(count, "distinct line"))
    held_out = round(count / 10)
    in_test = keys >= ranked[count - held_out]
    held = keys >= ranked[count - 2 * held_out]
    return np.flatnonzero(~held), np.flatnonzero(held & ~in_test), np.flatnonzero(in_test)


def _too_few(lines: str) -> DataError:
    return DataError(f"{lines} cannot be split into train, val and test; at least {MIN_DISTINCT} are needed")
