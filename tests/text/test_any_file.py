"""Thousands of files of all formats: none is a traceback, and no row is lost without a word."""

import csv
import gzip
import io
import json
import lzma
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemore.errors import WavemoreError
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load_corpus
from wavemore.text.reports import LineReport

words = st.text(st.sampled_from("abcdeéß '\"-,;\n\t0"), max_size=12)
numbers = st.integers(-5, 10**6).map(str)
values = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | words | st.lists(words, max_size=2)


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, int]:
    """A table with a column of items, and its rows."""
    items = draw(st.lists(words, min_size=12, max_size=40))
    columns = [items, *(draw(st.lists(numbers, min_size=len(items), max_size=len(items))) for _ in range(2))]
    order = draw(st.permutations(range(draw(st.integers(2, 3)))))
    rows = [[columns[place][row] for place in order] for row in range(len(items))]
    for row in draw(st.lists(st.integers(0, len(rows) - 1), max_size=2)):
        rows[row] = rows[row][: draw(st.integers(1, 2))]
    header = [["name", "count", "year"][place] for place in order]
    file = io.StringIO()
    delimiter = draw(st.sampled_from(",;\t|"))
    csv.writer(file, delimiter=delimiter, lineterminator=draw(st.sampled_from(["\n", "\r\n"]))).writerows(
        [header, *rows]
    )
    return file.getvalue(), len(rows)


@st.composite
def objects(draw: st.DrawFn) -> tuple[str, int]:
    """JSON Lines or a JSON array, and its values."""
    items = draw(st.lists(words | values, min_size=12, max_size=40))
    kind = draw(st.sampled_from(["object", "nested", "list", "item"]))
    shapes: dict[str, Any] = {
        "object": lambda n, item: {"n": n, "name": item},
        "nested": lambda n, item: {"user": {"name": item, "n": n}},
        "list": lambda n, item: [n, item],
        "item": lambda n, item: item,
    }
    shaped = [shapes[kind](number, item) for number, item in enumerate(items)]
    if draw(st.booleans()):
        return "".join(json.dumps(value) + "\n" for value in shaped), len(items)
    return json.dumps(shaped, indent=draw(st.sampled_from([None, 1]))), len(items)


def load(path: Path, content: bytes, own_val: bool, columns: dict[str, Any]) -> Corpus | str:
    """Return what a file holds, or the error."""
    path.write_bytes(content)
    val = path if own_val else None
    try:
        return load_corpus(path, format="auto", cache=path.parent / "cache", val=val, **columns)
    except WavemoreError as error:
        return str(error)


@pytest.mark.slow
@settings(max_examples=3_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    file=tables() | objects(),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    compress=st.sampled_from([bytes, gzip.compress, lzma.compress]),
    column=st.sampled_from([None, "name", "1"]),
    count_column=st.sampled_from([None, None, None, "count", "2", "n"]),
    label_column=st.sampled_from([None, None, None, "year", "3", "n"]),
    own_val=st.booleans(),
    damage=st.none() | st.tuples(st.integers(0, 10**6), st.integers(0, 255)),
)
def test_no_file_is_a_traceback_and_no_row_is_lost_without_a_word(
    tmp_path: Path,
    file: tuple[str, int],
    encoding: str,
    compress: Any,
    column: str | None,
    count_column: str | None,
    label_column: str | None,
    own_val: bool,
    damage: Any,
) -> None:
    text, rows = file
    content = bytearray(compress(text.encode(encoding, "replace")))
    if damage is not None:
        content[damage[0] % len(content)] = damage[1]
    columns = {"column": column, "count_column": count_column, "label_column": label_column}
    corpus = load(tmp_path / "data", bytes(content), own_val, columns)
    if isinstance(corpus, str):
        assert "\n" not in corpus
        return
    if corpus.format == "text" or damage is not None or own_val or corpus.layout.kind == "plain":
        return
    assert isinstance(corpus.report, LineReport)
    left_out = [
        int(words.split()[0]) for words in corpus.report.repairs if re.match(r"[\d,]+ (rows|values|items?) ", words)
    ]
    assert corpus.report.lines + corpus.report.blank + sum(left_out) == rows + (not corpus.layout.header) * (
        corpus.layout.kind == "table"
    )
