"""A regular expression in Python's syntax as an automaton over the characters of a vocabulary.

Python's own parser reads the expression; the standard library has no public one. Its tree becomes a graph of nodes with
one test each (Thompson, https://doi.org/10.1145/363347.363387), and sets of nodes become the states of the automaton.
"""

import re
import unicodedata
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError
from wavemore.text.automaton import DEAD, MAX_STATES, Automaton

_parser: Any = re._parser  # type: ignore[attr-defined]
MAX_NODES = 5_000
"""Nodes of the largest expression; (ab{3}){2} has about a dozen."""
_CATEGORIES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}
_REFUSED = {
    "ASSERT": "looks ahead or back, (?=...) or (?<=...)",
    "ASSERT_NOT": "looks ahead or back, (?!...) or (?<!...)",
    "GROUPREF": "refers to a group, such as \\1",
    "GROUPREF_EXISTS": "refers to a group, (?(1)...)",
    "ATOMIC_GROUP": "has an atomic group, (?>...)",
    "POSSESSIVE_REPEAT": "has a possessive repetition, such as a++",
    "AT": "has a word boundary, such as \\b",
}


def matching(pattern: str, characters: str) -> Automaton:
    r"""Return the automaton of the lines that match as a whole, as `re.fullmatch` does; ids begin at 1.

    Raises `UsageError` for an expression that Python cannot read, that no automaton can follow (look-around, groups
    that are referred to, word boundaries), or that needs too many states.

    >>> automaton = matching("(an)+[^b-d]?", "abn")
    >>> [automaton.accepts_ids(ids) for ids in ([1, 3], [1, 3, 1, 3, 1], [1, 3, 2])]
    [True, True, False]
    """
    try:
        with warnings.catch_warnings(action="ignore"):
            tree = _parser.parse(unicodedata.normalize("NFC", pattern))
        graph = _Graph(characters)
        begin, end = graph.node(), graph.node()
        graph.add(tree, begin, end, re.RegexFlag(tree.state.flags))
    except (re.error, OverflowError) as error:
        raise UsageError(f"`match` is not a regular expression: {error}") from None
    except RecursionError:
        raise UsageError("`match` has too many groups within each other: make it simpler") from None
    return graph.automaton(begin, end).reduced()


