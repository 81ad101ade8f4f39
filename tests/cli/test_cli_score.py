import csv
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from wavemore.cli.score import _letters, _parts


def test_json(wavemore: Any, run: Path) -> None:
    rows = json.loads(wavemore("score", "runs/done", "anna", "ooooo", "--json").out)
    for row in rows:
        assert [c["character"] for c in row["characters"]] == [*row["text"], ""]
        assert sum(c["nats"] for c in row["characters"]) == pytest.approx(row["nats"])
        assert row["nats_per_char"] == pytest.approx(row["nats"] / (len(row["text"]) + 1))
        assert 0 <= row["percentile_rank"] <= 1
    assert [row["rank"] for row in rows] == [1, 2]
    assert rows[0]["nats_per_char"] < rows[1]["nats_per_char"]
    assert rows[0]["percentile_rank"] >= rows[1]["percentile_rank"]


def test_a_single_line_is_described(wavemore: Any, run: Path) -> None:
    result = wavemore("score", "anna")
    words, letters, bars = result.out.splitlines()
    assert " nats per character, " in words
    assert "; more typical than " in words
    assert letters == "anna⏎"
    assert len(bars) == 5
    (run / "summary.json").unlink()
    assert "more typical than" not in wavemore("score", "anna").out
    assert json.loads(wavemore("score", "anna", "--json").out)[0]["percentile_rank"] is None


def test_bars_are_below_their_letters(wavemore: Any, run: Path) -> None:
    head, *rows, foot = wavemore("score", "anna", "é la").out.splitlines()
    assert head.split()[:3] == ["rank", "nats/char", "nats"]
    assert foot == "typical: percentage of the validation lines that are less typical than this one"
    for letters, bars in zip(rows[::2], rows[1::2], strict=True):
        assert len(bars.rstrip()) == len(letters)
        assert len(bars) - len(bars.lstrip()) == len(head[: head.index("⏎")])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ab", ["a", "b", "⏎"]),
        ("天a", ["天", "a", "⏎"]),
        ("e\u0301x", ["e\u0301", "x", "⏎"]),
        ("\u0301x", ["◌\u0301", "x", "⏎"]),
        ("👍🏽", ["👍🏽", "⏎"]),
        ("a\tb\x1b", ["a", "␉", "b", "␛", "⏎"]),
        ("", ["⏎"]),
    ],
)
def test_accents_join_their_letters(text: str, shown: list[str]) -> None:
    letters = _letters([(character, 1.0) for character in [*text, ""]])
    assert [letter for letter, _ in letters] == shown
    assert all(cell_len(letter) > 0 for letter, _ in letters)
    assert sum(nats for _, nats in letters) == len(text) + 1


def test_long_lines_are_broken() -> None:
    parts = list(_parts([("天", 1.0)] * 13, width=11))
    assert [len(part) for part in parts] == [5, 5, 3]
    assert [len(part) for part in _parts([("a", 1.0)] * 25, width=-5)] == [10, 10, 5]


class Input:
    def __init__(self, content: bytes) -> None:
        self.buffer = io.BytesIO(content)

    def isatty(self) -> bool:
        return False


