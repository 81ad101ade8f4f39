"""Files as people bring them: what is mended or strange is said, and whatever is no list says how to make one."""

import gzip
import io
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.errors import DataError
from wavemore.text.piped import keep_input

FEW = ("--steps", "2", "--hidden", "8", "--threads", "1", "--run", "runs/new")
NAMES = [f"{first}{last}" for first in ("an", "bo", "el", "ju") for last in ("né", "b", "lia", "ÿ", "ö")]
LINES = "".join(f"{name}\n" for name in NAMES)
ASCII = "".join(f"{first}{last}\n" for first in ("an", "bo", "el", "ju") for last in ("na", "b", "lia", "y"))
VERSE = "Tell me not, in mournful numbers,\nLife is but an empty dream,\nFor the soul is dead that slumbers,\n"
LONG = b"x" * 12_000 + b"\n"
PROTEINS = "".join(f"{'MKVLAAGICQWERTYHNDSF' * 15}{number:b}\n" for number in range(20))


@pytest.fixture
def train(wavemore: Any, folder: Path) -> Callable[..., dict[str, str]]:
    """Train on a file; return the rows of the head by their first word."""

    def run(content: str | bytes, *words: str) -> dict[str, str]:
        path = folder / "list.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        result = wavemore("train", "list.txt", *FEW, *words)
        assert result.code == 0, result.err
        rows = [line.partition(" ") for line in result.out.partition("\nstep")[0].splitlines()]
        return {name: " | ".join(text.strip() for other, _, text in rows if other == name) for name, _, _ in rows}

    return run


def vocabulary(folder: Path) -> set[str]:
    return set(json.loads((folder / "runs/new/vocabulary.json").read_text())["characters"])


@pytest.mark.parametrize(
    ("content", "words", "repair"),
    [
        (LINES.replace("\n", "\r\n").encode("utf-16"), (), "longest line 5, read as UTF-16, CRLF line ends converted"),
        (LINES.replace("\n", "\r\n").encode(), (), "longest line 5, CRLF line ends converted"),
        (LINES.replace("\n", "\r").encode(), (), "longest line 5, CR line ends converted"),
        ("\ufeff".encode() + LINES.encode(), (), "longest line 5, byte order mark removed"),
        (LINES.replace("\n", " \t\n  ").encode(), (), "1 blank line skipped, spaces stripped from 20 lines"),
        (("\n\n" + LINES).encode(), (), "longest line 5, 2 blank lines skipped"),
        (unicodedata.normalize("NFD", LINES).encode(), (), "longest line 5, 12 lines normalised to NFC"),
        (LINES.encode(), (), "longest line 5"),
        (LINES.encode("cp1252"), ("--encoding", "cp1252"), "longest line 5"),
        (LINES.encode("utf-16-le"), ("--encoding", "utf-16-le"), "longest line 5"),
        (
            ("x" * 12_000 + "\n" + LINES).encode(),
            ("--long-lines", "skip"),
            "1 line of more than 10,000 characters left out",
        ),
    ],
)
def test_what_was_mended_is_said(
    train: Callable[..., dict[str, str]], folder: Path, content: bytes, words: tuple[str, ...], repair: str
) -> None:
    rows = train(content, *words)
    assert rows["data"].startswith("list: 20 lines (all distinct)")
    assert rows["data"].endswith(repair)
    assert vocabulary(folder) == set(LINES) - {"\n"}
    assert "note" not in rows


