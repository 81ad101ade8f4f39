"""The items of tables, JSON and counted lines, read in pieces."""

import csv
import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from wavemore.errors import DataError
from wavemore.text.labels import tidy
from wavemore.text.layout import Layout, as_label, as_text, value_at

BATCH = 1 << 14
"""Items that are separate Python strings at the same time."""
MAX_ROW = 1 << 24
"""Characters of a row or a line of JSON."""
_COUNT = re.compile(r"\s*\d+ ")


class ItemReader:
    r"""Takes the items out of the text of a file, and counts what it leaves out or changes.

    >>> reader = ItemReader(Layout("table", ",", header=True))
    >>> list(reader.batches(["name,city\n", "Ada,London\nBo", '\n"Cleo\nMay",Rome\n']))
    [(['Ada', 'Bo', 'Cleo May'], None)]
    >>> reader.repairs
    ('line breaks within 1 item replaced by spaces',)
    >>> reader = ItemReader(Layout("table", ",", header=True, label_column=1))
    >>> list(reader.batches(["name,city\n", "Ada,London\nBo\nCleo,Rome\n"])), reader.repairs
    ([(['Ada', 'Cleo'], ['London', 'Rome'])], ('1 item without a label left out',))
    """

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.num_missing = 0  # rows and objects without the item
        self.num_broken = 0  # items with a line break
        self.num_uncounted = 0  # lines without a count
        self.num_unlabelled = 0  # items without a label
        self._labels: list[str] = []  # of the items that were taken last

    def batches(self, pieces: Iterable[str]) -> Iterator[tuple[list[str], list[str] | None]]:
        """Yield the items and their labels, some thousand at a time; None if the layout has no labels.

        Raises `DataError` for what cannot be read.
        """
        readers = {"table": self._table, "json-lines": self._json_lines, "json": self._json, "counted": self._counted}
        items, labels = readers[self.layout.kind](pieces), list[str]()
        while batch := list(islice(items, BATCH)):
            if "\n" in "".join(batch) or "\r" in "".join(batch):
                batch = [self._on_one_line(item) for item in batch]
            labels, self._labels = self._labels, []
            yield batch, labels if self.layout.has_labels else None
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
        column, of_label = self.layout.column, self.layout.label_column
        rows = csv.reader(lines_of(pieces), delimiter=self.layout.delimiter)
        try:
            if self.layout.header:
                next(rows, None)
            for row in rows:
                if len(row) > column:
                    if of_label is None or self._has_label(row[of_label] if len(row) > of_label else ""):
                        yield row[column]
                elif row:
                    self.num_missing += 1
        except csv.Error as error:
            raise DataError(
                f"the row that begins before line {rows.line_num:,} cannot be read ({error}): a quotation mark may not "
                "be closed; mend it, or set `format` to lines to read lines as they are"
            ) from None

    def _json_lines(self, pieces: Iterable[str]) -> Iterator[str]:
        decode = msgspec.json.Decoder().decode
        for number, line in enumerate(lines_of(pieces), 1):
            if line.isspace():
                continue
            try:
                value = decode(line)
            except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
                raise DataError(f"line {number:,} is no JSON ({error}); mend it or take it out") from None
            yield from self._item(value)

    def _json(self, pieces: Iterable[str]) -> Iterator[str]:
        try:
            values = msgspec.json.decode("".join(pieces))
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise DataError(f"the file is no JSON ({error}); mend it, or give one item per line") from None
        if not isinstance(values, list):
            raise DataError("the file is JSON, but no array; give an array, or one item per line")
        for value in values:
            yield from self._item(value)

    def _item(self, value: Any) -> Iterator[str]:
        text = as_text(value_at(value, self.layout.field))
        if text is None:
            self.num_missing += 1
        elif not self.layout.label_field or self._has_label(as_label(value_at(value, self.layout.label_field))):
            yield text

    def _has_label(self, label: str) -> bool:
        """Keep the label of the item that is taken next; return False for an empty one, whose item is left out."""
        if label := tidy(label):
            self._labels.append(label)
        else:
            self.num_unlabelled += 1
        return bool(label)

    def _counted(self, pieces: Iterable[str]) -> Iterator[str]:
        for line in lines_of(pieces):
            count = _COUNT.match(line)
            self.num_uncounted += count is None and not line.isspace()
            yield line[count.end() if count else 0 :].rstrip("\n")


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