def test_lines_from_standard_input(
    wavemore: Any, fails: Callable[..., str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def given(content: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", Input(content))

    given("\ufeffanna\r\n\r\n  é la \rBo\x0bna".replace("\x0b", "").encode())
    assert [row["text"] for row in json.loads(wavemore("score", "runs/done", "--json").out)] == ["anna", "é la", "Bona"]
    given(b"anna")
    assert wavemore("score").out.splitlines()[1] == "anna⏎"
    given(b" \n")
    assert "no lines to score: standard input was empty" in fails(2, "score")
    given(b"an\xffna")
    assert "standard input is not UTF-8: byte 3 is 0xff" in fails(2, "score")
    monkeypatch.setattr(sys, "stdin", None)
    assert "no lines to score: give them after the run, or on standard input" in fails(2, "score")


def test_lines_with_unknown_characters_are_reported_and_the_others_scored(
    wavemore: Any, fails: Callable[..., str], run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = "\n\nanna\nEmma\n" + "qq\n" * 7 + "Bona\n"
    monkeypatch.setattr(sys, "stdin", Input(content.encode()))
    result = wavemore("score", "done")
    assert result.code == 0
    assert result.out.splitlines()[1].endswith("anna⏎")
    assert result.out.splitlines()[3].endswith("Bona⏎")
    first, second, *_, last = result.err.splitlines()
    assert first == "wavemore: 8 of 10 lines not scored (--unknown error stops at the first):"
    assert second.startswith("  line 4: unknown character 'E' (U+0045) at position 1 of 'Emma'; 'e' is known; known: ")
    assert last == "  and 3 more"
    assert result.err.count("\n") == 7
    rows = json.loads(wavemore("score", "done", "anna", "qq", "Bona", "--json").out)
    assert [row["text"] for row in rows] == ["anna", "qq", "Bona"]
    assert [row.get("rank") for row in rows] == [1, None, 2]
    assert rows[1]["error"].startswith("unknown character 'q' (U+0071) at position 1 of 'qq'; known: ")
    assert "line 2: unknown character 'q'" in fails(1, "score", "--unknown", "error", "done", "anna", "qq")
    assert "line 2: unknown character 'q'" in fails(1, "score", "done", "anna", "qq", "--unknown", "error")
    assert "unknown character 'x'" in fails(1, "score", "done", "x", "qq")


def test_a_folder_that_is_no_run_may_be_a_line(wavemore: Any, run: Path, folder: Path) -> None:
    (folder / "anna").mkdir()
    assert wavemore("score", "anna").out.splitlines()[1] == "anna⏎"
    assert wavemore("score", "done", "anna").out.splitlines()[1] == "anna⏎"
    assert wavemore("score", "").out.splitlines()[1] == "⏎"
    shutil.copytree(run, "Bo")
    assert wavemore("score", "Bo", "anna").out.splitlines()[1] == "anna⏎"


def test_a_path_that_is_no_run(wavemore: Any, run: Path) -> None:
    result = wavemore("score", "no/such", "anna")
    assert result.code == 1
    assert "there is no run 'no/such'" in result.err


def test_the_picture_of_a_long_line_is_cut(wavemore: Any, run: Path) -> None:
    line = "an" * 50_000
    result = wavemore("score", str(run), line)
    assert result.code == 0
    assert "… and 96,001 more characters: --json gives all" in result.out
    assert len(result.out) < 10_000
    [record] = json.loads(wavemore("score", "--json", str(run), line).out)
    assert len(record["characters"]) == 100_001


def test_flags_may_stand_between_the_run_and_the_lines(wavemore: Any, run: Path) -> None:
    first = wavemore("score", "--json", str(run), "anna", "ooo")
    assert first.code == 0
    assert wavemore("score", str(run), "--json", "anna", "ooo") == first
    assert wavemore("score", str(run), "anna", "--json", "ooo") == first
    assert "--json" in wavemore("score", str(run), "--", "--json").err  # after -- it is a line


def test_the_name_of_a_run_with_a_typing_error(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    assert "there is no run 'dome' (did you mean done?)" in fails(1, "score", "dome", "anna")
    assert wavemore("score", "one", "anna").out.splitlines()[1].endswith("one⏎")  # a line that the model can read


def test_a_file_is_not_scored_as_a_line(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    Path("list.csv").write_text("n,name\n1,anna\n2,Bona\n3,XXX\n")
    expected = "list.csv is a file; to score its items, name it alone after the run"
    assert expected in fails(2, "score", "done", "anna", "list.csv")
    for words in (["list.csv"], ["done", "list.csv"]):
        result = wavemore("score", *words, "--json")
        assert [record["text"] for record in json.loads(result.out)] == ["anna", "Bona", "XXX"]
        assert result.err.startswith("wavemore: list.csv is a file; what follows is for what is in it\n")
        assert "wavemore: 1 of 3 lines not scored" in result.err
    Path("anna").write_text("Bona\n")
    assert wavemore("score", "anna").out.splitlines()[1] == "anna⏎"


def test_a_list_is_ranked_into_a_table(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    Path("list.csv").write_text("n,name\n1,annaa\n2,Bonaa\n3,XXX\n4,Boooonn\n")
    result = wavemore("score", "done", "list.csv", "-o", "ranked.csv")
    assert result.out.splitlines() == [
        "ranked.csv: 3 items, the most typical for runs/done first",
        "read the column name of a table of 2 columns, separated by commas, with a header",
        "1 line with characters that the model does not know left out: X",
    ]
    rows = list(csv.DictReader(Path("ranked.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["text"], row["known"]) for row in rows] == [("annaa", "yes"), ("Bonaa", "yes"), ("Boooonn", "no")]
    scored = json.loads(wavemore("score", "annaa", "Bonaa", "Boooonn", "--json").out)
    shown = {record["text"]: record for record in scored}
    for row in rows:
        for key in ("nats", "nats_per_char", "percentile_rank"):
            assert float(row[key]) == pytest.approx(shown[row["text"]][key], abs=6e-3)
    assert sorted(rows, key=lambda row: float(row["nats_per_char"])) == rows
    wavemore("score", "Bona", "anna", "--output", "words.csv")
    assert Path("words.csv").read_text(encoding="utf-8").splitlines()[1].startswith("anna,")
    assert "no/such.csv cannot be written" in fails(2, "score", "anna", "-o", "no/such.csv")
    assert "leave out --json" in fails(2, "score", "anna", "-o", "a.csv", "--json")