@pytest.mark.parametrize(
    ("inserted", "note", "taken_out"),
    [
        ("\u200b", "U+200B ZERO WIDTH SPACE 16 times, first in line 1", ""),
        ("\u00a0", "U+00A0 NO-BREAK SPACE 16 times, first in line 1", " "),
        ("\x1b[31m", "U+001B ESCAPE 16 times, first in line 1", ""),
        ("\ufeff", "U+FEFF ZERO WIDTH NO-BREAK SPACE 16 times, first in line 1", ""),
        ("\u2028", "U+2028 LINE SEPARATOR 16 times, first in line 1", " "),
        ("\u202e", "U+202E RIGHT-TO-LEFT OVERRIDE 16 times, first in line 1", ""),
    ],
)
def test_invisible_characters_are_said_and_a_flag_takes_them_out(
    train: Callable[..., dict[str, str]], folder: Path, inserted: str, note: str, taken_out: str
) -> None:
    content = "".join(f"{line[0]}{inserted}{line[1:]}\n" for line in ASCII.splitlines())
    rows = train(content)
    assert rows["note"] == f"invisible characters: {note}; --invisible strip takes them out"
    assert inserted[0] in vocabulary(folder)
    rows = train(content, "--invisible", "strip", "--overwrite")
    assert rows["data"].endswith(f"invisible characters taken out ({note})")
    assert "note" not in rows
    assert vocabulary(folder) == (set(ASCII) | set(taken_out)) - {"\n"}


def test_a_zero_byte_is_an_invisible_character(train: Callable[..., dict[str, str]], folder: Path) -> None:
    content = ASCII * 20 + "\0\n"
    assert train(content)["note"].startswith("invisible characters: U+0000 NULL once in line 321;")
    train(content, "--invisible", "strip", "--overwrite")
    assert vocabulary(folder) == set(ASCII) - {"\n"}


def test_joiners_of_emoji_are_said_and_kept(train: Callable[..., dict[str, str]], folder: Path) -> None:
    content = ASCII.replace("\n", "👩\u200d👧\n") + "a\u200dnna\n"
    rows = train(content)
    assert "U+200D ZERO WIDTH JOINER 17 times, first in line 1; --invisible strip takes them out where" in rows["note"]
    rows = train(content, "--invisible", "strip", "--overwrite")
    assert "U+200D ZERO WIDTH JOINER 16 times, first in line 1; emoji or scripts need them there" in rows["note"]
    assert "taken out (U+200D ZERO WIDTH JOINER once in line 1)" in rows["data"]
    train(content, "--invisible", "strip-all", "--overwrite")
    assert "\u200d" not in vocabulary(folder)