class _Graph:
    """Nodes with edges: some need a character, the others none, or only the beginning or the end of the line."""

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.tests: list[tuple[int, NDArray[np.bool_], int]] = []  # from, which characters pass, to
        self.free: list[list[tuple[int, str]]] = []  # of each node: to, "" or "begin" or "end"
        self.known: dict[Any, NDArray[np.bool_]] = {}

    def node(self) -> int:
        if len(self.free) == MAX_NODES:
            raise UsageError(f"`match` needs more than {MAX_NODES:,} nodes: use smaller numbers of repetitions")
        self.free.append([])
        return len(self.free) - 1

    def link(self, start: int, end: int, where: str = "") -> None:
        self.free[start].append((end, where))

    def add(self, items: Any, start: int, end: int, flags: re.RegexFlag) -> None:
        """Add what matches the items one after the other, between two nodes."""
        for op, value in items:
            following = self.node()
            self._add_one(str(op), value, start, following, flags)
            start = following
        self.link(start, end)

    def _add_one(self, op: str, value: Any, start: int, end: int, flags: re.RegexFlag) -> None:
        if op in ("LITERAL", "NOT_LITERAL", "ANY", "IN"):
            self.tests.append((start, self._passing(op, value, flags), end))
        elif op == "BRANCH":
            for items in value[1]:
                self.add(items, start, end, flags)
        elif op == "SUBPATTERN":
            _, added, removed, items = value
            self.add(items, start, end, (flags | added) & ~removed)
        elif op in ("MAX_REPEAT", "MIN_REPEAT"):
            least, most, items = value
            self._repeat(least, None if most is _parser.MAXREPEAT else int(most), items, start, end, flags)
        elif op == "AT" and str(value) in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            self.link(start, end, "begin")
        elif op == "AT" and str(value) in ("AT_END", "AT_END_STRING"):
            self.link(start, end, "end")
        else:
            raise UsageError(
                f"`match` {_REFUSED.get(op, 'has a part')}, which cannot be followed character by character"
            )

    def _repeat(self, least: int, most: int | None, items: Any, start: int, end: int, flags: re.RegexFlag) -> None:
        for _ in range(least):
            following = self.node()
            self.add(items, start, following, flags)
            start = following
        if most is None:
            loop = self.node()
            self.link(start, loop)
            self.add(items, loop, loop, flags)
            self.link(loop, end)
            return
        for _ in range(most - least):
            self.link(start, end)
            following = self.node()
            self.add(items, start, following, flags)
            start = following
        self.link(start, end)

    def _passing(self, op: str, value: Any, flags: re.RegexFlag) -> NDArray[np.bool_]:
        """Return which characters of the vocabulary pass a test."""
        key = op, str(value), flags
        if key not in self.known:
            self.known[key] = np.array(
                [_passes(character, op, value, flags) for character in self.characters], np.bool_
            )
        return self.known[key]

    def automaton(self, begin: int, end: int) -> Automaton:
        """Return the deterministic automaton: its states are sets of nodes, as bits of a number."""
        kinds = np.array([passing for _, passing, _ in self.tests], np.bool_).reshape(
            len(self.tests), len(self.characters)
        )
        columns, classes = np.unique(kinds, axis=1, return_inverse=True)  # (tests, K)
        edges: list[list[tuple[int, int]]] = [[] for _ in self.free]  # of each node: test, nodes after it
        for test, (start, _, to) in enumerate(self.tests):
            edges[start].append((test, self._closure(to, ("",))))
        final = [bool(self._closure(node, ("", "end")) >> end & 1) for node in range(len(self.free))]
        first = self._closure(begin, ("", "begin"))
        empty = bool(self._closure(begin, ("", "begin", "end")) >> end & 1)
        numbers, order, rows = {first: 0}, [first], list[list[int]]()
        for state in order:
            row = [0] * columns.shape[1]
            nodes = _bits(state)
            for kind in range(len(row)):
                for node in nodes:
                    for test, after in edges[node]:
                        if columns[test, kind]:
                            row[kind] |= after
            for following in row:
                if following and following not in numbers:
                    numbers[following] = len(order)
                    order.append(following)
            if len(order) > MAX_STATES:
                raise UsageError(f"`match` needs an automaton of more than {MAX_STATES:,} states: make it simpler")
            rows.append([numbers.get(following, DEAD) for following in row])
        accepting = [any(final[node] for node in _bits(state)) for state in order]
        return _with_beginning(rows, accepting, empty, np.concatenate([[0], classes.reshape(-1)]))

    def _closure(self, node: int, passable: Sequence[str]) -> int:
        """Return the nodes that are reached without a character, as bits of a number."""
        reached, stack = 1 << node, [node]
        while stack:
            for to, where in self.free[stack.pop()]:
                if where in passable and not reached >> to & 1:
                    reached |= 1 << to
                    stack.append(to)
        return reached


def _with_beginning(rows: list[list[int]], accepting: list[bool], empty: bool, classes: NDArray[np.int64]) -> Automaton:
    """Return the automaton; the empty line, of which both ends are one place, has a state of its own."""
    table = np.array(rows, np.int32).reshape(len(rows), -1)
    table = np.concatenate([table[:1], table])
    table = np.where(table == DEAD, DEAD, table + 1).astype(np.int32)
    return Automaton(table, np.array([empty, *accepting], np.bool_), classes)


def _bits(number: int) -> list[int]:
    """Return the places of the bits that are 1."""
    return [place for place, bit in enumerate(reversed(f"{number:b}")) if bit == "1"]


def _passes(character: str, op: str, value: Any, flags: re.RegexFlag) -> bool:
    if op == "ANY":
        return character != "\n" or bool(flags & re.DOTALL)
    forms = {character, character.lower(), character.upper()} if flags & re.IGNORECASE else {character}
    if op == "LITERAL":
        return chr(value) in forms
    if op == "NOT_LITERAL":
        return chr(value) not in forms
    negated = str(value[0][0]) == "NEGATE"
    return negated != any(_is_in(forms, str(kind), of, flags) for kind, of in value[negated:])


def _is_in(forms: set[str], kind: str, of: Any, flags: re.RegexFlag) -> bool:
    if kind == "LITERAL":
        return chr(of) in forms
    if kind == "RANGE":
        return any(len(form) == 1 and of[0] <= ord(form) <= of[1] for form in forms)
    expression = _CATEGORIES[str(of).removeprefix("CATEGORY_").removeprefix("UNI_")]
    return any(re.fullmatch(expression, form, re.ASCII if flags & re.ASCII else 0) for form in forms)
