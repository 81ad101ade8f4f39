"""Lines of text, stored compactly: one string, or one array of ids, and the offset at which each line begins.

A million lines of 7 characters take about 60 MB as Python strings, and here 8 MB plus 4 bytes per line.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, refuse_string
from wavemore.progress import report
from wavemore.text.arrays import distinct, ranges, scramble
from wavemore.text.cleaning import AS_IS, Cleaner, Cleaning
from wavemore.text.id_buffer import IdBuffer
from wavemore.text.labels import LabelCollector, LabelColumn, tidy
from wavemore.text.reports import LineReport, pluralize
from wavemore.text.vocabulary import Ids, Vocabulary, code_points

MAX_LINE_LENGTH = 10_000
"""The most characters that an item of a list may have."""

_CHUNK = 1 << 14  # lines that are separate Python strings at the same time


class Lines(Sequence[str]):
    r"""An immutable sequence of N lines, made by `Lines.from_iterable` or `reading.read_lines`.

    `text` is all lines, each followed by a line feed; `lengths` is (N,), the characters of each line without it.

    >>> lines = Lines.from_iterable(["emma", "  olivia\n", "", "ava"])
    >>> len(lines), lines[1], list(lines[1:]), lines.lengths.tolist()
    (3, 'olivia', ['olivia', 'ava'], [4, 6, 3])
    """

    def __init__(
        self,
        text: str | Ids,
        lengths: NDArray[np.integer[Any]],
        codes: NDArray[np.uint32] | None = None,
        counts: NDArray[np.int64] | None = None,
        labels: LabelColumn | None = None,
    ) -> None:
        """The text may be given as ids with their `codes`, the code points: it is decoded where it is needed."""
        assert isinstance(text, str) == (codes is None), "ids need their code points, a string does not"
        self._text, self._codes = text, codes
        self.counts = counts
        """How often each line occurs, (N,); None if each occurs once."""
        self.labels = labels
        """The label of each line, if they have some; it is no part of the line, nor of its hash."""
        dtype = np.uint32 if len(text) < 2**32 else np.int64
        self.offsets: NDArray[np.integer[Any]] = np.zeros(len(lengths) + 1, dtype)
        """Where each line begins in `text`, and where the last one ends: (N + 1,)."""
        np.cumsum(lengths, out=self.offsets[1:])
        np.add(self.offsets, np.arange(len(self.offsets)), out=self.offsets, casting="unsafe")  # the line feeds
        assert self.offsets[-1] == len(text), "lengths and text do not belong together"
        self._hashes: NDArray[np.uint64] | None = None

    @classmethod
    def from_iterable(cls, lines: Iterable[str]) -> "Lines":
        """Collect lines as from a file: whitespace around a line is stripped, blank lines are skipped.

        Raises `DataError` for a line longer than `MAX_LINE_LENGTH`, one with a line break inside, and a value that is
        not a string.
        """
        return collect(lines)[0]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> "Lines": ...
    def __getitem__(self, index: int | slice) -> "str | Lines":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        number = range(len(self))[index]  # raises IndexError; negative indices count from the end
        return self._between(number, number + 1)[:-1]

    def __iter__(self) -> Iterator[str]:
        for text in self._chunks():
            yield from text[:-1].split("\n")

    def __repr__(self) -> str:
        return f"<{pluralize(len(self), 'line')}>"

    @property
    def text(self) -> str:
        """All lines, each followed by a line feed."""
        return self._between(0, len(self))

    @property
    def characters(self) -> str:
        """The characters of the text, without the line feed."""
        if isinstance(self._text, str):
            return "".join(sorted(set(self._text) - {"\n"}))
        assert self._codes is not None
        return "".join(map(chr, self._codes[1:].tolist()))

    @property
    def lengths(self) -> NDArray[np.int32]:
        """The characters of each line, (N,)."""
        return np.diff(self.offsets).astype(np.int32) - np.int32(1)

    def encode(self, vocabulary: Vocabulary) -> Ids:
        """Return the ids of the text, `BOUNDARY` for each line feed; they are kept in place of the text.

        Raises `UnknownCharacterError` for a character that is not in the vocabulary.
        """
        if isinstance(self._text, str) or self._codes is None or not np.array_equal(self._codes, vocabulary.codes):
            self._text, self._codes = vocabulary.encode_text(self.text), vocabulary.codes
        return self._text

    def _between(self, start: int, stop: int) -> str:
        """Return the text of the lines from `start` to `stop`."""
        text = self._text[int(self.offsets[start]) : int(self.offsets[stop])]
        if isinstance(text, str):
            return text
        assert self._codes is not None
        return self._codes[text].tobytes().decode("utf-32-le", "surrogatepass")

    def _chunks(self, size: int = _CHUNK) -> Iterator[str]:
        for start in range(0, len(self), size):
            yield self._between(start, min(start + size, len(self)))

    def take(self, indices: Sequence[int] | NDArray[np.integer[Any]]) -> "Lines":
        """Return the lines at the (M,) indices, in that order.

        >>> list(Lines.from_iterable(["a", "b", "c"]).take([2, 0]))
        ['c', 'a']
        """
        numbers = np.asarray(indices, np.int64)
        begins, sizes = self.offsets[numbers], np.diff(self.offsets)[numbers]
        if isinstance(self._text, str):
            spans = zip(begins.tolist(), (begins + sizes).tolist(), strict=True)
            taken = Lines("".join([self._text[begin:end] for begin, end in spans]), sizes - 1)
        else:
            ids = np.empty(int(sizes.sum()), self._text.dtype)
            end = 0
            for start in range(0, len(numbers), _CHUNK):
                chunk = slice(start, start + _CHUNK)
                places = ranges(begins[chunk], sizes[chunk])
                ids[end : end + len(places)] = self._text[places]
                end += len(places)
            taken = Lines(ids, sizes - 1, self._codes)
        if self._hashes is not None:
            taken._hashes = self._hashes[numbers]
        taken.counts = None if self.counts is None else self.counts[numbers]
        taken.labels = self.labels and self.labels.take(numbers)
        return taken

    def with_labels(self, labels: LabelColumn) -> "Lines":
        """Return the same lines with other labels."""
        lines = copy(self)
        lines.labels = labels
        return lines

    def casefolded(self) -> Iterator["Lines"]:
        """Yield the lines in pieces, without the difference between upper and lower case.

        >>> [list(piece) for piece in Lines.from_iterable(["Anna", "STRASSE", "Straße"]).casefolded()]
        [['anna', 'strasse', 'strasse']]
        """
        for text in self._chunks():
            lines = text[:-1].casefold().split("\n")
            yield Lines("\n".join([*lines, ""]), np.fromiter(map(len, lines), np.int32, len(lines)))

    def hashes(self) -> NDArray[np.uint64]:
        """Return a 64-bit hash of each line, (N,), which is the same on every machine and in every process.

        The hash is a sum modulo 2 ** 64: one scrambled number per character and its position in the line, the line end
        included (Zobrist, "A New Hashing Method with Application for Game Playing", 1970).

        >>> Lines.from_iterable(["emma", "ava", "emma"]).hashes().tolist()
        [15991479069336283553, 4918206010412090640, 15991479069336283553]
        """
        if self._hashes is None:
            chunks = [np.zeros(0, np.uint64)]
            for start in range(0, len(self), 2_048):  # few lines at once, as each array has eight bytes per character
                offsets = self.offsets[start : start + 2_049].astype(np.int64)
                codes = code_points(self._between(start, start + len(offsets) - 1)).astype(np.uint64)
                begins, sizes = offsets[:-1] - offsets[0], np.diff(offsets)
                positions = np.arange(len(codes), dtype=np.uint64) - np.repeat(begins, sizes).astype(np.uint64)
                report("hashing the lines", start + len(offsets) - 1, len(self))
                chunks.append(np.add.reduceat(scramble(codes | (positions << np.uint64(32))), begins))
            self._hashes = np.concatenate(chunks)
        return self._hashes


class Collector:
    """Collects raw lines into `Lines`: cleans and strips them, skips blank ones, and refuses or skips too long ones."""

    def __init__(self, cleaning: Cleaning = AS_IS, *, counted: bool = False) -> None:
        """With `counted`, some lines come with how often they occur."""
        self.cleaning, self._is_counted = cleaning, counted
        self._cleaner = Cleaner(cleaning)
        self._most = min(MAX_LINE_LENGTH, cleaning.max_length or MAX_LINE_LENGTH)
        self._ids = IdBuffer()
        self._lengths: list[NDArray[np.int32]] = []
        self._counts: list[NDArray[np.int64]] = []
        self._begins = [0]
        self._labels: LabelCollector | None = None
        self._num_stripped = 0
        self.num_lines = 0  # raw lines, blank ones included, so that errors can give the number of a line
        self.num_long = self.num_rare = 0

    def begin_part(self) -> None:
        """Let the lines that come next be another part."""
        self._begins.append(self.num_kept)

    @property
    def num_kept(self) -> int:
        """The number of lines that were neither blank nor too long so far."""
        return sum(map(len, self._lengths))

    def add(self, raw: list[str], counts: list[int] | None = None, labels: Sequence[str] | None = None) -> None:
        """Add raw lines without line ends, (N,), and how often each occurs, (N,), by default once, and their labels.

        To save memory, add a few thousand at a time.
        """
        stripped = [line.strip() for line in raw]
        if sum(map(len, raw)) > sum(map(len, stripped)):
            self._num_stripped += sum(bool(b) and a.rstrip("\r\n") != b for a, b in zip(raw, stripped, strict=True))
        text = "\n".join([*stripped, ""])
        cleaned = self._cleaner.clean(text)
        if cleaned != text:
            stripped = [line.strip() for line in cleaned[:-1].split("\n")]
        lines = [line for line in stripped if line]
        times = np.zeros(0, np.int64)
        if self._is_counted:
            times = np.ones(len(raw), np.int64) if counts is None else np.array(counts, np.int64)
            times = times[np.fromiter(map(bool, stripped), np.bool_, len(stripped))]
        self._append(lines, stripped, times)
        if labels is not None:
            self._labels = self._labels or LabelCollector()
            pairs = zip(stripped, labels, strict=True)
            self._labels.add([label for line, label in pairs if 0 < len(line) <= self._most])
        self.num_lines += len(raw)

    def _append(self, lines: list[str], all_lines: list[str], counts: NDArray[np.int64]) -> None:
        lengths = np.fromiter(map(len, lines), np.int32, len(lines))
        if lengths.max(initial=0) > self._most:
            if self.cleaning.max_length is None and self.cleaning.long_lines == "error":
                number, length = next((i, len(s)) for i, s in enumerate(all_lines, 1) if len(s) > MAX_LINE_LENGTH)
                raise line_too_long(self.num_lines + number, f"{length:,}")
            self.num_long += int((lengths > self._most).sum())
            lines = [line for line in lines if len(line) <= self._most]
            if self._is_counted:
                counts = counts[lengths <= self._most]
            lengths = lengths[lengths <= self._most]
        self._ids.add("\n".join([*lines, ""]) if lines else "")
        self._lengths.append(lengths)
        self._counts.append(counts)

    def finish(self) -> tuple[Lines, LineReport]:
        """Return the collected lines and a report; call this once, at the end.

        Then `sizes` has the number of lines of each part; rare ones are left out of the first part only.
        """
        lengths = np.concatenate([np.zeros(0, np.int32), *self._lengths])
        ids, codes = self._ids.finish()
        counts = np.concatenate([np.zeros(0, np.int64), *self._counts]) if self._is_counted else None
        lines = Lines(ids, lengths, codes, counts, None if self._labels is None else self._labels.finish())
        num_blank = self.num_lines - len(lines) - self.num_long
        self.sizes = np.diff([*self._begins, len(lines)]).tolist()
        if self.cleaning.min_count > 1:
            lines = self._without_rare(lines)
        repairs = [f"spaces stripped from {pluralize(self._num_stripped, 'line')}"] if self._num_stripped else []
        if self.num_long:
            repairs.append(f"{pluralize(self.num_long, 'line')} of more than {self._most:,} characters left out")
        if self.num_rare:
            times = "once only" if self.cleaning.min_count == 2 else f"fewer than {self.cleaning.min_count:,} times"
            verb = "occurs" if self.num_rare == 1 else "occur"
            repairs.append(f"{pluralize(self.num_rare, 'line')} left out that {verb} {times}")
        if lines.counts is not None:
            repairs.append(f"{lines.counts.sum():,} occurrences in all")
        report = LineReport(
            lines=len(lines),
            distinct=len(distinct(_with_labels(lines))),
            blank=num_blank,
            longest=int(lines.lengths.max(initial=0)),
            characters=int(lines.lengths.sum(dtype=np.int64)),
            alphabet=len(lines.characters),
            repairs=(*repairs, *self._cleaner.repairs),
            invisible=self._cleaner.invisible,
            first=lines[0] if len(lines) else "",
        )
        return lines, report

    def _without_rare(self, lines: Lines) -> Lines:
        """Leave the lines of the first part out of which all copies together occur too rarely."""
        hashes = lines.hashes()[: self.sizes[0]]
        kinds, numbers = np.unique(hashes, return_inverse=True)
        counts = None if lines.counts is None else lines.counts[: len(hashes)]
        often = np.bincount(numbers, counts, len(kinds))[numbers] >= self.cleaning.min_count
        self.num_rare = int((~often).sum())
        self.sizes[0] -= self.num_rare
        kept = lines.take(np.flatnonzero(np.append(often, np.ones(len(lines) - len(hashes), np.bool_))))
        return Lines(
            kept.text, kept.lengths, counts=kept.counts, labels=kept.labels
        )  # without the ids of characters that are gone


def _with_labels(lines: Lines) -> NDArray[np.uint64]:
    """Return a hash of each line, (N,), that depends on its label too, if it has one."""
    hashes = lines.hashes()
    return hashes if lines.labels is None else scramble(hashes ^ scramble(lines.labels.numbers.astype(np.uint64)))


def collect(
    lines: Iterable[str], cleaning: Cleaning = AS_IS, labels: Sequence[str] | None = None
) -> tuple[Lines, LineReport]:
    """Collect lines as `Lines.from_iterable` does, but cleaned and with their labels, and return a report too."""
    refuse_string(lines, "lines")
    if labels is not None:
        lines, labels = list(lines), list(map(tidy, labels))
        if len(labels) != len(lines) or not all(labels):
            raise DataError(f"{len(lines):,} lines need as many `labels`, none of them empty, not {len(labels):,}")
    collector = Collector(cleaning)
    iterator = iter(lines)
    while chunk := list(itertools.islice(iterator, _CHUNK)):
        for number, line in enumerate(chunk, collector.num_lines + 1):
            if not isinstance(line, str):
                raise DataError(f"line {number:,} is of type {type(line).__name__}; give strings")
            body = line.strip()
            if "\n" in body or "\r" in body:
                raise DataError(f"line {number:,} has a line break inside ({body[:40]!r}); split it into lines")
        collector.add(chunk, labels=labels and labels[collector.num_lines : collector.num_lines + len(chunk)])
    return collector.finish()


def line_too_long(number: int, length: str) -> DataError:
    """Return the error for a line that is too long."""
    return DataError(
        f"line {number:,} has {length} characters, more than {MAX_LINE_LENGTH:,}; one item per line is expected: "
        "set `long_lines` to skip to leave such lines out, or `format` to text if it is one continuous text"
    )
