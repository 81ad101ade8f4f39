"""Recognise by its first lines what a file is: a table, JSON, the output of `uniq -c`, or none of them."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from wavemore.errors import DataError, UsageError
from wavemore.signs import visible
from wavemore.text.layout import ANY, DELIMITERS, Layout, Wanted

HEADERS = frozenset({"id", "item", "label", "name", "names", "text", "title", "titles", "value", "word", "words"})
"""First lines, in lower case, that name a column rather than being an item."""
_ROWS = 200  # rows that are looked at
_SHOWN, _NAME = 8, 30  # columns that an error names, and characters of a name
_SPACES = re.compile(r"\s*")
_COUNTED = re.compile(r" *\d+(?= \S)")


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


def recognize(text: str, wanted: Wanted = ANY) -> Recognized | None:
    r"""Recognise a table, JSON or the output of `uniq -c` by its first lines; None for a plain list or a text.

    Raises `UsageError` if it has no such columns as are `wanted`.

    >>> recognize("name,count\nanna,7\nbob,5\nzoe,3\n", Wanted(count_column="count")).layout
    Layout(kind='table', delimiter=',', header=True, column=0, field='', count=1, label=None, separator='')
    >>> recognize("Paris, Texas\nRome\nReno, Nevada\n") is None
    True
    """
    lines = [line for line in text.split("\n")[: _ROWS + 1] if line.strip()]
    if len(lines) > _ROWS:
        lines.pop()  # the last one may be incomplete
    found = _json_lines(lines, wanted) or _json(text, wanted) or _table(lines, wanted)
    counted = _counted(text) if found is None else None
    for name in wanted.settings if found is None else ():
        if name != "count_column" or counted is None:
            value = getattr(wanted, name)
            raise UsageError(f"`{name}` is {value!r}, but the data is neither a table nor JSON: leave it out")
    if found is None and counted is not None and wanted.count_column is not None:
        if wanted.count_column != "1":
            raise UsageError(f"`count_column` is {wanted.count_column!r}; the counts of uniq -c are column 1")
        return counted._replace(layout=Layout("counted", count=0), items="the items, with their counts,")
    return found or counted


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


def _names(columns: Sequence[_Column]) -> str:
    names = ", ".join(visible(column.name[:_NAME]) for column in columns[:_SHOWN])
    return names + (", ..." if len(columns) > _SHOWN else "")


def _named(columns: Sequence[_Column], name: str, setting: str) -> _Column:
    """Return the column of a name or a number. Raises `UsageError`, which names the setting, if there is none."""
    chosen = next((column for column in columns if column.name == name), None)
    if chosen is None and name.isdecimal() and 1 <= int(name) <= len(columns):
        chosen = columns[int(name) - 1]
    if chosen is None:
        raise UsageError(f"`{setting}` is {name!r}; the data has {_names(columns)}")
    return chosen


class _Chosen(NamedTuple):
    items: _Column | None
    problem: str = ""
    """Why there are no items."""
    counts: _Column | None = None
    labels: _Column | None = None

    @property
    def words(self) -> str:
        """The columns besides that of the items."""
        words = [(self.counts, ", counted by "), (self.labels, ", labelled by ")]
        found = [before + visible(column.name[:_NAME]) for column, before in words if column is not None]
        return "".join(found) + ("," if found else "")


def _choose(columns: Sequence[_Column], wanted: Wanted) -> _Chosen:
    """Choose the column with the items, or say why it is not clear. Raises `UsageError` for one that is not there."""
    count, label = (
        None if name is None else _named(columns, name, setting)
        for setting, name in (("count_column", wanted.count_column), ("label_column", wanted.label_column))
    )
    if wanted.column is not None:
        items = _named(columns, wanted.column, "column")
        for setting, other in (("count_column", count), ("label_column", label)):
            if other is items:
                raise UsageError(f"`{setting}` and `column` are both {other.name!r}: give two different columns")
        return _Chosen(items, "", count, label)
    names = _names(columns)
    texts = [c for c in columns if c.is_filled and not c.is_number and c is not count and c is not label]
    most = max((len(set(column.values)) for column in texts), default=0)
    texts = [column for column in texts if len(set(column.values)) >= most / 2]  # the others are kinds of things
    if len(texts) == 1:
        return _Chosen(texts[0], "", count, label)
    if not texts:
        return _Chosen(None, f"no column has texts in most rows ({names}); set `column` to the one with the items")
    choices = " and ".join(
        f"{visible(column.name[:_NAME])} ({column.values[0][:_NAME].strip()!r}, ...)" for column in texts[:_SHOWN]
    )
    return _Chosen(None, f"{len(texts)} columns have texts, {choices}; set `column` to one of them")


def _json_lines(lines: Sequence[str], wanted: Wanted) -> Recognized | None:
    if len(lines) < 2 or not all(line.lstrip()[0] in "{[" for line in lines):
        return None
    values = [_parse_json(line) for line in lines]
    if not all(isinstance(value, dict | list) and value for value in values):
        return None
    return _of_values("json-lines", "a file of JSON lines", values, wanted)


def _json(text: str, wanted: Wanted) -> Recognized | None:
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
    kind: Literal["json", "json-lines"], name: str, values: Sequence[Any], wanted: Wanted
) -> Recognized | None:
    if isinstance(values[0], str):
        for setting in wanted.settings:
            value = getattr(wanted, setting)
            raise UsageError(f"`{setting}` is {value!r}, but the data is an array of strings: leave it out")
        return Recognized(name, Layout(kind))
    fields = dict.fromkeys(field for value in values for field in _fields(value))
    columns = [_Column(field, field, [as_text(value_at(value, field)) or "" for value in values]) for field in fields]
    for field in filter(None, wanted):
        if field in fields:
            continue
        columns.append(_Column(field, field, [as_label(value_at(value, field)) for value in values]))
        if not any(columns[-1].values):  # a field that few objects have, or one of true and false, has some
            columns.pop()
    chosen = _choose(columns, wanted)
    if chosen.items is None:
        return Recognized(name, None, chosen.problem)
    count, label = (None if column is None else str(column.key) for column in (chosen.counts, chosen.labels))
    layout = Layout(kind, field=str(chosen.items.key), count=count, label=label)
    return Recognized(name, layout, items=f"the field {visible(chosen.items.name[:_NAME])}{chosen.words}")


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


def _table(lines: Sequence[str], wanted: Wanted) -> Recognized | None:
    names = list(filter(None, wanted))
    for delimiter, words in DELIMITERS.items():
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        ragged = sum(len(row) != width for row in rows)
        if len(rows) < 3 or ragged > (0.5 if names else 0.02) * len(rows):
            continue
        if width < 2 and (ragged or names != [wanted.column] or rows[0][0].strip() != wanted.column):
            continue  # one column is a table only if its header is asked for
        rows = [row for row in rows if len(row) == width]
        values = list(zip(*rows[1:], strict=True))
        columns = [_Column(str(number + 1), number, values[number]) for number in range(width)]
        spaced = sum(any(field.startswith(" ") for field in row[1:]) for row in rows)
        unlike = all(c.is_number for c in columns) or spaced > 0.1 * len(rows)  # 3,14 and Paris, Texas are items
        if not names and (sum(c.is_filled for c in columns) < 2 or (delimiter != "\t" and unlike)):
            continue
        header = any(c.is_number and not is_number(name) for c, name in zip(columns, rows[0], strict=True))
        header = header or rows[0][0].strip().lower() in HEADERS
        header = header or any(name in map(str.strip, rows[0]) and not name.isdecimal() for name in names)
        if header:
            columns = [c._replace(name=name.strip() or c.name) for c, name in zip(columns, rows[0], strict=True)]
        chosen = _choose(columns, wanted)
        separated = "1 column" if width == 1 else f"{width} columns, separated by {words}"
        name = f"a table of {separated}{', with a header' if header else ''}"
        if chosen.items is None:
            return Recognized(name, None, chosen.problem)
        count, label = (None if column is None else int(column.key) for column in (chosen.counts, chosen.labels))
        layout = Layout("table", delimiter, header, int(chosen.items.key), count=count, label=label)
        items = f"the column {visible(chosen.items.name[:_NAME])}" if header else f"column {chosen.items.name}"
        return Recognized(name, layout, items=items + chosen.words)
    return None


def _counted(text: str) -> Recognized | None:
    """Recognise the output of `uniq -c`: counts, right-aligned, before the lines."""
    lines = [line for line in text.split("\n")[:_ROWS] if line.strip()]
    counts = [_COUNTED.match(line) for line in lines]
    ends = Counter(match.end() for match in counts if match and match[0].startswith(" "))
    if len(lines) < 3 or not all(counts) or max(ends.values(), default=0) < 0.95 * len(lines):
        return None
    return Recognized("the output of uniq -c", Layout("counted"))
