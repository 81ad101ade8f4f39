"""Finite automata over the characters of a vocabulary: which lines begin, contain or end as wished.

Shapes: S states, K classes of characters that all states treat alike, V vocabulary with the boundary (id 0).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError

MAX_STATES = 10_000
"""States of the largest automaton that is built."""
DEAD = -1
"""No line that passes begins like this one."""


@dataclass(frozen=True, eq=False)
class Automaton:
    """A deterministic automaton. It begins in state 0 and reads the ids of a line, without boundaries.

    >>> automaton = contains(np.array([1, 1]), 3)
    >>> [automaton.accepts_ids(ids) for ids in ([1, 1], [2, 1, 1, 2], [1, 2, 1])]
    [True, True, False]
    """

    next: NDArray[np.int32]
    """The state after a character of each class, (S, K); `DEAD` if no line can pass any more."""
    accepting: NDArray[np.bool_]
    """Whether a line may end in each state, (S,)."""
    classes: NDArray[np.int64]
    """The class of each id, (V,); that of the boundary has no meaning."""

    def accepts_ids(self, ids: Sequence[int] | NDArray[np.integer]) -> bool:
        """Say whether the line with these ids passes."""
        state = 0
        for number in ids:
            state = int(self.next[state, self.classes[number]])
            if state == DEAD:
                return False
        return bool(self.accepting[state])

    @cached_property
    def by_id(self) -> NDArray[np.int64]:
        """The state after each id, (S, V); that after the boundary is `DEAD`."""
        table = self.next[:, self.classes].astype(np.int64)
        table[:, 0] = DEAD
        return table

    def __and__(self, other: "Automaton") -> "Automaton":
        """Return the automaton of the lines that pass both. Raises `UsageError` if it has too many states."""
        pairs, classes = np.unique(np.stack([self.classes, other.classes]), axis=1, return_inverse=True)  # (2, K)
        codes, frontier = np.zeros(1, np.int64), np.zeros(1, np.int64)  # a state of each, as one number
        rows: list[NDArray[np.int64]] = []
        size = len(other.next)
        while frontier.size:  # states are numbered in the order in which they are found
            ours, theirs = frontier // size, frontier % size
            mine, yours = self.next[ours][:, pairs[0]], other.next[theirs][:, pairs[1]]  # (F, K)
            following = np.where((mine == DEAD) | (yours == DEAD), DEAD, mine.astype(np.int64) * size + yours)
            rows.append(following)
            frontier = np.setdiff1d(following[following != DEAD], codes)
            codes = np.concatenate([codes, frontier])
            _require_states(len(codes))
        order = np.argsort(codes)
        reached = np.concatenate(rows)
        found = order[np.searchsorted(codes, reached, sorter=order).clip(0, len(order) - 1)]
        following = np.where(reached == DEAD, DEAD, found).astype(np.int32)
        accepting = self.accepting[codes // size] & other.accepting[codes % size]
        return Automaton(following, accepting, classes.reshape(-1)).reduced()

    def reduced(self) -> "Automaton":
        """Return the smallest automaton of the same lines (Moore's algorithm), without states that never pass."""
        alive = self._alive()
        following = np.where((self.next == DEAD) | ~alive[self.next], DEAD, self.next)
        groups, count = self.accepting.astype(np.int64), 0
        groups[~alive] = -1
        while True:  # split the groups until all states of one go on to the same groups
            signs = np.column_stack([groups, np.where(following == DEAD, -1, groups[following])])
            _, first, groups = np.unique(signs, axis=0, return_index=True, return_inverse=True)
            groups = groups.reshape(-1)
            if len(first) == count:
                break
            count = len(first)
        order = np.concatenate([[groups[0]], np.setdiff1d(np.arange(count), groups[[0]])])  # the start is state 0
        number = np.empty(count, np.int32)
        number[order] = np.arange(count)
        kept = first[order]
        table = np.where(following[kept] == DEAD, DEAD, number[groups[following[kept]]]).astype(np.int32)
        columns, classes = np.unique(table, axis=1, return_inverse=True)
        result = Automaton(columns, self.accepting[kept], classes.reshape(-1)[self.classes])
        used = result._reachable()
        renumbered = np.where(used, np.cumsum(used) - 1, DEAD)
        columns = np.where(columns == DEAD, DEAD, renumbered[columns])[used].astype(np.int32)
        return Automaton(columns, result.accepting[used], result.classes)

    def _reachable(self) -> NDArray[np.bool_]:
        reached = np.zeros(len(self.next), np.bool_)
        frontier = np.zeros(1, np.int64)
        while frontier.size:
            reached[frontier] = True
            following = np.unique(self.next[frontier])
            frontier = following[(following != DEAD) & ~reached[following]]
        return reached

    def _alive(self) -> NDArray[np.bool_]:
        """Return from which states a line can still pass, (S,)."""
        alive = self.accepting.copy()
        while True:
            more = alive | np.where(self.next == DEAD, False, alive[self.next]).any(axis=1)
            if (more == alive).all():
                return alive
            alive = more

    def count(self, min_length: int, max_length: int, limit: float = 1e15) -> float:
        """Return the number of lines of such lengths that pass; `limit` if they are more."""
        ways = np.bincount(self.classes[1:], minlength=self.next.shape[1]).astype(np.float64)  # (K,) characters
        lines, total = np.zeros(len(self.next)), 0.0  # (S,) lines of the length that lead to each state
        lines[0] = 1
        for length in range(max_length + 1):
            total += float(lines[self.accepting].sum()) if length >= min_length else 0.0
            if total >= limit or not lines.any():
                break
            here = self.next != DEAD
            weights = (lines[:, None] * ways)[here]
            lines = np.bincount(self.next[here], weights, len(lines)).clip(max=1e300)
        return min(total, limit)

    def lines(self, min_length: int, max_length: int) -> Iterator[tuple[int, ...]]:
        """Yield the ids of all lines of such lengths that pass."""
        for length in range(min_length, max_length + 1):
            yield from self._lines_of(length)

    def _lines_of(self, length: int) -> Iterator[tuple[int, ...]]:
        alive = [self.accepting]  # whether a line can pass with exactly k more characters
        for _ in range(length):
            alive.append(np.asarray(np.where(self.next == DEAD, False, alive[-1][self.next]).any(axis=1)))
        stack: list[tuple[int, tuple[int, ...]]] = [(0, ())] if alive[length][0] else []
        while stack:
            state, ids = stack.pop()
            if len(ids) == length:
                yield ids
                continue
            row = self.by_id[state]
            rest = alive[length - len(ids) - 1]
            stack.extend((int(row[i]), (*ids, int(i))) for i in np.flatnonzero(row != DEAD)[::-1] if rest[row[i]])


def begins(ids: NDArray[np.integer], vocabulary_size: int) -> Automaton:
    """Return the automaton of the lines that begin with these ids."""
    classes = _classes(ids, vocabulary_size)
    table = np.full((len(ids) + 1, int(classes.max()) + 1), DEAD, np.int32)
    table[np.arange(len(ids)), classes[ids]] = np.arange(1, len(ids) + 1)
    table[-1] = len(ids)
    return Automaton(table, np.arange(len(ids) + 1) == len(ids), classes)


def contains(ids: NDArray[np.integer], vocabulary_size: int) -> Automaton:
    """Return the automaton of the lines that contain these ids side by side."""
    table, classes = _search(ids, vocabulary_size)
    table[-1] = len(ids)
    return Automaton(table, np.arange(len(ids) + 1) == len(ids), classes)


def ends(ids: NDArray[np.integer], vocabulary_size: int) -> Automaton:
    """Return the automaton of the lines that end with these ids."""
    table, classes = _search(ids, vocabulary_size)
    return Automaton(table, np.arange(len(ids) + 1) == len(ids), classes)


def lacks(ids: NDArray[np.integer], vocabulary_size: int) -> Automaton:
    """Return the automaton of the lines that do not contain these ids side by side."""
    table, classes = _search(ids, vocabulary_size)
    table = np.where(table == len(ids), DEAD, table).astype(np.int32)[:-1]
    return Automaton(table, np.ones(len(ids), np.bool_), classes)


def trimmed(spaces: NDArray[np.integer], vocabulary_size: int) -> Automaton:
    """Return the automaton of the lines that have none of these ids at their beginning and at their end."""
    classes = np.zeros(vocabulary_size, np.int64)
    classes[spaces] = 1
    return Automaton(np.array([[1, DEAD], [1, 2], [1, 2]], np.int32), np.array([True, True, False]), classes)


def _classes(ids: NDArray[np.integer], vocabulary_size: int) -> NDArray[np.int64]:
    """Return a class for each of these ids and one for all others, (V,)."""
    classes = np.zeros(vocabulary_size, np.int64)
    distinct = np.unique(ids)
    classes[distinct] = np.arange(1, len(distinct) + 1)
    return classes


def _search(ids: NDArray[np.integer], vocabulary_size: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the table of a search for these ids, (N + 1, K), and the classes of all ids.

    State k has read the first k of them last (Knuth, Morris and Pratt, https://doi.org/10.1137/0206024).
    """
    _require_states(len(ids) + 1)
    classes = _classes(ids, vocabulary_size)
    table = np.zeros((len(ids) + 1, int(classes.max()) + 1), np.int32)
    fallback = 0
    for state, kind in enumerate([*classes[ids], 0]):
        table[state] = table[fallback]
        if state < len(ids):
            table[state, kind] = state + 1
            if state > 0:
                fallback = int(table[fallback, kind])
    return table, classes


def _require_states(count: int) -> None:
    if count > MAX_STATES:
        raise UsageError(f"the wishes together need an automaton of more than {MAX_STATES:,} states: make them simpler")
