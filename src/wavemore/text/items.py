"""The items of tables, JSON and counted lines, read in pieces."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any, NamedTuple

import msgspec

from wavemore.errors import DataError
from wavemore.text.labels import tidy
from wavemore.text.layout import LINE_BREAK, Layout
from wavemore.text.recognize import as_label, as_text, value_at

BATCH = 1 << 14
"""Items that are separate Python strings at the same time."""
MAX_ROW = 1 << 24
"""Characters of a row or a line of JSON."""
MAX_TIMES = 10**9
"""How often an item may occur."""
_COUNT = re.compile(r"\s*\d+ ")


class Items(NamedTuple):
    """Some items of a file, (N,)."""

    texts: list[str]
    counts: list[int] | None
    """How often each occurs, (N,), if the file says so."""
    labels: list[str] | None
    """The label of each, (N,), if they have labels."""


class ItemReader:
    r"""Takes the items out of the text of a file, and counts what it leaves out or changes.

    >>> reader = ItemReader(Layout("table", ",", header=True))
    >>> next(reader.batches(["name,city\n", "Ada,London\nBo", '\n"Cleo\nMay",Rome\n'])).texts
    ['Ada', 'Bo', 'Cleo May']
    >>> reader.repairs
    ('line breaks within 1 item replaced by spaces',)
    >>> reader = ItemReader(Layout("table", ",", header=True, label=1))
    >>> [batch.labels for batch in reader.batches(["name,city\n", "Ada,London\nBo\nCleo,Rome\n"])], reader.repairs
    ([['London', 'Rome']], ('1 item without a label left out',))
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.num_missing = 0  # rows and objects without the item
        self.num_broken = 0  # items with a line break
        self.num_uncounted = 0  # lines without a count
        self.num_zero = 0  # items that occur zero times
        self.num_unlabelled = 0  # items without a label
        self._counts: list[int] = []  # of the items that were read last
        self._labels: list[str] = []

    def batches(self, pieces: Iterable[str]) -> Iterator[Items]:
        """Yield the items, some thousand at a time. Raises `DataError` for what cannot be read."""
        readers = {
            "table": self._table,
            "json-lines": self._json_lines,
            "json": self._json,
            "counted": self._counted,
            "separated": self._separated,
        }
        items, labels = readers[self.layout.kind](pieces), list[str]()
        while batch := list(islice(items, BATCH)):
            if "\n" in "".join(batch) or "\r" in "".join(batch):
                batch = [self._on_one_line(item) for item in batch]
            counts, self._counts, labels, self._labels = self._counts, [], self._labels, []
            yield Items(
                batch, None if self.layout.count is None else counts, None if self.layout.label is None else labels
            )
        if self.num_unlabelled and not labels:
            raise DataError("no item has a label: set `label_column` to a column that has them")

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was left out or changed, in words."""
        words = []
        if self.num_missing:
            what = "rows without that column" if self.layout.kind == "table" else "values without such a text"
            words.append(f"{self.num_missing:,} {what} left out")
        if self.num_unlabelled:
            items = "1 item" if self.num_unlabelled == 1 else f"{self.num_unlabelled:,} items"
            words.append(f"{items} without a label left out")
        if self.num_uncounted:
            words.append(f"{self.num_uncounted:,} lines without a count read as they are")
        if self.num_zero:
            items = "1 item" if self.num_zero == 1 else f"{self.num_zero:,} items"
            words.append(f"{items} with a count of 0 left out")
        if self.num_broken:
            items = "1 item" if self.num_broken == 1 else f"{self.num_broken:,} items"
            words.append(f"line breaks within {items} replaced by spaces")
        return tuple(words)

    def _on_one_line(self, item: str) -> str:
        if len(lines := item.strip().splitlines()) < 2:
            return item.strip("\r\n")
        self.num_broken += 1
        return " ".join(line.strip() for line in lines)

    def _table(self, pieces: Iterable[str]) -> Iterator[str]:
        column, count, label = self.layout.column, self.layout.count, self.layout.label
        assert not isinstance(count, str), "the layout of a table has numbers of columns"
        assert not isinstance(label, str), "the layout of a table has numbers of columns"
        last, is_bare = max(column, count or 0), count is None and label is None
        rows = csv.reader(lines_of(pieces), delimiter=self.layout.delimiter)
        try:
            if self.layout.header:
                next((row for row in rows if any(map(str.strip, row))), None)
            for row in rows:
                if len(row) > last:
                    labelled = row[label] if label is not None and len(row) > label else ""
                    place = "" if is_bare else f"the row that ends in line {rows.line_num:,}"
                    if is_bare or self._keeps(row[count or 0], labelled, place):
                        yield row[column]
                elif row:
                    self.num_missing += 1
        except csv.Error as error:
            raise DataError(
                f"the row that begins before line {rows.line_num:,} cannot be read ({error}): a quotation mark may not "
                "be closed; correct it, or set `format` to lines to read lines as they are"
            ) from None

    def _json_lines(self, pieces: Iterable[str]) -> Iterator[str]:
        decode = msgspec.json.Decoder().decode
        for number, line in enumerate(lines_of(pieces), 1):
            if line.isspace():
                continue
            try:
                value = decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                raise DataError(f"line {number:,} is not JSON ({error}); correct it or remove it") from None
            yield from self._item(value, f"line {number:,}")

    def _json(self, pieces: Iterable[str]) -> Iterator[str]:
        try:
            values = msgspec.json.decode("".join(pieces))
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise DataError(f"the file is not JSON ({error}); correct it, or give one item per line") from None
        if not isinstance(values, list):
            raise DataError("the file is JSON, but not an array; give an array, or one item per line")
        for number, value in enumerate(values, 1):
            yield from self._item(value, f"value {number:,} of the array")

    def _item(self, value: Any, place: str) -> Iterator[str]:
        text = as_text(value_at(value, self.layout.field))
        if text is None:
            self.num_missing += 1
            return
        count, label = self.layout.count, self.layout.label
        times = "" if count is None else as_text(value_at(value, str(count))) or ""
        if self._keeps(times, "" if label is None else as_label(value_at(value, str(label))), place):
            yield text

    def _counted(self, pieces: Iterable[str]) -> Iterator[str]:
        for number, line in enumerate(lines_of(pieces), 1):
            count = _COUNT.match(line)
            self.num_uncounted += count is None and not line.isspace()
            times = count[0] if count else "1"
            if self._keeps(times, "", f"line {number:,}"):
                yield line[count.end() if count else 0 :].rstrip("\n")

    def _separated(self, pieces: Iterable[str]) -> Iterator[str]:
        lines = list[str]()
        for line in chain(lines_of(pieces), [self.layout.separator]):
            if line.strip() == self.layout.separator:
                if item := "\n".join(lines).strip():
                    yield item.replace("\n", LINE_BREAK)
                lines.clear()
            else:
                lines.append(line.rstrip("\n"))

    def _keeps(self, count: str, label: str, place: str) -> bool:
        """Keep the count and the label of the item that comes next; return False for one that is left out.

        Raises `DataError`, which names the place, for a count that is none.
        """
        times = 1 if self.layout.count is None else _times(count, place)
        if times == 0:
            self.num_zero += 1
        elif self.layout.label is not None and not (label := tidy(label)):
            self.num_unlabelled += 1
        else:
            if self.layout.count is not None:
                self._counts.append(times)
            if self.layout.label is not None:
                self._labels.append(label)
            return True
        return False


def _times(text: str, place: str) -> int:
    """Return a count. Raises `DataError` if it is none."""
    try:
        count = int(text)
    except ValueError:
        count = -1
    if not 0 <= count <= MAX_TIMES:
        shown = repr(text.strip()[:40])
        raise DataError(
            f"{place}: the count is {shown}, not a whole number from 0 to {MAX_TIMES:,}; correct it, or leave "
            "`count_column` out"
        )
    return count


def lines_of(pieces: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text in pieces, with their ends. Raises `DataError` for one that is too long."""
    tail: list[str] = []
    length = 0
    for piece in pieces:
        first, *others = piece.split("\n")
        tail.append(first)
        length += len(first)
        if length > MAX_ROW:
            raise DataError(f"a row has more than {MAX_ROW:,} characters; give one item per line")
        if others:
            yield "".join(tail) + "\n"
            *complete, last = others
            for line in complete:
                yield line + "\n"
            tail, length = [last], len(last)
    if length:
        yield "".join(tail)