def test_control_characters_of_a_wrong_encoding_are_said(train: Callable[..., dict[str, str]]) -> None:
    content = "".join(f"{line}\u2019s\n" for line in ASCII.splitlines()).encode("cp1252")
    note = train(content, "--encoding", "latin-1")["note"]
    assert "U+0092 CONTROL CHARACTER 16 times, first in line 1" in note
    assert note.endswith("a file from Windows needs --encoding cp1252")
    assert "note" not in train(content, "--encoding", "cp1252", "--overwrite")


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        (
            LINES.encode("cp1252"),
            "byte 0xe9 at offset 3 is not valid utf-8; set --encoding to that of the file, for ",
        ),
        ("it\u2019s\n".encode("cp1252"), "for example cp1252"),
        (LINES.encode("utf-16-le"), "it looks like utf-16-le: set --encoding to utf-16-le"),
        (b"\x1f\x8b\x08\0\0", "list.txt: this gzip file is damaged ("),
        (b"PK\x03\x04\x14\0", "this is a zip archive; give a plain list, one item per line: unzip -p list.txt"),
        (
            b"name,town\nAnna,Rome\nBo,Oslo\nCleo,Bern\n",
            "2 columns have texts, name ('Anna', ...) and town ('Rome', ...); set --column to one of them",
        ),
        (b'{"n": 1, "text": "Anna"}\n{"n": 2}\n{"n": 3}\n', "(n, text); set --column to the one with the items"),
        (b'{"anna": 1, "bo": 2}', "this is one JSON object; give a list, one item per line, or an array"),
        (LONG + b"anna\nbo\n" * 9, "line 1 has 12,000 characters, more than 10,000; "),
        (LONG + b"anna\nbo\n" * 9, "set --long-lines to skip to leave such lines out, or --format to text"),
        (b"one endless line of words " * 30, "needs 100; give a text of 1,000 characters or more"),
        (VERSE.encode() * 4, "or set --format to lines if it is a list"),
    ],
)
def test_what_is_no_list_says_what_to_do(fails: Callable[..., str], folder: Path, content: bytes, advice: str) -> None:
    (folder / "list.txt").write_bytes(content)
    message = fails(1, "train", "list.txt")
    assert advice in message
    assert len(message.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["list.txt"]


def test_a_table_is_learned_literally_if_that_is_asked_for(train: Callable[..., dict[str, str]], folder: Path) -> None:
    rows = train("".join(f"{line},{number}\n" for number, line in enumerate(ASCII.splitlines())), "--format", "lines")
    assert rows["data"].startswith("list: 16 lines")
    assert "," in vocabulary(folder)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (ASCII.replace("o", "o\n "), "a list"),
        (ASCII.replace("\n", "\n  "), "a list"),
        ("".join(f"{'  ' * (number % 3 > 0)}- {line}\n" for number, line in enumerate(ASCII.splitlines())), "a list"),
        ("".join(f"-{line}\n" for line in ASCII.splitlines()), "a list"),
        ("\n" + "".join(f"The tale of {line}\n" for line in ASCII.split()) + "\n", "a list"),
        ("".join(f"1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 5. {line}\n" for line in ASCII.split()), "a list"),
        ("".join(f"The tale of {line}\n\n" for line in ASCII.split()), "a list"),
        (PROTEINS, "a list"),
        (VERSE * 20, "continuous text"),
        (VERSE.replace(",", "").replace("slumbers\n", "slumbers\n\n") * 20, "continuous text"),
        ("def f(x):\n    if x > 0:\n        return f(x - 1)\n    return x\n\n" * 20, "continuous text"),
        ('[Event "Club"]\n[Result "1-0"]\n\n1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 4. Ba4 Nf6 1-0\n\n' * 20, "continuous text"),
        ("Leek soup\n- 2 cups of leek\n- 1 onion\nMix leek with onion. Boil all.\n\n" * 20, "continuous text"),
        ("One endless line of words, and then some more of them. " * 100, "continuous text"),
    ],
)
def test_the_format_is_guessed_and_the_other_one_is_one_flag_away(
    train: Callable[..., dict[str, str]], content: str, kind: str
) -> None:
    row = train(content)["format"]
    assert row.startswith(f"treated as {kind}")
    assert row.endswith("add --format text" if kind == "a list" else "add --format lines")


def test_both_forms_of_a_name_are_one_name(wavemore: Any, folder: Path) -> None:
    forms = [unicodedata.normalize(form, LINES) for form in ("NFC", "NFD")]
    (folder / "list.txt").write_text("".join(forms), encoding="utf-8")
    out = wavemore("train", "list.txt", *FEW).out
    assert "40 lines (20 distinct)" in out
    assert "longest line 5, 12 lines normalised to NFC" in out
    plain, composed = (
        wavemore("sample", "new", "-n", "5", "--seed", "1", "--prefix", form) for form in ("ane\u0301", "ané")
    )
    assert plain.out == composed.out
    assert all(line.startswith("ané") for line in plain.out.splitlines())
    scored = [wavemore("score", "--json", "--", form).out for form in ("bo\u00f6", "boo\u0308")]
    assert scored[0] == scored[1]
    assert "ö" in scored[0]


def test_forms_are_kept_apart_if_that_is_asked_for(
    train: Callable[..., dict[str, str]], wavemore: Any, folder: Path
) -> None:
    rows = train(unicodedata.normalize("NFD", LINES), "--normalize", "none")
    assert "normalised" not in rows["data"]
    assert "\u0301" in vocabulary(folder)
    assert wavemore("sample", "new", "-n", "3", "--prefix", "ane\u0301").code == 0
    assert "unknown character 'é'" in wavemore("sample", "new", "-n", "3", "--prefix", "ané").err


