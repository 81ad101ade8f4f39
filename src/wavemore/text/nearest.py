"""The known lines that are nearest to new texts, by edit distance: exact, also among millions of lines.

The distance (Levenshtein's) is the number of characters to insert, delete or replace. Keys, 64-bit hashes of parts of a
line, find the few lines that can be near, and rapidfuzz compares these.

- Short lines at most one edit apart are equal after at most one deletion in each. So the keys of a line are all that
  one deletion can leave of it (as in SymSpell, https://github.com/wolfgarbe/SymSpell).
- A line cut into k + 1 pieces still has one of them whole after k edits. Left of piece i, the first without an edit
  where that is possible, there are i edits, so it is shifted by at most i (Li, Deng, Wang and Feng, "Pass-Join",
  https://doi.org/10.14778/2078331.2078340).
- Pieces of short lines are too common for that. More than one edit away, short lines are all compared, those of the
  most similar length first.

Shapes: L lines, Q texts, M lines or texts of one length n, K keys of each.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError, refuse_string, require, require_kind
from wavemore.progress import report
from wavemore.text.arrays import distinct, ranges, scramble
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import code_points

Hashes = NDArray[np.uint64]
Numbers = NDArray[np.int64]
SHORT = 16
"""The most characters of a line whose keys for one edit are made by deletions."""
CROWD = 1 / 8
"""If more of all lines than this share a key with a text, it is compared with each line, which is then as fast."""
MAX_EDITS = 8
"""More edits leave too many places for the pieces of a line: it is then compared."""
FAR = np.iinfo(np.int64).max
_BASE = 0xD6E8FEB86659FD93
_CHUNK, _BLOCK, _QUERIES = 1 << 14, 1 << 15, 256  # lines hashed at once, lines and texts compared at once


class NearLines:
    """Finds the known lines near some texts. The first search within a distance takes longer: it indexes the lines.

    >>> near = NearLines(Lines.from_iterable(["emma", "olivia", "ava"]))
    >>> near.within(["emmy", "ovilia", "eva"], 1).tolist()
    [True, False, True]
    >>> near.nearest(["emmy", "ovilia", "xyz"]), near.nearest(["ovilia"], most=1)
    ([('emma', 1), ('olivia', 2), ('ava', 3)], [('', 2)])
    """

    def __init__(self, lines: Lines) -> None:
        require_kind(lines, "lines", Lines, "lines, such as `known_lines(run)` returns")
        self.lines = lines.take(np.sort(np.unique(lines.hashes(), return_index=True)[1]))
        """The distinct lines, in their order."""
        self._groups = dict(_by_length(self.lines.lengths))
        self._index = cache(self._make_index)
        self._strings = cache(lambda length: list(self.lines.take(self._groups[length])))

    def within(self, texts: Sequence[str], distance: int) -> NDArray[np.bool_]:
        """Return whether a known line is at most `distance` edits away from each text, (Q,)."""
        require(distance >= 0, "distance", distance, "at least 0")
        search = _Search(texts, len(self.lines), enough=distance)
        for edits in sorted({min(distance, 1), distance}):
            self._search(search, np.flatnonzero(search.distances > distance), edits)
        return search.distances <= distance

    def nearest(self, texts: Sequence[str], most: int | None = None) -> list[tuple[str, int]]:
        """Return the nearest known line of each text and its distance; of several, the first of the list.

        Where all lines are more than `most` edits away, it is ("", most + 1). Raises `UsageError` for no known lines.
        """
        if not len(self.lines):
            raise UsageError("there are no known lines, so none is the nearest: give some")
        search, limit = _Search(texts, len(self.lines)), FAR if most is None else most
        require(limit >= 0, "most", limit, "at least 0")
        done = np.full(len(texts), -1)  # all lines at most so many edits away from a text were found
        for edits in (1, 2, 4):
            is_open = (done < limit) & (search.distances > done)
            if 1 < edits < limit:  # not for short texts, which are compared with most lines, and once is enough
                is_open &= search.lengths - edits > _short(edits)
            self._search(search, np.flatnonzero(is_open), min(edits, limit))
            done[is_open] = min(edits, limit)
        self._compare(search, np.flatnonzero((done < limit) & (search.distances > done)), limit)
        found = search.distances <= limit
        lines = iter(self.lines.take(search.best[found] % search.lines))
        distances = np.where(found, search.distances, 0 if most is None else most + 1).tolist()
        return [(next(lines) if near else "", each) for near, each in zip(found.tolist(), distances, strict=True)]

    def _search(self, search: "_Search", chosen: Numbers, edits: int) -> None:
        """Find the nearest line of the chosen texts among those at most `edits` away."""
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cpdist

        if not len(chosen):
            return
        texts, index, numbers = search.texts, *self._index(edits)
        groups = ((length, chosen[places]) for length, places in _by_length(search.lengths[chosen]))
        keys, owners = _keys(groups, lambda some: [texts[i] for i in some.tolist()], lambda p: _text_keys(p, edits))
        order = np.argsort(keys)  # so that neighbours are looked up one after the other
        keys, owners = keys[order], owners[order]
        first = np.searchsorted(index, keys)
        counts = np.searchsorted(index, keys, side="right") - first
        crowded = np.bincount(owners, counts, len(texts)) > 1_000 + CROWD * len(self.lines)
        used = np.flatnonzero((counts > 0) & ~crowded[owners])
        batches = np.cumsum(counts[used]) // (64 * _CHUNK)
        for batch in np.split(used, np.flatnonzero(np.diff(batches)) + 1):
            pairs = np.repeat(owners[batch], counts[batch]) * search.lines
            pairs = distinct(pairs + numbers[ranges(first[batch], counts[batch])])
            of, known = np.divmod(pairs, search.lines)
            strings = [texts[i] for i in of.tolist()], list(self.lines.take(known))
            distances = cpdist(*strings, scorer=Levenshtein.distance, score_cutoff=edits, dtype=np.int32)
            search.add(of, known, distances, edits)
        self._compare(search, chosen[crowded[chosen]], edits)
        if edits > 1:
            self._compare(search, chosen[~crowded[chosen]], edits, longest=_short(edits))

    def _compare(self, search: "_Search", chosen: Numbers, edits: int, longest: int = FAR) -> None:
        """Do the same by comparing with all lines of at most `longest` characters."""
        for length, places in _by_length(search.lengths[chosen]):
            for start in range(0, len(places), _QUERIES):
                texts = chosen[places[start : start + _QUERIES]]
                for gap in range(min(edits, max([length, *self._groups])) + 1):  # the distance is at least this
                    for other in {length - gap, length + gap}:
                        if other <= longest and other in self._groups:
                            self._compare_length(search, texts, other, edits, gap)
                    texts = search.still_open(texts, gap + 1)
                    if not len(texts):
                        break

    def _compare_length(self, search: "_Search", texts: Numbers, length: int, edits: int, gap: int) -> None:
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        numbers, strings = self._groups[length], self._strings(length)
        for start in range(0, len(numbers), _BLOCK):
            if not len(texts := search.still_open(texts, gap)):
                return
            queries, block = [search.texts[i] for i in texts.tolist()], strings[start : start + _BLOCK]
            limit = None if edits == FAR else edits
            distances = cdist(queries, block, scorer=Levenshtein.distance, score_cutoff=limit, dtype=np.int32)
            known = distances.argmin(axis=1)
            search.add(texts, numbers[start + known], distances[np.arange(len(texts)), known], edits)

    def _make_index(self, edits: int) -> tuple[Hashes, NDArray[np.uint32]]:
        """Return the keys of all lines in ascending order, and the number of the line of each."""

        def groups() -> Iterator[tuple[int, Numbers]]:
            done = 0
            for length, numbers in self._groups.items():
                if edits == 1 or length > _short(edits):
                    yield length, numbers
                done += len(numbers)
                report("indexing the known lines", done, len(self.lines))

        keys, owners = _keys(groups(), lambda some: list(self.lines.take(some)), lambda p: _line_keys(p, edits))
        order = np.argsort(keys)
        return keys[order], owners[order].astype(np.uint32)


class _Search:
    """Some texts, and the nearest line of each that was found so far."""

    def __init__(self, texts: Sequence[str], lines: int, enough: int = -1) -> None:
        """A text needs no nearer line than one that is `enough` edits away."""
        refuse_string(texts, "texts")
        self.texts, self.lines, self.enough = texts, max(1, lines), enough
        self.lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        self.best = np.full(len(texts), FAR)  # the distance * L + the number of the line

    @property
    def distances(self) -> Numbers:
        return self.best // self.lines

    def add(self, texts: Numbers, lines: Numbers, distances: NDArray[np.int32], edits: int) -> None:
        near = distances <= edits
        np.minimum.at(self.best, texts[near], distances[near].astype(np.int64) * self.lines + lines[near])

    def still_open(self, texts: Numbers, gap: int) -> Numbers:
        """Return the texts for which a line `gap` edits away could matter, at least as an earlier one of the list."""
        distances = self.distances[texts]
        return texts[(distances > self.enough) & (distances >= gap)]


class Distinct:
    """Accepts texts, one by one, that are at least `distance` edits away from all that it has accepted before.

    >>> distinct = Distinct(2)
    >>> [distinct.accept(text) for text in ("emma", "emmy", "ella")]
    [True, False, True]
    """

    def __init__(self, distance: int) -> None:
        require(distance >= 0, "distance", distance, "at least 0")
        self.edits = distance - 1
        self._pieces: defaultdict[tuple[int, int, str], list[str]] = defaultdict(list)

    def accept(self, text: str) -> bool:
        """Return whether the text is far enough from all accepted ones; it is then one of them."""
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import extractOne

        length, edits = len(text), self.edits
        keys = own = [(0, 0, "")]  # one for all
        if edits <= MAX_EDITS:
            others = range(max(0, length - edits), length + edits + 1)
            keys = [(other, i, text[a:b]) for other in others for i, a, b in _spans(length, other, edits)]
            own = [(length, i, text[slice(*_span(length, i, edits))]) for i in range(edits + 1)]
        for key in keys:
            near = self._pieces.get(key, ())
            if near and extractOne(text, near, scorer=Levenshtein.distance, score_cutoff=edits):
                return False
        for key in own:
            self._pieces[key].append(text)
        return True


def _by_length(lengths: NDArray[np.integer]) -> Iterator[tuple[int, Numbers]]:
    """Yield each length, and the numbers of what has it, in ascending order."""
    order = np.argsort(lengths, kind="stable")
    for places in np.split(order, np.flatnonzero(np.diff(lengths[order])) + 1):
        if len(places):
            yield int(lengths[places[0]]), places


def _keys(
    groups: Iterable[tuple[int, Numbers]],
    strings: Callable[[Numbers], list[str]],
    keys_of: Callable[[Hashes], Hashes],
) -> tuple[Hashes, Numbers]:
    """Return the keys of all strings, given by their numbers in groups of equal length, and the number for each."""
    keys, owners = [np.zeros(0, np.uint64)], [np.zeros(0, np.int64)]
    for length, numbers in groups:
        for start in range(0, len(numbers), _CHUNK):
            some = numbers[start : start + _CHUNK]
            made = keys_of(_prefixes(strings(some), length))  # (M, K)
            keys.append(made.ravel())
            owners.append(np.repeat(some, made.shape[1]))
    return np.concatenate(keys), np.concatenate(owners)


def _prefixes(strings: Sequence[str], length: int) -> Hashes:
    """Return a hash of the first 0, 1, ..., n characters of each string: (M, n + 1)."""
    codes = scramble(code_points("".join(strings)).astype(np.uint64)).reshape(len(strings), length)
    prefixes = np.zeros((len(strings), length + 1), np.uint64)
    for place in range(length):
        prefixes[:, place + 1] = prefixes[:, place] * _power(1) + codes[:, place]
    return prefixes


def _part(prefixes: Hashes, start: int, stop: int) -> Hashes:
    """Return the hash of the characters from `start` to `stop` of each string, (M,): the same at any place."""
    return prefixes[:, stop] - prefixes[:, start] * _power(stop - start)


def _line_keys(prefixes: Hashes, edits: int) -> Hashes:
    """Return the keys of known lines, (M, K)."""
    length = prefixes.shape[1] - 1
    if length <= _short(edits):
        return _deletions(prefixes)
    return _piece_keys(prefixes, length, ((number, *_span(length, number, edits)) for number in range(edits + 1)))


def _text_keys(prefixes: Hashes, edits: int) -> Hashes:
    """Return all keys that lines at most `edits` away from texts can have, (M, K)."""
    length = prefixes.shape[1] - 1
    keys = [_deletions(prefixes) if edits == 1 and length <= SHORT + 1 else prefixes[:, :0]]
    others = range(max(length - edits, _short(edits) + 1), length + edits + 1)
    return np.hstack([*keys, *(_piece_keys(prefixes, other, _spans(length, other, edits)) for other in others)])


def _short(edits: int) -> int:
    """Return the most characters of a line whose pieces are too common, or too many, to find it by them."""
    return -1 if edits == 0 else max(SHORT, 5 * edits + 4) if edits <= MAX_EDITS else FAR


def _deletions(prefixes: Hashes) -> Hashes:
    """Return hashes of what remains of each string without its first, second, ... or no character: (M, n + 1)."""
    length = prefixes.shape[1] - 1
    kept = [prefixes[:, i] * _power(length - 1 - i) + _part(prefixes, i + 1, length) for i in range(length)]
    return np.stack([*kept, prefixes[:, length]], axis=1)


def _piece_keys(prefixes: Hashes, length: int, spans: Iterable[tuple[int, int, int]]) -> Hashes:
    """Return the keys of pieces of lines of a length, given by their numbers and where they are: (M, K)."""
    keys = [
        _part(prefixes, start, stop) ^ scramble(np.array([length << 32 | number], np.uint64))
        for number, start, stop in spans
    ]
    return np.stack(keys, axis=1) if keys else prefixes[:, :0]


def _span(length: int, number: int, edits: int) -> tuple[int, int]:
    """Return where a piece of a line begins and ends."""
    return length * number // (edits + 1), length * (number + 1) // (edits + 1)


def _spans(length: int, other: int, edits: int) -> Iterator[tuple[int, int, int]]:
    """Yield where a text of some length may have the pieces of a line of another length, and their numbers."""
    longer = length - other
    for number in range(edits + 1):
        start, stop = _span(other, number, edits)
        left, right = number, edits - number  # edits on either side of the piece
        for shift in range(max(-left, longer - right), min(left, longer + right) + 1):
            if start + shift >= 0 and stop + shift <= length:
                yield number, start + shift, stop + shift


@cache
def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(_BASE, exponent, 1 << 64))
