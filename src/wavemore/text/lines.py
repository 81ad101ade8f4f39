"""Lines of text kept compactly: one string and the place where each line begins.

A million Python strings take about 60 MB for 7 MB of text. Here the same lines take 7 MB and 4 bytes a line.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError

MAX_LINE_LENGTH = 10_000
"""The most characters that a line may have: one thing a line, not a book on one."""

_CHUNK = 1 << 14  # lines that are separate Python strings at the same time


@dataclass(frozen=True)
class Report:
    """What was found while lines were read: counts of lines and characters, line ends not counted.

    >>> print(Report(lines=3, distinct=2, blank=1, longest=4, characters=11, alphabet=5))
    3 lines (2 distinct), 11 characters of 5 kinds, longest line 4, 1 blank line skipped
    """

    lines: int
    distinct: int
    blank: int
    longest: int
    characters: int
    alphabet: int

    def __str__(self) -> str:
        distinct = "all distinct" if self.distinct == self.lines else f"{self.distinct:,} distinct"
        sentence = (
            f"{counted(self.lines, 'line')} ({distinct}), {counted(self.characters, 'character')} "
            f"of {counted(self.alphabet, 'kind')}, longest line {self.longest:,}"
        )
        return f"{sentence}, {counted(self.blank, 'blank line')} skipped" if self.blank else sentence


class Lines(Sequence[str]):
    r"""An immutable sequence of lines, made by `Lines.from_iterable` or `read_lines`.

    `text` holds the lines, each ended by a line feed; `lengths` is (N,), the characters of each line without
    it.

    >>> lines = Lines.from_iterable(["emma", "  olivia\n", "", "ava"])
    >>> len(lines), lines[1], list(lines[1:]), lines.lengths.tolist()
    (3, 'olivia', ['olivia', 'ava'], [4, 6, 3])
    """

    def __init__(self, text: str, lengths: NDArray[np.integer[Any]]) -> None:
        self.text = text
        dtype = np.uint32 if len(text) < 2**32 else np.int64
        self._offsets: NDArray[np.integer[Any]] = np.zeros(len(lengths) + 1, dtype)
        np.cumsum(lengths + 1, out=self._offsets[1:])
        assert self._offsets[-1] == len(text), "lengths and text do not belong together"
        self._hashes: NDArray[np.uint64] | None = None

    @classmethod
    def from_iterable(cls, lines: Iterable[str]) -> "Lines":
        """Gather lines as a file is read: whitespace around a line is stripped, blank lines are skipped.

        Raises `DataError` for a line longer than `MAX_LINE_LENGTH`, one with a line break inside, and what is
        no text.

        >>> list(Lines.from_iterable(["new york ", "", "rome"]))
        ['new york', 'rome']
        """
        return collect(lines)[0]

    def __len__(self) -> int:
        return len(self._offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Lines": ...
    def __getitem__(self, index: int | slice) -> "str | Lines":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        place = range(len(self))[index]  # an IndexError here, and negative numbers counted from the end
        return self.text[int(self._offsets[place]) : int(self._offsets[place + 1]) - 1]

    def __iter__(self) -> Iterator[str]:
        for start in range(0, len(self), _CHUNK):
            stop = min(start + _CHUNK, len(self))
            yield from self.text[int(self._offsets[start]) : int(self._offsets[stop]) - 1].split("\n")

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'line')}>"

    @property
    def lengths(self) -> NDArray[np.int64]:
        """The characters of each line, (N,)."""
        return np.diff(self._offsets).astype(np.int64) - 1

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> "Lines":
        """Return the lines at the (M,) indices, in that order.

        >>> list(Lines.from_iterable(["a", "b", "c"]).take([2, 0]))
        ['c', 'a']
        """
        places = np.asarray(indices, np.int64)
        begins, ends = self._offsets[places], self._offsets[places + 1]
        pieces = []
        for start in range(0, len(places), _CHUNK):
            spans = zip(begins[start : start + _CHUNK].tolist(), ends[start : start + _CHUNK].tolist(), strict=True)
            pieces.append("".join([self.text[begin:end] for begin, end in spans]))
        taken = Lines("".join(pieces), ends - begins - 1)
        if self._hashes is not None:
            taken._hashes = self._hashes[places]
        return taken

    def hashes(self) -> NDArray[np.uint64]:
        """Return a 64-bit hash of each line, (N,): the same on every machine, in every process.

        A line's hash is the sum, modulo 2 ** 64, of a scrambled number for each of its characters at its place and
        for the end at its place (Zobrist, "A New Hashing Method with Application for Game Playing", 1970).

        >>> Lines.from_iterable(["emma", "ava", "emma"]).hashes().tolist()
        [15991479069336283553, 4918206010412090640, 15991479069336283553]
        """
        if self._hashes is None:
            chunks = [np.zeros(0, np.uint64)]
            for start in range(0, len(self), 2_048):  # few lines at once: eight bytes a character, several times
                offsets = self._offsets[start : start + 2_049].astype(np.int64)
                text = self.text[offsets[0] : offsets[-1]]
                codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
                begins, sizes = offsets[:-1] - offsets[0], np.diff(offsets)
                places = np.arange(len(codes), dtype=np.uint64) - np.repeat(begins, sizes).astype(np.uint64)
                chunks.append(np.add.reduceat(scramble(codes | (places << np.uint64(32))), begins))
            self._hashes = np.concatenate(chunks)
        return self._hashes


def scramble(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scatter 64-bit numbers one to one (splitmix64, Steele et al., https://doi.org/10.1145/2660193.2660195).

    >>> scramble(np.array([1, 2], np.uint64)).tolist()
    [10451216379200822465, 10905525725756348110]
    """
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Collector:
    """Gathers raw lines into `Lines`: strips them, skips blank ones, refuses those that are too long."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._lengths: list[NDArray[np.int32]] = []
        self._alphabet: set[str] = set()
        self.seen = 0  # raw lines, blank ones included, so that errors can give the number of a line

    def add(self, raw: list[str]) -> None:
        """Add some raw lines, without line ends; they are transient, so add a few thousand at once."""
        stripped = [line.strip() for line in raw]
        kept = [line for line in stripped if line]
        if kept:
            lengths = np.fromiter(map(len, kept), np.int32, len(kept))
            if lengths.max() > MAX_LINE_LENGTH:
                number, length = next((i, len(s)) for i, s in enumerate(stripped, 1) if len(s) > MAX_LINE_LENGTH)
                raise too_long(self.seen + number, f"{length:,}")
            piece = "\n".join(kept) + "\n"
            self._alphabet.update(piece)
            self._pieces.append(piece)
            self._lengths.append(lengths)
        self.seen += len(raw)

    def finish(self) -> tuple[Lines, Report]:
        """Return the lines that were gathered, and what was found."""
        lengths = np.concatenate([np.zeros(0, np.int32), *self._lengths])
        text = "".join(self._pieces)
        self._pieces.clear()  # the text is in memory once, not twice, from here on
        lines = Lines(text, lengths)
        report = Report(
            lines=len(lines),
            distinct=len(np.unique(lines.hashes())),
            blank=self.seen - len(lines),
            longest=int(lengths.max(initial=0)),
            characters=len(text) - len(lines),
            alphabet=len(self._alphabet - {"\n"}),
        )
        return lines, report


def collect(lines: Iterable[str]) -> tuple[Lines, Report]:
    """Gather lines as `Lines.from_iterable` does, and report what was found.

    >>> print(collect(["emma", "", "ava"])[1])
    2 lines (all distinct), 7 characters of 4 kinds, longest line 4, 1 blank line skipped
    """
    if isinstance(lines, str):
        raise UsageError("one string was given where lines are needed; give a list, for example text.splitlines()")
    collector = Collector()
    iterator = iter(lines)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        for number, line in enumerate(chunk, collector.seen + 1):
            if not isinstance(line, str):
                raise DataError(f"line {number:,} is {type(line).__name__}, not text; give strings")
            if "\n" in line or "\r" in line:
                body = line.strip()
                if "\n" in body or "\r" in body:
                    raise DataError(f"line {number:,} has a line break inside ({body[:40]!r}); split it into lines")
        collector.add(chunk)
    return collector.finish()


def too_long(number: int, length: str) -> DataError:
    """Return the error for a line of more than `MAX_LINE_LENGTH` characters."""
    return DataError(
        f"line {number:,} has {length} characters, more than {MAX_LINE_LENGTH:,}; "
        "one thing a line is expected, so break long text into lines"
    )


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "line"), counted(2_000, "line")
    ('1 line', '2,000 lines')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
