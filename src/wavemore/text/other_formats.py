"""Files that are neither a list nor a text: archives, tables, JSON; recognised by how they begin.

Each comes with a shell command that makes a list of it.
"""

import csv
import json
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_ARCHIVES = (
    (rb"\x1f\x8b", "a gzip file", "gunzip -c < FILE > LIST"),
    (rb"PK\x03\x04(?s:.{0,4000})(\[Content_Types\]\.xml|vnd\.oasis)", "an office document", ""),
    (rb"PK\x03\x04", "a zip archive", "unzip -p FILE > LIST"),
    (rb"BZh[1-9]1AY&SY", "a bzip2 file", "bunzip2 -c < FILE > LIST"),
    (rb"\xfd7zXZ\0", "an xz file", "xz -dc < FILE > LIST"),
    (rb"(?s:.){257}ustar", "a tar archive", "tar -xOf FILE > LIST"),
    (rb"\x28\xb5\x2f\xfd", "a zstd file", "zstd -dc < FILE > LIST"),
    (rb"%PDF-\d", "a PDF document", "pdftotext FILE LIST"),
    (rb"PAR1[\0-\x1f]|SQLite format 3\0", "a database", ""),
)
_DELIMITERS = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "vertical bars"}
_HEADERS = frozenset({"id", "item", "label", "name", "names", "text", "title", "titles", "value", "word", "words"})
_ROWS = 200  # rows of a table that are looked at
_NUMBER = re.compile(r"[-+]?[\d.,]*\d%?")
_COUNTED = re.compile(r" *\d+(?= \S)")


@dataclass(frozen=True)
class OtherFormat:
    """What a file is, and a command that makes a list of the file FILE; empty if there is none."""

    name: str
    command: str
    literal: bool = False
    """Whether the file can be read line by line all the same."""

    def advice(self, path: str) -> str:
        """Return what the file is, and what to do."""
        target = shlex.quote(f"{Path(path).name.split('.')[0] or 'my'}-list.txt")
        file = shlex.quote(f"./{path}" if path.startswith("-") else path)
        advice = self.command.replace("LIST", target).replace("FILE", file) or "export its items as plain text"
        as_it_is = "; or set `format` to lines to learn its lines as they are" if self.literal else ""
        return f"this is {self.name}; give a plain list, one item per line: {advice}{as_it_is}"


def recognize_bytes(head: bytes) -> OtherFormat | None:
    r"""Recognise a compressed file, an archive or a document.

    >>> recognize_bytes(b"\x1f\x8b\x08\0").advice("names.txt.gz")
    'this is a gzip file; give a plain list, one item per line: gunzip -c < names.txt.gz > names-list.txt'
    """
    for pattern, name, command in _ARCHIVES:
        if re.match(pattern, head):
            return OtherFormat(name, command)
    return None


def recognize_text(text: str) -> OtherFormat | None:
    r"""Recognise JSON, a table with separators, or the output of `uniq -c`, by its first lines.

    >>> recognize_text("name,count\nanna,7\nbob,5\nzoe,3\n").command
    'cut -d, -f1 FILE | tail -n +2 > LIST'
    >>> recognize_text("Paris, Texas\nRome\nReno, Nevada\n") is None
    True
    """
    lines = [line.strip() for line in text.split("\n")[: _ROWS + 1] if line.strip()]
    if len(lines) > _ROWS:
        lines.pop()  # the last one may be incomplete
    return _json_lines(lines) or _json(text) or _table(lines) or _counted(text)


def _json_lines(lines: Sequence[str]) -> OtherFormat | None:
    if len(lines) < 2 or not all(line[0] in "{[" for line in lines):
        return None
    values = [_parse_json(line) for line in lines[:20]]
    if not all(isinstance(value, dict | list) and value for value in values):
        return None
    name = "a file of JSON lines"
    return OtherFormat(name, _python("json", _field(values[0]), "map(json.loads, filter(str.strip, sys.stdin))"), True)


