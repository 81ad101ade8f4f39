"""Which lines are for training, which for choosing a model, and which for the one last test."""

import random
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.text.lines import Lines, scramble

MIN_DISTINCT = 10
"""The fewest lines that can be split: eight to train on, one for validation, one for the test."""

SplitName = Literal["distinct", "lecture"]
Indices = NDArray[np.int64]


def split(lines: Lines, how: SplitName = "distinct", seed: int = 0) -> tuple[Indices, Indices, Indices]:
    """Return the indices of the train, validation and test lines: 80, 10 and 10 percent.

    `distinct` ranks the distinct lines by a hash of line and seed. All copies of a line go to the same side,
    the order of the file does not matter, and a few more lines move only few of the others. The indices keep
    the order of the file.

    `lecture` is the split of "Building makemore": all lines, copies included, shuffled with `random.seed(42)`
    whatever `seed` is. A line that the file holds twice can then stand on both sides. The indices are
    shuffled too.

    Raises `DataError` for fewer lines than `MIN_DISTINCT`, and `UsageError` for any other `how`.

    >>> lines = Lines.from_iterable("ada bea cleo dora ella fay gwen hope iris june ada".split())
    >>> train, val, test = split(lines)
    >>> len(train), len(val), len(test)
    (9, 1, 1)
    >>> bool(0 in train) == bool(10 in train)
    True
    """
    if how == "lecture":
        return _lecture_split(lines)
    if how == "distinct":
        return _distinct_split(lines, seed)
    raise UsageError(f"{how!r} is no split; choose one of {', '.join(get_args(SplitName))}")


def _lecture_split(lines: Lines) -> tuple[Indices, Indices, Indices]:
    count = len(lines)
    if count < MIN_DISTINCT:
        raise DataError(f"{count} lines are too few to split; at least {MIN_DISTINCT} are needed")
    order = list(range(count))
    random.Random(42).shuffle(order)
    train, val, test = np.split(np.array(order, np.int64), [int(0.8 * count), int(0.9 * count)])
    return train, val, test


def _distinct_split(lines: Lines, seed: int) -> tuple[Indices, Indices, Indices]:
    hashes, copies = np.unique(lines.hashes(), return_inverse=True)
    count = len(hashes)
    if count < MIN_DISTINCT:
        raise DataError(f"{count} distinct lines are too few to split; at least {MIN_DISTINCT} are needed")
    held_out = round(count / 10)
    mixed_seed = scramble(np.array([seed % 2**64], np.uint64))
    rank = np.argsort(scramble(hashes ^ mixed_seed))
    side = np.zeros(count, np.uint8)
    side[rank[count - 2 * held_out : count - held_out]] = 1
    side[rank[count - held_out :]] = 2
    sides = side[copies]
    return np.flatnonzero(sides == 0), np.flatnonzero(sides == 1), np.flatnonzero(sides == 2)