def test_runs_on_text_that_was_cleaned_differently_have_different_data(wavemore: Any, folder: Path) -> None:
    (folder / "list.txt").write_text(LINES, encoding="utf-8")
    for name, words in (("a", ()), ("b", ("--normalize", "none")), ("c", ("--invisible", "strip"))):
        assert wavemore("train", "list.txt", *FEW[:-1], f"runs/{name}", *words).code == 0
    assert "normalize nfc and none" in wavemore("evaluate", "a", "--ensemble", "b").err
    assert "invisible keep and strip" in wavemore("evaluate", "a", "--ensemble", "c").err
    assert wavemore("evaluate", "b").code == 0


def test_names_that_differ_in_case_only_are_counted(train: Callable[..., dict[str, str]]) -> None:
    names = ASCII.split()
    rows = train("".join(f"{name}\n{name.title()}\n{name.upper()}\n" for name in names))
    assert rows["note"].endswith(
        " differ from a train line in upper and lower case only, and count as lines that are not in train"
    )
    assert "note" not in train(ASCII, "--overwrite")


def test_a_flag_of_lists_is_refused_for_a_text(fails: Callable[..., str], folder: Path) -> None:
    (folder / "list.txt").write_text(VERSE * 20, encoding="utf-8")
    assert "--long-lines is not for continuous text" in fails(2, "train", "list.txt", "--long-lines", "skip")


TABLES = {
    "list.csv": "name,count\n" + "".join(f"{line},{n}\n" for n, line in enumerate(ASCII.splitlines())),
    "list.tsv": "".join(f"{n}\t{line}\n" for n, line in enumerate(ASCII.splitlines())),
    "list.jsonl": "".join(json.dumps({"n": n, "name": line}) + "\n" for n, line in enumerate(ASCII.splitlines())),
    "list.json": json.dumps(ASCII.splitlines()),
    "counts.txt": "".join(f"{n:7} {line}\n" for n, line in enumerate(ASCII.splitlines())),
    "list.txt.gz": ASCII,
}


@pytest.mark.parametrize("name", TABLES)
def test_a_table_gives_the_model_of_its_items(wavemore: Any, folder: Path, name: str) -> None:
    (folder / "plain.txt").write_text(ASCII)
    content = TABLES[name].encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    tiny = ["--model", "lstm", "--hidden", "8", "--steps", "3", "--threads", "1", "--json"]
    plain, table = (wavemore("train", data, "--run", data + "-run", *tiny) for data in ("plain.txt", name))
    losses = [json.loads(result.out)["val_nats"] for result in (plain, table)]
    assert losses[0] == losses[1]
    assert f"items   {ASCII.splitlines()[0]}, " in table.err
    # The data is read again in the same way.
    assert json.loads(wavemore("evaluate", name + "-run", "--json").out)["val_nats"] == pytest.approx(losses[0])
    assert "wavemore train --resume" not in wavemore("log").out
    config = json.loads((folder / (name + "-run") / "config.json").read_text())["data"]
    assert config["layout"]["kind"] == ("plain" if name.endswith(".gz") else config["layout"]["kind"])


def test_a_column_is_chosen_by_its_name(wavemore: Any, fails: Callable[..., str], folder: Path) -> None:
    rows = "".join(f"{line},Town{line[::-1]}\n" for line in ASCII.splitlines())
    (folder / "list.csv").write_text("name,town\n" + rows)
    tiny = ["--hidden", "8", "--steps", "3", "--threads", "1"]
    for flag in ("--column", "--field"):
        result = wavemore("train", "list.csv", flag, "town", *tiny, "--run", "r", "--overwrite")
        assert "format  the column town of a table of 2 columns, separated by commas, with a header; " in result.out
    assert "T" in json.loads((folder / "r" / "vocabulary.json").read_text())["characters"]
    assert "--column is 'city'; the data has name, town" in fails(2, "train", "list.csv", "--column", "city")
    assert "leave out one of them" in fails(2, "train", "list.csv", "--column", "1", "--format", "lines")


