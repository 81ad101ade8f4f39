"""Where the items of a file are: in its lines, in a column of a table, in a field of JSON, or after counts."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from wavemore.errors import DataError, UsageError, require
from wavemore.signs import visible

Kind = Literal["plain", "table", "json-lines", "json", "counted"]

DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
MAX_COLUMN = 10_000
"""Columns that a table may have."""
_HEADERS = frozenset({"id", "item", "label", "name", "names", "text", "title", "titles", "value", "word", "words"})
_ROWS = 200  # rows that are looked at
_SHOWN, _NAME = 8, 30  # columns that an error names, and characters of a name
_SPACES = re.compile(r"\s*")
_COUNTED = re.compile(r" *\d+(?= \S)")


@dataclass(frozen=True)
class Layout:
    """Where the items of a file are. Raises `UsageError` for a value out of range.

    >>> print(Layout("table", ",", header=True, column=1))
    column 2 of a table that commas separate, below a header
    """

    kind: Kind = "plain"
    """plain: one item per line; table, json-lines and json: see below; counted: after a count, as `uniq -c` writes."""
    delimiter: str = ""
    """What separates the columns of a table."""
    header: bool = False
    """Whether the first row of a table has the names of the columns."""
    column: int = 0
    """The column of a table that has the items, from 0."""
    field: str = ""
    """The field of a JSON object, or the place in a JSON array, that has the item; a.b is b in a. Empty: all of it."""
    label_column: int | None = None
    """The column of a table that has the labels of the items, from 0; None if they have no labels."""
    label_field: str = ""
    """The field of JSON that has them; empty if there are none."""

    def __post_init__(self) -> None:
        require(0 <= self.column < MAX_COLUMN, "column", self.column, f"at least 0, below {MAX_COLUMN:,}")
        if self.kind == "table":
            require(self.delimiter in DELIMITERS, "delimiter", repr(self.delimiter), "a tab, comma, semicolon or bar")
        if (label := self.label_column) is not None:
            fits = self.kind == "table" and 0 <= label < MAX_COLUMN and label != self.column
            require(fits, "label_column", label, "another column of a table than that of the items")
        fits = not self.label_field or (self.kind.startswith("json") and self.label_field != self.field)
        require(fits, "label_field", repr(self.label_field), "another field of JSON than that of the items")

    @property
    def has_labels(self) -> bool:
        """Whether the items have labels."""
        return self.label_column is not None or bool(self.label_field)

    def __str__(self) -> str:
        if self.has_labels:
            where = f"the field {self.label_field}" if self.label_column is None else f"column {self.label_column + 1}"
            return f"{replace(self, label_column=None, label_field='')}, with labels in {where}"
        if self.kind == "table":
            separated = f"column {self.column + 1} of a table that {DELIMITERS[self.delimiter]} separate"
            return separated + (", below a header" if self.header else "")
        if self.kind == "plain":
            return "one item per line"
        if self.kind == "counted":
            return "what stands after the count of each line"
        file = "lines of JSON" if self.kind == "json-lines" else "a JSON array"
        return f"the field {self.field} of {file}" if self.field else f"the strings of {file}"


PLAIN = Layout()
"""One item per line."""


class Recognized(NamedTuple):
    """What a file is, and where its items are."""

    name: str
    layout: Layout | None
    """None if that is not clear."""
    problem: str = ""
    """Why, and what to do."""
    items: str = "the items"
    """What is read, in words."""

    def required(self) -> Layout:
        """Return the layout; raises `DataError` if it is not clear."""
        if self.layout is None:
            raise DataError(f"this is {self.name}; {self.problem}")
        return self.layout


class _Column(NamedTuple):
    name: str
    """As the header or the object names it; else its number, from 1."""
    key: int | str
    values: Sequence[str]
    """In the first rows; empty where there is no text or number."""

    @property
    def is_filled(self) -> bool:
        return sum(bool(value.strip()) for value in self.values) >= 0.8 * len(self.values)

    @property
    def is_number(self) -> bool:
        return sum(map(is_number, self.values)) >= 0.9 * sum(bool(value.strip()) for value in self.values)


def recognize(text: str, column: str | None = None, label_column: str | None = None) -> Recognized | None:
    r"""Recognise a table, JSON or the output of `uniq -c` by its first lines; None for a plain list or a text.

    Its items are the `column` of that name or number (from 1); by default those of the only column with different
    texts. Those of `label_column` are their labels.

    >>> recognize("name,count\nanna,7\nbob,5\nzoe,3\n").layout
    Layout(kind='table', delimiter=',', header=True, column=0, field='', label_column=None, label_field='')
    >>> recognize("Paris, Texas\nRome\nReno, Nevada\n") is None
    True
    """
    lines = [line for line in text.split("\n")[: _ROWS + 1] if line.strip()]
    if len(lines) > _ROWS:
        lines.pop()  # the last one may be incomplete
    wanted = _Wanted(column, label_column)
    found = _json_lines(lines, wanted) or _json(text, wanted) or _table(lines, wanted)
    for setting, name in (("column", column), ("label_column", label_column)):
        if found is None and name is not None:
            raise UsageError(f"`{setting}` is {name!r}, but the data is no table and no JSON: leave it out")
    return found or _counted(text)


def is_number(text: str) -> bool:
    """Whether a field has digits and no letters, as numbers, dates and times have."""
    return any(map(str.isdigit, text)) and not any(map(str.isalpha, text))


def value_at(value: Any, field: str) -> Any:
    """Return what a field of a JSON value has; None if there is no such field.

    >>> value_at({"user": {"names": ["Ada", "Bo"]}}, "user.names.1")
    'Bo'
    """
    if isinstance(value, dict) and field in value:  # a name may have a dot
        return value[field]
    for part in field.split(".") if field else ():
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


class _Wanted(NamedTuple):
    """The columns that are asked for, by name or number."""

    items: str | None
    labels: str | None


def _named(columns: Sequence[_Column], setting: str, wanted: str) -> _Column:
    """Return the column of a name or number. Raises `UsageError` if there is none."""
    chosen = next((column for column in columns if column.name == wanted), None)
    if chosen is None and wanted.isdecimal() and 1 <= int(wanted) <= len(columns):
        chosen = columns[int(wanted) - 1]
    if chosen is None:
        raise UsageError(f"`{setting}` is {wanted!r}; the data has {_names(columns)}")
    return chosen


def _names(columns: Sequence[_Column]) -> str:
    names = ", ".join(visible(column.name[:_NAME]) for column in columns[:_SHOWN])
    return names + (", ..." if len(columns) > _SHOWN else "")


def _choose(columns: Sequence[_Column], wanted: _Wanted) -> tuple[_Column | None, _Column | None, str]:
    """Return the column with the items and that with the labels, or why it is not clear."""
    labels = None if wanted.labels is None else _named(columns, "label_column", wanted.labels)
    if wanted.items is not None:
        chosen = _named(columns, "column", wanted.items)
        if chosen is labels:
            raise UsageError(f"`label_column` and `column` are both {wanted.labels!r}: give two different columns")
        return chosen, labels, ""
    texts = [column for column in columns if column.is_filled and not column.is_number and column is not labels]
    most = max((len(set(column.values)) for column in texts), default=0)
    texts = [column for column in texts if len(set(column.values)) >= most / 2]  # the others are kinds of things
    if len(texts) == 1:
        return texts[0], labels, ""
    if not texts:
        problem = f"no column has texts in most rows ({_names(columns)}); set `column` to the one with the items"
        return None, None, problem
    choices = " and ".join(
        f"{visible(column.name[:_NAME])} ({column.values[0][:_NAME].strip()!r}, ...)" for column in texts[:_SHOWN]
    )
    return None, None, f"{len(texts)} columns have texts, {choices}; set `column` to one of them"


def _json_lines(lines: Sequence[str], wanted: _Wanted) -> Recognized | None:
    if len(lines) < 2 or not all(line.lstrip()[0] in "{[" for line in lines):
        return None
    values = [_parse_json(line) for line in lines]
    if not all(isinstance(value, dict | list) and value for value in values):
        return None
    return _of_values("json-lines", "a file of JSON lines", values, wanted)


def _json(text: str, wanted: _Wanted) -> Recognized | None:
    """Recognise a JSON array by its first items, and any other JSON object if the whole file is at hand."""
    start = text.lstrip()
    if start.startswith("{") and isinstance(_parse_json(start), dict):
        return Recognized("one JSON object", None, "give a list, one item per line, or an array")
    if not start.startswith("["):
        return None
    values = list(_first_items(start))
    if not values or not all(isinstance(value, str | dict | list) for value in values[:1]):
        return None
    return _of_values("json", "a JSON array", values, wanted)


def _of_values(
    kind: Literal["json", "json-lines"], name: str, values: Sequence[Any], wanted: _Wanted
) -> Recognized | None:
    if isinstance(values[0], str):
        for setting, column in (("column", wanted.items), ("label_column", wanted.labels)):
            if column is not None:
                raise UsageError(f"`{setting}` is {column!r}, but the data is an array of strings: leave it out")
        return Recognized(name, Layout(kind))
    fields = dict.fromkeys(field for value in values for field in _fields(value))
    columns = [_Column(field, field, [as_text(value_at(value, field)) or "" for value in values]) for field in fields]
    for column in filter(None, wanted):
        if column not in fields:  # a field that few objects have, or one of true and false
            columns.append(_Column(column, column, [as_label(value_at(value, column)) for value in values]))
            if not any(columns[-1].values):
                columns.pop()
    chosen, labels, problem = _choose(columns, wanted)
    if chosen is None:
        return Recognized(name, None, problem)
    layout = Layout(kind, field=str(chosen.key), label_field=str(labels.key) if labels else "")
    return Recognized(name, layout, items=f"the field {visible(chosen.name[:_NAME])}{_with_labels(labels)}")


def _with_labels(labels: _Column | None) -> str:
    return f", labelled by {visible(labels.name[:_NAME])}," if labels else ""


def as_label(value: Any) -> str:
    """Return a JSON string, number or truth value as a label; empty for other values."""
    return str(value).lower() if isinstance(value, bool) else as_text(value) or ""


def as_text(value: Any) -> str | None:
    """Return a JSON string or number as text; None for other values."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _fields(value: Any, depth: int = 3) -> Iterator[str]:
    """Yield the fields of a JSON value that have a text or a number, and those of what is in it."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:_SHOWN]) if isinstance(value, list) else ()
    for name, inner in pairs:
        if as_text(inner) is not None:
            yield str(name)
        elif depth > 1:
            yield from (f"{name}.{field}" for field in _fields(inner, depth - 1))


def _first_items(array: str) -> Iterator[Any]:
    """Yield the items with which a JSON array begins; the text may end within one."""
    decoder, place = json.JSONDecoder(), 1
    for _ in range(_ROWS):
        place = _after_space(array, place)
        try:
            value, place = decoder.raw_decode(array, place)
        except (ValueError, RecursionError):
            return
        place = _after_space(array, place)
        if array[place : place + 1] != "," and array[place:].rstrip() != "]":
            return
        yield value
        if array[place] == "]":
            return
        place += 1


def _after_space(text: str, place: int) -> int:
    match = _SPACES.match(text, place)
    return match.end() if match else place


def _parse_json(text: str) -> Any:
    """Parse a text; None if it is not JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _table(lines: Sequence[str], wanted: _Wanted) -> Recognized | None:
    for delimiter, words in DELIMITERS.items():
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        ragged = sum(len(row) != width for row in rows)
        if width < 2 or len(rows) < 3 or ragged > (0.5 if any(wanted) else 0.02) * len(rows):
            continue
        rows = [row for row in rows if len(row) == width]
        values = list(zip(*rows[1:], strict=True))
        columns = [_Column(str(number + 1), number, values[number]) for number in range(width)]
        spaced = sum(any(field.startswith(" ") for field in row[1:]) for row in rows)
        unlike = all(c.is_number for c in columns) or spaced > 0.1 * len(rows)  # 3,14 and Paris, Texas are items
        if not any(wanted) and (sum(c.is_filled for c in columns) < 2 or (delimiter != "\t" and unlike)):
            continue
        header = any(c.is_number and not is_number(name) for c, name in zip(columns, rows[0], strict=True))
        named = any(name in rows[0] and not name.isdecimal() for name in filter(None, wanted))
        header = header or rows[0][0].strip().lower() in _HEADERS or named
        if header:
            columns = [c._replace(name=name.strip() or c.name) for c, name in zip(columns, rows[0], strict=True)]
        chosen, labels, problem = _choose(columns, wanted)
        name = f"a table of {width} columns, separated by {words}{', with a header' if header else ''}"
        if chosen is None:
            return Recognized(name, None, problem)
        layout = Layout("table", delimiter, header, int(chosen.key), label_column=int(labels.key) if labels else None)
        items = f"the column {visible(chosen.name[:_NAME])}" if header else f"column {chosen.name}"
        return Recognized(name, layout, items=items + _with_labels(labels))
    return None


def _counted(text: str) -> Recognized | None:
    """Recognise the output of `uniq -c`: counts, right-aligned, before the lines."""
    lines = [line for line in text.split("\n")[:_ROWS] if line.strip()]
    counts = [_COUNTED.match(line) for line in lines]
    ends = Counter(match.end() for match in counts if match and match[0].startswith(" "))
    if len(lines) < 3 or not all(counts) or max(ends.values(), default=0) < 0.95 * len(lines):
        return None
    return Recognized("the output of uniq -c", Layout("counted"))
