"""The distinct n-grams before all targets of a part, found once, so that the plan of a batch is made quickly.

A tree with fusion sizes `fuse` sees its context as n-grams: level 0 are single ids, and a row of level l is made of
`fuse[l - 1]` rows of level l - 1, its children. With fuse (2, 2, 2) the levels are ids, bigrams, four-grams and
eight-grams. The same n-gram at two places of a context, or in two examples, is one row. But in the plan of a batch, a
first child and a second child are two rows, as they are multiplied by different weights.

Shapes: N targets, B examples, T context length, U rows of a level, n fusion size.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.errors import UsageError, require
from wavemore.nn.unique_plan import UniquePlan
from wavemore.progress import report
from wavemore.text.vocabulary import BOUNDARY, Ids

Index = NDArray[np.int64]
Rows = NDArray[np.int32]


class NgramTables:
    """The distinct n-grams before all N targets of flat ids, from which a batch picks its rows.

    `children[l - 1]` is (U_l, n) int32: for each row of level l, its children among the rows of level l - 1. `top` is
    (N,) int32: the row of the top level before each target. As in `windows`, contexts do not reach over boundaries.
    `batch` reuses work arrays, so use one object in one thread only. Raises `UsageError` if `fuse` is empty or holds a
    number below 1, and if there are no tokens.

    >>> tables = NgramTables(np.array([1, 2, 1, 2, 0], np.uint8), fuse=(2,))
    >>> tables.children[0].tolist(), tables.top.tolist()
    ([[0, 0], [0, 1], [1, 2], [2, 1]], [0, 1, 2, 3, 2])
    """

    def __init__(self, tokens: Ids, fuse: tuple[int, ...]) -> None:
        require(min(fuse, default=0) >= 1, "fuse", fuse, "one or more sizes of at least 1, such as (2, 2, 2)")
        if len(tokens) == 0:
            raise UsageError("`tokens` is empty: there are no n-grams to find")
        self.context = math.prod(fuse)
        run = _run_lengths(tokens)
        ids = np.zeros(len(tokens), np.int32)  # (N,) the row of this level that ends before each target
        ids[1:] = tokens[:-1]
        span = 1  # ids in one row
        children, rows = [], [int(tokens.max()) + 1]
        for level, n in enumerate(fuse):
            ids, table = _combine(partial(_child, ids, run, n, span), rows[-1], n)
            span *= n
            children.append(table)
            rows.append(len(table))
            report("finding n-grams", level + 1, len(fuse))
        self._set(fuse, children, ids, rows)

    @classmethod
    def of_windows(cls, contexts: Ids, fuse: tuple[int, ...]) -> "NgramTables":
        """Find the n-grams of some contexts only, (B, T); `top` is then the row of each context, (B,).

        >>> NgramTables.of_windows(np.array([[1, 2], [2, 1], [1, 2]], np.uint8), fuse=(2,)).top.tolist()
        [0, 1, 0]
        """
        tables = cls.__new__(cls)
        tables.context = contexts.shape[1]
        ids = contexts.astype(np.int32)
        children, rows = [], [int(contexts.max()) + 1]
        for n in fuse:
            numbers, table = _combine(partial(_column, ids.reshape(-1, n)), rows[-1], n)
            ids = numbers.reshape(len(contexts), -1)
            children.append(table)
            rows.append(len(table))
        tables._set(fuse, children, ids[:, 0], rows)
        return tables

    def _set(self, fuse: tuple[int, ...], children: list[Rows], top: Rows, rows: list[int]) -> None:
        self.children, self.top, self.rows = children, top, rows
        # In a batch, row r as child k of a fusion is number r + k * rows.
        self._offsets = [count * np.arange(n)[:, None] for n, count in zip(fuse, rows[:-1], strict=True)]
        self._slots = [np.zeros(n * count, np.int64) for n, count in zip((*fuse, 1), rows, strict=True)]

    def batch(
        self, positions: Index, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> UniquePlan:
        """Return the plan for the contexts before the (B,) targets at these flat positions; its counts are of `dtype`.

        The time it takes grows with B, not with the tables.
        """

        def tensor(array: NDArray[np.integer[Any]]) -> Tensor:
            return torch.from_numpy(array.astype(np.int64, copy=False)).to(device)

        rows, inverse = _distinct(self.top.take(positions), self._slots[-1])
        occurrences: NDArray[Any] = np.bincount(inverse, minlength=len(rows))
        children, parts, counts = [], [], [occurrences]
        levels = zip(self.children, self._offsets, self._slots[:-1], self.rows[:-1], strict=True)
        for table, offsets, slots, below in reversed(list(levels)):
            numbers = np.add(table.take(rows, axis=0).T, offsets, order="C")  # (n, U_l)
            distinct, local = _distinct(numbers.ravel(), slots)
            child, rows = np.divmod(distinct, below)
            children.append(tensor(local.reshape(numbers.shape)))
            parts.append(tuple(np.bincount(child, minlength=len(numbers)).tolist()))
            repeated = np.concatenate([occurrences] * len(numbers))
            occurrences = np.bincount(local, weights=repeated, minlength=len(rows))  # floats, exact below 2**53
            counts.append(occurrences)
        return UniquePlan(
            leaves=tensor(rows),
            children=tuple(children[::-1]),
            parts=tuple(parts[::-1]),
            counts=tuple(torch.from_numpy(count).to(dtype).to(device) for count in counts[::-1]),
            inverse=tensor(inverse),
        )


def _run_lengths(tokens: Ids) -> Rows:
    """Return the number of characters between each target and the boundary before it, (N,)."""
    places = np.arange(len(tokens), dtype=np.int32)
    starts = np.zeros(len(tokens), np.int32)
    starts[1:] = np.where(tokens[:-1] == BOUNDARY, places[1:], 0)
    return places - np.maximum.accumulate(starts)


def _child(ids: Rows, run: Rows, n: int, span: int, k: int) -> Rows:
    """Return child k before each target, one of n: (N,).

    `ids` are the rows that end before each target. Child n - 1 ends there, the others multiples of `span` earlier. A
    child that ends at or before the boundary of the line is all boundaries, and so is the row before the very first
    target.
    """
    back = (n - 1 - k) * span
    return np.where(run > back, np.roll(ids, back), ids[0])


def _column(groups: Rows, k: int) -> Rows:
    return groups[:, k]


def _combine(child: Callable[[int], Rows], below: int, n: int) -> tuple[Rows, Rows]:
    """Number the distinct combinations of n children, each (N,) numbers below `below`: (N,), (U, n)."""
    key, size = child(0).astype(np.int64), below
    for k in range(1, n):
        if size * below >= 2**63:  # renumber the combinations so far, so that the next product fits into 64 bits
            key, size = _renumber(key, size)
        key = key * below + child(k)
        size *= below
    key, size = _renumber(key, size)
    where = np.empty(size, np.int64)
    where[key] = np.arange(len(key))  # a place at which each combination occurs
    table = np.empty((size, n), np.int32)
    for k in range(n):
        table[:, k] = child(k)[where]
    return key.astype(np.int32), table


def _renumber(key: Index, size: int) -> tuple[Index, int]:
    """Replace each number below `size` by its rank among those that occur; also return how many occur."""
    if size > 4 * len(key) + 2**16:
        present, ranks = np.unique(key, return_inverse=True)
        return ranks, len(present)
    occurs = np.zeros(size, np.bool_)  # small numbers need no sorting
    occurs[key] = True
    return (np.cumsum(occurs) - 1)[key], int(occurs.sum())


def _distinct(ids: NDArray[np.integer[Any]], slots: Index) -> tuple[NDArray[np.integer[Any]], Index]:
    """Return the distinct ids in the order of their last occurrences, and the index of each id among them.

    `slots` has an element for every possible id. Each is written before it is read, so none needs clearing.
    """
    places = np.arange(len(ids))
    slots[ids] = places
    rows = ids.compress(slots.take(ids) == places)  # of equal ids, the one that was written last
    slots[rows] = places[: len(rows)]
    return rows, slots.take(ids)