def _json(text: str) -> OtherFormat | None:
    """Recognise a JSON array by its first item, and any other JSON object if the whole file is at hand."""
    start = text.lstrip().removeprefix("\ufeff")
    if start.startswith("{") and isinstance(_parse_json(start), dict):
        return OtherFormat("a JSON object", "", literal=True)
    first = _parse_json(start[1:], whole=False) if start.startswith("[") else None
    if not isinstance(first, str | dict | list):
        return None
    return OtherFormat("a JSON array", _python("json", _field(first), "json.load(sys.stdin)"), literal=True)


def _parse_json(text: str, *, whole: bool = True) -> Any:
    """Parse a text, or with `whole` false the item with which it begins; None if it is not JSON."""
    text = text.strip()
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return None
    rest = text[end:].lstrip()
    return value if rest == "" or (not whole and (rest[0] == "," or rest == "]")) else None


def _field(value: Any) -> str:
    """Return Python that gets the text of an item."""
    if isinstance(value, dict):
        keys = [key for key in value if re.fullmatch(r"[\w .:@-]{1,40}", key)]
        texts = [key for key in keys if isinstance(value[key], str)]
        return f'item.get("{(texts or keys or ["KEY"])[0]}", "")'
    if isinstance(value, list):
        return f"item[{next((place for place, field in enumerate(value) if isinstance(field, str)), 0)}]"
    return "item"


def _python(module: str, field: str, items: str) -> str:
    program = f"import {module}, sys; [print(*str({field}).split()) for item in {items}]"
    return f"python3 -c {shlex.quote(program)} < FILE > LIST"


def _table(lines: Sequence[str]) -> OtherFormat | None:
    for delimiter, words in _DELIMITERS.items():
        try:
            rows = list(csv.reader(lines, delimiter=delimiter))
        except csv.Error:
            continue
        width = len(rows[0]) if rows else 0
        if width < 2 or len(rows) < 3 or any(len(row) != width for row in rows):
            continue
        columns = list(zip(*rows[1:], strict=True))
        filled = [sum(map(bool, map(str.strip, column))) >= 0.8 * len(column) for column in columns]
        numbers = [sum(map(_is_number, column)) >= 0.9 * len(column) for column in columns]
        spaced = sum(any(field.startswith(" ") for field in row[1:]) for row in rows)
        if sum(filled) < 2 or (delimiter != "\t" and (all(numbers) or spaced > 0.1 * len(rows))):
            continue  # 3,14 and Paris, Texas are items
        header = any(is_number and not _is_number(name) for is_number, name in zip(numbers, rows[0], strict=True))
        header = header or rows[0][0].strip().lower() in _HEADERS
        column = next((place for place in range(width) if filled[place] and not numbers[place]), 0)
        name = f"a table of {width} columns, separated by {words}{', with a header' if header else ''}"
        return OtherFormat(name, _column(delimiter, column, header, quoted='"' in "".join(lines)), literal=True)
    return None


def _column(delimiter: str, column: int, header: bool, quoted: bool) -> str:
    """Return a command that takes a column out of a table; its header is left out."""
    if quoted:
        rows = f"list(csv.reader(sys.stdin, delimiter={delimiter!r}))[{int(header)}:]"
        return _python("csv", f"item[{column}]", rows)
    separator = "" if delimiter == "\t" else f" -d{shlex.quote(delimiter)}"
    return f"cut{separator} -f{column + 1} FILE{' | tail -n +2' * header} > LIST"


def _is_number(text: str) -> bool:
    return bool(_NUMBER.fullmatch(text.strip()))


def _counted(text: str) -> OtherFormat | None:
    """Recognise the output of `uniq -c`: counts, right-aligned, before the lines."""
    lines = [line for line in text.split("\n")[:_ROWS] if line.strip()]
    counts = [_COUNTED.match(line) for line in lines]
    ends = Counter(match.end() for match in counts if match and match[0].startswith(" "))
    if len(lines) < 3 or not all(counts) or max(ends.values(), default=0) < 0.95 * len(lines):
        return None
    return OtherFormat("the output of uniq -c", "sed -E 's/^ *[0-9]+ //' FILE > LIST", literal=True)
