"""Files of items: a list, CSV and JSON Lines, written whole or not at all."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemore.engine.line_source import Sample
from wavemore.errors import RunError, UsageError
from wavemore.runs.item_file import sample_items, write_csv, write_items
from wavemore.signs import OBEYED
from wavemore.text.layout import LINE_BREAK
from wavemore.text.lines import Lines
from wavemore.text.nearest import NearLines

COLUMNS = ("text", "nats", "new", "nearest", "distance")
ITEMS: list[dict[str, Any]] = [
    {"text": "anna", "nats": 12.34567, "new": True, "nearest": "anne", "distance": 1},
    {"text": '=1+"é, 天"', "nats": 1.0, "new": False, "nearest": None, "distance": None},
]


def test_each_ending_has_its_form(tmp_path: Path) -> None:
    for name in ("a.csv", "a.txt", "a.jsonl", "b.JSONL"):
        assert write_items(tmp_path / name, iter(ITEMS), COLUMNS) == 2
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == 'anna\n=1+"é, 天"\n'
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [
        list(COLUMNS),
        ["anna", "12.3457", "yes", "anne", "1"],
        ['\'=1+"é, 天"', "1.0000", "no", "", ""],
    ]
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").splitlines()
    assert list(map(json.loads, lines)) == ITEMS
    assert (tmp_path / "b.JSONL").read_bytes() == (tmp_path / "a.jsonl").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.jsonl", "a.txt", "b.JSONL"]


def test_samples_are_items() -> None:
    samples = [Sample("anna", 10.0, True), Sample("bo", 6.0, False)]
    near = NearLines(Lines.from_iterable(["anne", "bo"]))
    percentiles = [percent / 25 for percent in range(101)]  # from 0 to 4 nats per character
    assert sample_items(samples, percentiles, near) == [
        {"text": "anna", "nats": 10.0, "nats_per_char": 2.0, "percentile_rank": 0.5, "new": True}
        | {"nearest": "anne", "distance": 1},
        {"text": "bo", "nats": 6.0, "nats_per_char": 2.0, "percentile_rank": 0.5, "new": False}
        | {"nearest": "bo", "distance": 0},
    ]
    assert sample_items([Sample("a", 1.0, True, "de")]) == [
        {"text": "a", "nats": 1.0, "nats_per_char": 0.5, "new": True, "label": "de"}
    ]
    assert sample_items([]) == []


def test_items_of_several_lines_are_separated(tmp_path: Path) -> None:
    items = [{"text": f"one{LINE_BREAK}two"}, {"text": "three"}]
    write_items(tmp_path / "poems.txt", items, ["text"], separator="---")
    assert (tmp_path / "poems.txt").read_text() == "one\ntwo\n---\nthree\n---\n"


TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=5)


@settings(max_examples=5)  # each is written to the disk
@given(TEXTS)
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    path = tmp_path_factory.mktemp("items") / "a.jsonl"
    write_items(path, [{"text": text} for text in texts], ["text"])
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    assert [json.loads(line)["text"] for line in lines] == texts


@given(TEXTS)
def test_no_cell_is_a_formula_or_moves_the_cursor(texts: list[str]) -> None:
    file = io.StringIO()
    write_csv(file, [{"text": text} for text in texts], ["text"])
    content = file.getvalue()
    assert not OBEYED.search(content.replace("\n", ""))
    rows = [row[0] for row in csv.reader(content.splitlines()[1:])]
    assert len(rows) == len(texts)
    assert not any(row.startswith(("=", "+", "-", "@")) for row in rows)


def test_what_cannot_be_written_is_said_before_anything_is_made(tmp_path: Path) -> None:
    def never() -> Iterator[dict[str, Any]]:
        raise AssertionError("the items were made")
        yield {}

    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "folder.csv").mkdir()
    for name, message in (
        ("names.xlsx", "must end in .txt, .csv or .jsonl, for a list of items"),
        ("names", "must end in"),
        ("no/names.csv", "cannot be written, as there is no folder"),
        ("pipe.csv", "cannot be written, as it is a pipe"),
        ("folder.csv", "cannot be written, as it is a folder"),
    ):
        with pytest.raises(UsageError, match=message):
            write_items(tmp_path / name, never(), COLUMNS)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs Unix")
def test_a_list_that_fails_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    def failing() -> Iterator[dict[str, Any]]:
        yield ITEMS[0]
        raise KeyboardInterrupt

    path = tmp_path / "a.csv"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_items(path, failing(), COLUMNS)
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)
    (tmp_path / "full.txt").symlink_to("/dev/full")
    with pytest.raises(UsageError, match="as it is a device"):
        write_items(tmp_path / "full.txt", iter(ITEMS), COLUMNS)
    with pytest.raises(RunError, match="no file can have this name"):
        write_items(tmp_path / "\ud800.txt", iter(ITEMS), COLUMNS)
    with pytest.raises(RunError, match="cannot write"):
        write_items(tmp_path / f"{'a' * 250}.txt", iter(ITEMS), COLUMNS)
