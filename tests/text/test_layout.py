"""Tables, JSON and counted lines: what they are, which column has the items, and the items that are read."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError, WavemoreError
from wavemore.text.detect import detect
from wavemore.text.items import ItemReader, lines_of
from wavemore.text.layout import Layout, Wanted
from wavemore.text.reading import read_lines
from wavemore.text.recognize import recognize

NAMES = ["Anna", "Bo", "Cleo", "Zoë", "Dora May"]
TABLES = {
    "comma": "name,count\n" + "".join(f"{name},{number}\n" for number, name in enumerate(NAMES)),
    "semicolon, number first": "".join(f"{number};{name}\n" for number, name in enumerate(NAMES)),
    "quoted": 'name,city\n"Anna","Paris, Texas"\n' + "".join(f'"{name}","Rome"\n' for name in NAMES[1:]),
    "tabs": "name\tyear\n" + "".join(f"{name}\t19{number}0\n" for number, name in enumerate(NAMES)),
    "tabs, no header": "".join(f"{name}\tRome\r\n" for name in NAMES),
    "bars": "".join(f"{name}|x|{number}\n" for number, name in enumerate(NAMES)),
    "uniq -c": "".join(f"{number:7} {name}\n" for number, name in enumerate(NAMES)),
    "JSON lines": "".join(json.dumps({"n": number, "name": name}) + "\n" for number, name in enumerate(NAMES)),
    "JSON lines of lists": "".join(json.dumps([number, name]) + "\n\n" for number, name in enumerate(NAMES)),
    "JSON array": json.dumps(NAMES, indent=1),
    "JSON array of objects": json.dumps([{"id": name[0], "count": 3} for name in NAMES]).replace('"id"', '"the id"'),
}


def read(text: str, column: str | None = None) -> tuple[list[str], tuple[str, ...]]:
    """Read the items of a text, as from a file, in pieces of a few characters."""
    recognized = recognize(text, Wanted(column))
    assert recognized is not None
    reader = ItemReader(recognized.required())
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    return [item.strip() for batch in reader.batches(pieces) for item in batch.texts], reader.repairs


@pytest.mark.parametrize("kind", TABLES)
def test_the_items_of_a_table_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.data"
    path.write_bytes(TABLES[kind].encode())
    detected = detect(path)
    assert detected.recognized is not None
    lines, report, _ = read_lines(path, layout=detected.recognized.required())
    assert list(lines) == ([name[0] for name in NAMES] if kind == "JSON array of objects" else NAMES)
    assert report.repairs == (("CRLF line ends converted",) if kind == "tabs, no header" else ())


@pytest.mark.parametrize(
    "text",
    [
        "Paris, Texas\nRome, Georgia\nReno, Nevada\nTroy, Ohio\n" * 5,
        "Dogs, cats, and birds\nThe quick, the dead\nAlone\n" * 5,
        "Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so are you,\n" * 5,
        "3,14\n2,71\n1,41\n1,73\n" * 5,
        "2,4-dinitrophenol\nbenzene\n1,3,5-triazine\n" * 5,
        "10 Downing Street\n221 Baker Street\n12 Grimmauld Place\n" * 5,
        "1. Anna\n2. Bo\n3. Cleo\n",
        "     1 thing\n     10 things\n     100 things\n" * 3,
        '[Event "Club"]\n[White "A"]\n\n1. e4 e5\n' * 5,
        "[draft] Anna\n[final] Bo\n[draft] Cleo\n",
        '["Hello"] she said.\nAnd then, again.\n' * 5,
        "{curly}\n{braces}\n{here}\n",
        "def f(x, y):\n    return x, y\n\nprint(f(1, 2))\n" * 5,
        "int f(int a, int b) {\n  return a;\n}\n" * 5,
        "  anna\t\n  bo\t\n  cleo\t\n" * 5,
        "C1CC1\nCC(=O)O\nc1ccccc1\n" * 5,
        "a\nb\n",
        "[" * 5_000,
        '{"a": ' * 5_000,
        "1" * 10_000 + ",\n" * 3,
        "\n \n.",
    ],
)
def test_lists_and_texts_are_no_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my.data"
    path.write_text(text, encoding="utf-8")
    assert detect(path).recognized is None


def rows(*rows: list[Any]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return file.getvalue()


PEOPLE = rows(
    ["name", "city", "sex"],
    *([f"{name} {place}", f"City{place}", "fm"[place % 2]] for place, name in enumerate(NAMES * 4)),
)
NESTED = "".join(
    json.dumps({"id": n, "user": {"name": f"{name}{n}", "tags": ["x", "y"]}}) + "\n" for n, name in enumerate(NAMES)
)


@pytest.mark.parametrize(
    ("text", "column", "first"),
    [
        (PEOPLE, "city", "City0"),
        (PEOPLE, "2", "City0"),
        (PEOPLE, "sex", "f"),
        (NESTED, None, "Anna0"),
        (NESTED, "user.name", "Anna0"),
        (NESTED, "id", "0"),
        (NESTED, "user.tags.1", "y"),
        ("a,1\nb,2\nc\nd,4\n", "1", "a"),
        ('Town \n"Reno, Nevada"\nTroy, Ohio\nRome\n', "Town", "Reno, Nevada"),
    ],
)
def test_a_column_by_its_name_or_number(text: str, column: str | None, first: str) -> None:
    assert read(text, column)[0][0] == first


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (PEOPLE, None, r"3 columns, .*; 2 columns have texts, name \('Anna 0', ...\) and city .*; set `column` to one"),
        ("a\tb\n1\t2\n3\t4\n5\t6\n", None, r"no column has texts in most rows \(a, b\)"),
        ('{"a": {"b": 1}}', None, "one JSON object; give a list, one item per line, or an array"),
        ('[{"n": 1}, {"n": 2}, {"n": 3}]', None, r"a JSON array; no column has texts in most rows \(n\)"),
    ],
)
def test_a_file_whose_items_are_not_clear(text: str, column: str | None, message: str) -> None:
    recognized = recognize(text, Wanted(column))
    assert recognized is not None
    with pytest.raises(DataError, match=message):
        recognized.required()


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (PEOPLE, "town", "`column` is 'town'; the data has name, city, sex"),
        (PEOPLE, "4", "`column` is '4'; the data has name, city, sex"),
        (NESTED, "user.age", "`column` is 'user.age'; the data has id, user.name, user.tags.0, user.tags.1"),
        ('{"a\\nb": "x", "c": 1}\n' * 3, "d", "the data has a␊b, c$"),
        ("anna\nbo\ncleo\n", "name", "`column` is 'name', but the data is neither a table nor JSON"),
        ('["anna", "bo"]', "name", "`column` is 'name', but the data is an array of strings"),
    ],
)
def test_a_column_that_is_not_there(text: str, column: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        recognize(text, Wanted(column))


def test_what_is_left_out_is_counted() -> None:
    text = "name,n\n" + "".join(f"{name},{n}\n" for n, name in enumerate(NAMES * 100)) + "\nno\n"
    items, repairs = read(text, "n")
    assert items == [str(n) for n in range(500)]
    assert repairs == ("1 rows without that column left out",)
    lines = "".join(
        json.dumps(value) + "\n" for value in [{"name": "Anna"}, {"name": None}, {"name": "B\no"}, {"nom": "C"}]
    )
    assert read(lines, "name") == (
        ["Anna", "B o"],
        ("2 values without such a text left out", "line breaks within 1 item replaced by spaces"),
    )


@pytest.mark.parametrize(
    ("layout", "text", "message"),
    [
        (Layout("table", ","), 'a,1\n"b,2\n' + "c,3\n" * 60_000, "quotation mark may not be closed"),
        (Layout("json-lines"), '["a"]\n["b"\n', "line 2 is not JSON"),
        (Layout("json-lines"), '["a"]\n' + "[" * 100_000, "line 2 is not JSON"),
        (Layout("json"), '["a", "b"', "the file is not JSON"),
        (Layout("json"), '{"a": "b"}', "is JSON, but not an array"),
    ],
)
def test_a_damaged_file_is_one_line_of_advice(layout: Layout, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        list(ItemReader(layout).batches([text]))
    assert "\n" not in str(caught.value)


def test_a_row_without_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemore.text.items.MAX_ROW", 100)
    with pytest.raises(DataError, match="a row has more than 100 characters"):
        list(lines_of(["x" * 60, "y" * 60]))
    assert list(lines_of(["ab\nc", "d", "\n", "", "e"])) == ["ab\n", "cd\n", "e"]


@pytest.mark.parametrize("settings", [{"column": -1}, {"kind": "table"}, {"kind": "table", "delimiter": "ab"}])
def test_a_layout_out_of_range_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="it must be"):
        Layout(**settings)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12)


tables = st.lists(st.lists(texts, min_size=2, max_size=2), min_size=4, max_size=20)


@given(table=tables, delimiter=st.sampled_from(",;\t|"))
def test_any_table_gives_the_fields_that_the_csv_module_reads(table: list[list[str]], delimiter: str) -> None:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter, lineterminator="\n").writerows(table)
    reader = ItemReader(Layout("table", delimiter, column=1))
    items = [item for batch in reader.batches([file.getvalue()]) for item in batch.texts]
    assert [" ".join(item.split()) for item in items] == [" ".join(row[1].split()) for row in table]


beginnings = st.text(st.sampled_from('ab1,;|\t"{}[]: \n.\\e'), max_size=200)


@given(text=beginnings, column=st.sampled_from([None, "1", "a"]))
def test_no_beginning_of_a_file_is_a_traceback(text: str, column: str | None) -> None:
    message = ""
    try:
        recognized = recognize(text, Wanted(column))
        if recognized is not None:
            list(ItemReader(recognized.required()).batches([text]))
    except WavemoreError as error:
        message = str(error)
    assert "\n" not in message