def test_another_file_is_evaluated_exactly(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    lines = ["annaa", "ana", "Bonaa"]
    Path("others.txt").write_text("\n".join([*lines, "annaana", "Xanna"]) + "\n", encoding="utf-8")
    result = wavemore("evaluate", "done", "others.txt", "--json")
    record = json.loads(result.out)
    scores = json.loads(wavemore("score", "done", *lines, "annaana", "--json").out)
    targets = sum(len(score["characters"]) for score in scores)
    assert record["file_targets"] == targets
    assert record["file_nats"] == pytest.approx(sum(score["nats"] for score in scores) / targets, abs=1e-5)
    assert record["leak_free_file_targets"] == len("annaana") + 1
    assert record["leak_free_file_nats"] == pytest.approx(scores[-1]["nats"] / 8, abs=1e-5)
    assert result.err == "wavemore: 1 line with characters that the model does not know left out: X\n"
    assert "not in the run's data" in wavemore("evaluate", "done", "others.txt").out
    Path("strange.txt").write_text("XYZ\nZYX\n")
    assert "all of its lines have characters that the model does not know (X Y Z)" in fails(
        1, "evaluate", "done", "strange.txt"
    )
    assert "neither a file nor a data set" in fails(1, "evaluate", "done", "no.txt")
    assert "leave out --train, --test" in fails(2, "evaluate", "done", "others.txt", "--test")


def test_a_text_is_evaluated_without_unknown_characters(wavemore: Any, folder: Path) -> None:
    (folder / "text.txt").write_text("it was the best of times\n" * 80)
    tiny = ["--format", "text", "--hidden", "8", "--steps", "3", "--threads", "1"]
    wavemore("train", "text.txt", *tiny, "--run", "t")
    (folder / "other.txt").write_text("it was the Age of times\n" * 20)
    result = wavemore("evaluate", "t", "other.txt", "--json")
    assert json.loads(result.out)["file_targets"] == 20 * 22
    assert result.err == "wavemore: 40 characters that the model does not know left out: A g\n"


def test_standard_input_is_kept_for_later(wavemore: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    tiny = ["--hidden", "8", "--steps", "3", "--threads", "1"]
    for run in ("r", "again"):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ASCII.encode())))
        result = wavemore("train", "-", *tiny, "--run", run)
        assert result.code == 0, result.err
        assert "format  standard input, kept as " in result.out
        assert "data    input-" in result.out
    assert wavemore("evaluate", "r").code == 0
    assert len(list((folder / "cache" / "wavemore" / "input").iterdir())) == 1


@pytest.mark.slow
def test_empty_standard_input_is_one_line_of_advice(program: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(program.folder / "cache"))
    result = program("train", "-")
    assert (result.code, result.err.count("\n")) == (1, 1)
    assert "standard input is empty" in result.err
    assert not list((program.folder / "cache").rglob("*.t*"))


def test_standard_input_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemore.text.piped.MAX_BYTES", 100)
    with pytest.raises(DataError, match="standard input has more than 100 bytes"):
        keep_input(io.BytesIO(b"anna\n" * 50), tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="standard input cannot be kept in"):
        keep_input(io.BytesIO(b"anna\n"), tmp_path / "file")


def test_what_was_read_is_shown(wavemore: Any, folder: Path) -> None:
    lines = [f"{first}{middle}{last}" for first in "abcdefgh" for middle in "aeiou" for last in "klmnopqrst"]
    (folder / "many.csv").write_text("name,n\n" + "".join(f"{line},1\n" for line in [*lines, "x@x"]))
    out = wavemore("train", "many.csv", "--hidden", "8", "--steps", "2", "--threads", "1").out
    items = out.partition("\nitems   ")[2].partition("\n")[0].split(", ")
    assert len(items) == 11
    assert items[-1] == "..."
    assert set(items[:-1]) <= set(lines)
    assert "\nrare    @ once, x 2 times\n" in out
