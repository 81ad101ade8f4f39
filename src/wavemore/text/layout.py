"""Where the items of a file are: in its lines, in a column of a table, in a field of JSON, or after counts."""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from wavemore.errors import require
from wavemore.signs import visible

Kind = Literal["plain", "table", "json-lines", "json", "counted", "separated"]
LINE_BREAK = "\N{SYMBOL FOR NEWLINE}"
"""Stands for a line break within an item: a line feed ends an item."""
MAX_SEPARATOR = 100
"""Characters of a line between items."""

DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
MAX_COLUMN = 10_000
"""Columns that a table may have."""


@dataclass(frozen=True)
class Layout:
    """Where the items of a file are. Raises `UsageError` for a value out of range.

    >>> print(Layout("table", ",", header=True, column=1))
    column 2 of a table that commas separate, below a header
    """

    kind: Kind = "plain"
    """plain: one item per line; table, json-lines and json: see below; counted: after a count, as `uniq -c` writes.

    separated: several lines, up to one that is the `separator`.
    """
    delimiter: str = ""
    """What separates the columns of a table."""
    header: bool = False
    """Whether the first row of a table has the names of the columns."""
    column: int = 0
    """The column of a table that has the items, from 0."""
    field: str = ""
    """The field of a JSON object, or the place in a JSON array, that has the item; a.b is b in a. Empty: all of it."""
    count: int | str | None = None
    """The column, from 0, or the field that says how often the item occurs; None: each item counts once."""

    label: int | str | None = None
    """The column, from 0, or the field that has the label of the item; None: the items have no labels."""
    separator: str = ""
    """The line between items of several lines; empty: a blank line, or several."""

    def __post_init__(self) -> None:
        is_line = self.separator == self.separator.strip() and "\n" not in self.separator
        valid = is_line and len(self.separator) <= MAX_SEPARATOR
        require(valid, "separator", repr(self.separator[:40]), f"one line of at most {MAX_SEPARATOR} characters")
        require(0 <= self.column < MAX_COLUMN, "column", self.column, f"at least 0, below {MAX_COLUMN:,}")
        own = self.field if self.kind in ("json", "json-lines") else self.column
        kinds = {"count": ("table", "json", "json-lines", "counted"), "label": ("table", "json", "json-lines")}
        for name, value in (("count", self.count), ("label", self.label)):
            fits = self.kind in kinds[name] and type(value) is type(own) and (value != own or self.kind == "counted")
            in_range = isinstance(value, str) or (value is not None and 0 <= value < MAX_COLUMN)
            require(value is None or (fits and in_range), name, repr(value), "another column or field than the items'")
        if self.kind == "table":
            require(self.delimiter in DELIMITERS, "delimiter", repr(self.delimiter), "a tab, comma, semicolon or bar")

    def __str__(self) -> str:
        if self.label is not None:
            where = f"the field {self.label}" if isinstance(self.label, str) else f"column {self.label + 1}"
            return f"{replace(self, label=None)}, with labels in {where}"
        if self.kind == "table":
            counted = f", with counts in column {int(self.count) + 1}," if self.count is not None else ""
            separated = f"column {self.column + 1}{counted} of a table that {DELIMITERS[self.delimiter]} separate"
            return separated + (", below a header" if self.header else "")
        if self.kind == "plain":
            return "one item per line"
        if self.kind == "counted":
            return "what stands after the count of each line" if self.count is None else "counts with items"
        if self.kind == "separated":
            between = f"lines {visible(self.separator)}" if self.separator else "blank lines"
            return f"items of several lines, {between} between them"
        file = "lines of JSON" if self.kind == "json-lines" else "a JSON array"
        counted = f", with counts in {self.count}," if self.count is not None else ""
        return f"the field {self.field}{counted} of {file}" if self.field else f"the strings of {file}"


PLAIN = Layout()
"""One item per line."""


def joined(text: str) -> str:
    """Return a text with its line breaks as they are within an item.

    >>> joined("one\\ntwo")
    'one␤two'
    """
    return text.replace("\n", LINE_BREAK)


def broken(item: str) -> str:
    """Return an item with its line breaks.

    >>> broken("one␤two")
    'one\\ntwo'
    """
    return item.replace(LINE_BREAK, "\n")


class Wanted(NamedTuple):
    """The columns of a table or the fields of JSON that were asked for: a name, or a number from 1."""

    column: str | None = None
    """That of the items; None: the only one with different texts."""
    count_column: str | None = None
    """None: each item counts once."""
    label_column: str | None = None
    """None: the items have no labels."""

    @property
    def settings(self) -> list[str]:
        """The names of those that were asked for."""
        return [name for name, value in self._asdict().items() if value is not None]


ANY = Wanted()
"""No column is asked for."""
