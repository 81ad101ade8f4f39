"""What the page says about a list, and where it keeps it."""

import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wavemore.app import lists
from wavemore.app.lists import How, ListFacts, keep, paste, read_list
from wavemore.errors import DataError, WavemoreError
from wavemore.runs.find import run_name
from wavemore.text.datasets import stem_of

TOWNS = [f"{a}{b}" for a in ("Neu", "Alt", "Bad ", "Ober") for b in ("burg", "dorf", "heim", "stadt")]


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_list_is_described(folder: Path) -> None:
    facts = read_list(written(folder / "towns.txt", "\r\n".join([*TOWNS, "", TOWNS[0]])))
    assert (facts.name, facts.items, facts.distinct, facts.longest) == ("towns", 17, 16, 9)
    assert facts.characters == "".join(sorted(set("".join(TOWNS))))
    assert set(facts.examples) <= {*TOWNS}
    assert facts.left_out == ("1 blank line skipped", "CRLF line ends converted")


def test_a_table_needs_a_column_if_it_is_not_clear(folder: Path) -> None:
    rows = "".join(f"{town},{town[::-1]},{number}\n" for number, town in enumerate(TOWNS))
    path = written(folder / "towns.csv", f"town,backwards,number\n{rows}")
    with pytest.raises(DataError, match="2 columns have texts"):
        read_list(path)
    facts = read_list(path, How(column="town", heading=True))
    assert facts.longest == 9
    assert facts.part == "the column town of a table of 3 columns, separated by commas, with a header"
    assert read_list(path, How(as_lines=True)).longest > 18


def test_a_table_may_have_kinds(folder: Path) -> None:
    rows = "".join(f"{town},{'north' if town < 'C' else 'south'}\n" for town in TOWNS)
    facts = read_list(written(folder / "towns.csv", f"town,where\n{rows}"), How(column="town", kinds="where"))
    assert (facts.items, facts.kinds) == (16, ("north", "south"))
    with pytest.raises(DataError, match="no item has a label"):
        read_list(written(folder / "empty.csv", "town,where\n" + "".join(f"{town},\n" for town in TOWNS)), facts.how)


@pytest.mark.parametrize("as_lines", [False, True])
@pytest.mark.parametrize("name", ["Name", "Our towns", '"Name"'])
def test_a_heading_is_no_item_if_a_person_says_so(name: str, as_lines: bool, folder: Path) -> None:
    path = written(folder / "towns.csv", "\n".join(["", name, *TOWNS]))
    facts = read_list(path)
    assert (facts.items, facts.header) == (17, "Name" if name == "Name" else "")
    assert facts.examples[0] == name
    facts = read_list(path, How(as_lines=as_lines, heading=True))
    assert (facts.items, facts.header) == (16, "")
    assert read_list(keep(facts), facts.how).examples == facts.examples


def test_a_text_is_refused_unless_each_line_is_an_item(folder: Path) -> None:
    lines = "\n".join(
        f"It was the {n}th of May, and it rained. We went\non to see the others there.\n" for n in range(40)
    )
    path = written(folder / "story.txt", lines)
    with pytest.raises(DataError, match="one continuous text"):
        read_list(path)
    assert read_list(path, How(as_lines=True)).items == 80


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"PK\x03\x04" + bytes(100), "archive|zip"),
        (bytes(range(256)) * 20, "zero byte"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "image|PNG|zero byte"),
        (b"", "empty"),
        (b"anna\nbob\n", "line"),
        (b"anna\xff\xfa\n" * 50, "not valid utf-8"),
    ],
)
def test_what_is_no_list_is_one_sentence(content: bytes, problem: str, folder: Path) -> None:
    with pytest.raises(DataError, match=problem) as error:
        read_list(written(folder / "file.txt", content))
    assert "\n" not in str(error.value)
    assert str(folder) not in str(error.value)


def test_a_list_may_not_be_too_large(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "MAX_BYTES", 1_000)
    path = written(folder / "long.txt", "\n".join(f"item {n}" for n in range(200)))
    with pytest.raises(DataError, match="can be read here"):
        read_list(path)
    with pytest.raises(DataError, match="can be read here"):
        paste("x\n" * 501, folder)
    packed = written(folder / "long.txt.gz", gzip.compress(path.read_bytes() * 3))
    assert packed.stat().st_size < 1_000
    with pytest.raises(DataError, match="can be read here"):
        read_list(packed)


def test_nothing_pasted_is_no_list(folder: Path) -> None:
    with pytest.raises(DataError, match="no list yet"):
        paste(" \n\n", folder)


@pytest.mark.parametrize("name", ["../../etc/passwd", "<img src=x>", "a\x1b[31m\n\u202eb", "", ".", "名前", "x" * 300])
def test_a_list_is_kept_under_a_harmless_name(name: str, folder: Path) -> None:
    (folder / "upload").mkdir()
    path = written(folder / "upload" / "list.csv.gz", b"content")
    facts = ListFacts(str(path), name, 1, 1, 1, "a", (), ())
    kept = Path(keep(facts))
    assert kept.read_bytes() == b"content"
    assert kept.parent == Path("runs/lists/ed7002b4")
    assert stem_of(kept) == run_name(name)
    assert kept.name.endswith(".csv.gz")
    assert kept.name.replace("-", "").replace(".", "").isalnum()
    assert keep(facts) == str(kept)
    assert [*folder.rglob("*.gz")] == [path, folder / kept] or len([*folder.rglob("*.gz")]) == 2


def test_a_data_set_is_not_copied(folder: Path) -> None:
    assert keep(read_list("names")) == "names"
    assert not Path("runs").exists()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
)
def test_whatever_is_given_is_read_or_refused_in_one_line(content: bytes, tmp_path: Path) -> None:
    problem = ""
    try:
        facts = read_list(written(tmp_path / "any.txt", content))
    except WavemoreError as error:
        problem = str(error)
    assert "\n" not in problem
    assert problem or facts.items >= facts.distinct >= 1
