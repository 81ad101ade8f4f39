"""Distinct n-grams, level by level: what the `unique` execution of a tree computes once and uses many times.

A tree with fusion sizes `fuse` sees its context as n-grams: level 0 are single ids, and a row of level l is
made of `fuse[l - 1]` rows of level l - 1, its children. With fuse (2, 2, 2) the levels are ids, bigrams,
four-grams and eight-grams. The same n-gram in two places of the context, or in two examples, is one row; but in a
batch, a first child and a second child of fusions are two rows, as they are multiplied by different weights.

Legend: `N` targets, `B` examples, `T` context length, `U` rows of a level, `n` fusion size.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError
from wavemore.text.vocabulary import BOUNDARY, Ids

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class UniquePlan:
    """Which rows a batch of B contexts needs, and how they are put together; all arrays are int64.

    `leaves` are the ids of level 0, (U_0,). `children[l - 1]` is (n, U_l): the rows of level l - 1 that each row of
    level l is made of. `parts[l - 1]` are n numbers that add up to U_{l-1}: so many rows of level l - 1 are first
    children, so many second ones, ..., and they stand in this order. `counts[l]` is (U_l,): how often each row of
    level l, from 0 on, occurs in the trees of the batch, B * T / prod(fuse[:l]) in all. `inverse` is (B,): the row of
    the top level that is the context of each example.
    """

    leaves: Index
    children: tuple[Index, ...]
    parts: tuple[tuple[int, ...], ...]
    counts: tuple[Index, ...]
    inverse: Index


class NgramTables:
    """The distinct n-grams before all N targets of flat ids, from which a batch picks its rows.

    `children[l - 1]` is (U_l, n) int32 into the rows of level l - 1, where the rows of level 0 are the ids
    themselves; `top` is (N,) int32, the row of the top level that stands before each target. Contexts do not
    reach over boundaries, as in `windows`. `batch` keeps notes between its steps, so use one object in one
    thread only. Raises `UsageError` for a `fuse` that is empty or holds a number below 1, and for no tokens.

    >>> tables = NgramTables(np.array([1, 2, 1, 2, 0], np.uint8), fuse=(2,))
    >>> tables.children[0].tolist(), tables.top.tolist()
    ([[0, 0], [0, 1], [1, 2], [2, 1]], [0, 1, 2, 3, 2])
    """

    def __init__(self, tokens: Ids, fuse: tuple[int, ...]) -> None:
        _check_fuse(fuse)
        if len(tokens) == 0:
            raise UsageError("there are no ids to make n-grams of; give the tokens of a part with lines")
        self.fuse = fuse
        self.context = math.prod(fuse)
        run = _run_lengths(tokens)
        ids = np.zeros(len(tokens), np.int32)  # (N,) the row of this level that ends before each target
        ids[1:] = tokens[:-1]
        below = int(tokens.max()) + 1  # rows of this level
        gram = 1  # ids that one of its rows spans
        children, rows = [], [below]
        for n in fuse:
            child = partial(_child, ids, run, n, gram)
            ids, table = _combine(child, n, below)
            below, gram = len(table), gram * n
            children.append(table)
            rows.append(below)
        self.children = tuple(children)
        self.top = ids
        self.rows = tuple(rows)
        # In a batch, a row is another one in each place that it can take in a fusion: number + place * rows.
        self._offsets = [count * np.arange(n)[:, None] for n, count in zip(fuse, rows[:-1], strict=True)]
        self._notes = [np.zeros(n * count, np.int64) for n, count in zip((*fuse, 1), rows, strict=True)]

    def batch(self, positions: NDArray[np.integer[Any]]) -> UniquePlan:
        """Return the plan for the contexts before the (B,) targets at these flat positions.

        The time it takes grows with B, not with the tables.

        >>> tables = NgramTables(np.array([1, 2, 1, 2, 0], np.uint8), fuse=(2,))
        >>> plan = tables.batch(np.array([2, 4]))
        >>> plan.leaves.tolist(), plan.children[0].tolist(), plan.inverse.tolist()
        ([1, 2], [[0], [1]], [0, 0])
        >>> plan.parts, [counts.tolist() for counts in plan.counts]
        (((1, 1),), [[2, 2], [2]])
        """
        rows, inverse = _distinct(self.top.take(positions), self._notes[-1])
        counts = [np.bincount(inverse, minlength=len(rows))]
        children: list[Index] = []
        parts: list[tuple[int, ...]] = []
        levels = zip(self.children, self._offsets, self._notes[:-1], self.rows[:-1], strict=True)
        for table, offsets, notes, below in reversed(list(levels)):
            placed = np.add(table.take(rows, axis=0).T, offsets, order="C")  # (n, U_l)
            distinct, local = _distinct(placed.ravel(), notes)
            place, rows = np.divmod(distinct, below)
            children.append(local.reshape(placed.shape))
            parts.append(tuple(np.bincount(place, minlength=len(placed)).tolist()))
            weights = np.concatenate([counts[-1]] * len(placed))
            occurrences = np.bincount(local, weights=weights, minlength=len(rows))  # floats, exact below 2**53
            counts.append(occurrences.astype(np.int64))
        leaves = rows.astype(np.int64, copy=False)
        return UniquePlan(leaves, tuple(children[::-1]), tuple(parts[::-1]), tuple(counts[::-1]), inverse)


def _check_fuse(fuse: tuple[int, ...]) -> None:
    if not fuse or min(fuse) < 1:
        raise UsageError(f"fuse {fuse} is no tree; give one or more sizes of at least 1, for example (2, 2, 2)")


def _run_lengths(tokens: Ids) -> NDArray[np.int32]:
    """Return how many characters stand between each target and the boundary before it, (N,)."""
    places = np.arange(len(tokens), dtype=np.int32)
    begins = np.zeros(len(tokens), np.int32)
    begins[1:] = np.where(tokens[:-1] == BOUNDARY, places[1:], 0)
    return places - np.maximum.accumulate(begins)


def _child(ids: NDArray[np.int32], run: NDArray[np.int32], n: int, gram: int, k: int) -> NDArray[np.int32]:
    """Return the row that is child k of the n-gram before each target, (N,).

    Child n - 1 ends right before the target, the others a multiple of `gram` earlier. A child that ends at or
    before the boundary of the line is all boundaries, as is what stands before the very first target.
    """
    back = (n - 1 - k) * gram
    return np.where(run > back, np.roll(ids, back), ids[0])


def _combine(
    child: Callable[[int], NDArray[np.int32]], n: int, below: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Number the distinct combinations of n children: n columns (M,) under `below` -> (M,), (U, n)."""
    key, size = child(0).astype(np.int64), below
    for k in range(1, n):
        if size * below >= 2**63:  # number what there is so far, so that the next product fits into 64 bits
            key, size = _number(key, size)
        key = key * below + child(k)
        size *= below
    key, size = _number(key, size)
    where = np.empty(size, np.int64)
    where[key] = np.arange(len(key))  # a place where each combination occurs
    table = np.empty((size, n), np.int32)
    for k in range(n):
        table[:, k] = child(k)[where]
    return key.astype(np.int32), table


def _number(key: Index, size: int) -> tuple[Index, int]:
    """Replace numbers under `size` by the rank that they have among those that occur, and count these."""
    if size > 4 * len(key) + 2**16:
        present, ranks = np.unique(key, return_inverse=True)
        return ranks, len(present)
    seen = np.zeros(size, np.bool_)  # marking takes no sort, where the numbers are small enough
    seen[key] = True
    return (np.cumsum(seen) - 1)[key], int(seen.sum())


def _distinct(ids: NDArray[np.integer[Any]], notes: Index) -> tuple[NDArray[np.integer[Any]], Index]:
    """Return the distinct ids in the order of where they occur last, and the place of each id among them.

    `notes` has a slot for every possible id; each is written before it is read, so none needs clearing.
    """
    places = np.arange(len(ids))
    notes[ids] = places
    rows = ids.compress(notes.take(ids) == places)  # of several equal ids, the one whose note was not overwritten
    notes[rows] = places[: len(rows)]
    return rows, notes.take(ids)
