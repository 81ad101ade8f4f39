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

from wavemore.cli.letters import _letters, _parts


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


def test_a_word_that_is_neither_a_run_nor_an_item(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    no_item = "as an item of runs/done, it has characters that the model does not know: "
    for words in (["dome", "anna"], ["dome"]):
        message = fails(1, "score", *words)
        assert "there is no run 'dome' (did you mean done?); `wavemore log` lists the runs; " in message
        assert message.endswith(f"{no_item}d m")
    assert f"there is no run 'list-7'; `wavemore log` lists the runs; {no_item}- 7 s t" in fails(1, "score", "list-7")
    assert f"there is no run and no file 'list.txt'; {no_item}. s t x" in fails(2, "score", "list.txt")
    assert "unknown character 'q'" in fails(1, "score", "qqq")  # it is meant as an item
    assert wavemore("score", "one", "anna").out.splitlines()[1].endswith("one⏎")  # a line that the model can read


def test_the_run_is_said_if_it_was_not_named(wavemore: Any, run: Path) -> None:
    for words in (["score", "anna"], ["score", "latest", "anna"], ["evaluate"], ["inspect"], ["next", "an"]):
        assert wavemore(*words).err == "wavemore: used runs/done, the latest run\n"
    for words in (["score", "done", "anna"], ["evaluate", "done"], ["inspect", "done"], ["next", "runs/done", "an"]):
        assert wavemore(*words).err == ""


def test_a_file_is_not_scored_as_a_line(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    Path("list.csv").write_text("n,name\n1,anna\n2,Bona\n3,XXX\n")
    expected = "list.csv is a file; to score its items, name it alone after the run"
    assert expected in fails(2, "score", "done", "anna", "list.csv")
    for words in (["list.csv"], ["done", "list.csv"]):
        result = wavemore("score", *words, "--json")
        assert [record["text"] for record in json.loads(result.out)] == ["anna", "Bona", "XXX"]
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
    assert "must end in .txt, .csv or .jsonl" in fails(2, "score", "anna", "-o", "ranked")
    assert "leave out --json" in fails(2, "score", "anna", "-o", "a.csv", "--json")
    assert "leave out --json" in fails(2, "score", "anna", "--csv", "--json")
    for name in ("ranked.txt", "ranked.jsonl"):
        assert wavemore("score", "done", "list.csv", "-o", name).code == 0
    assert Path("ranked.txt").read_text().split() == [row["text"] for row in rows]
    assert [json.loads(line)["text"] for line in Path("ranked.jsonl").read_text().splitlines()] == [
        row["text"] for row in rows
    ]


def test_a_file_is_ranked_with_the_nearest_known_items(wavemore: Any, run: Path) -> None:
    Path("list.csv").write_text("n,name\n1,annaa\n2,Bonaaa\n3,XXX\n4,Boooonn\n")
    result = wavemore("score", "done", "list.csv")
    head, *rows, first_note, second_note = result.out.splitlines()
    assert head.split() == ["rank", "typical", "nats/char", "item", "nearest", "known", "item"]
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert {row.split()[3]: " ".join(row.split()[4:]) for row in rows} == {
        "annaa": "known",
        "Bonaaa": "Bonaa 1",
        "Boooonn": "Bonao 4",
    }
    assert first_note.startswith("typical: ")
    assert second_note.startswith("nearest known item: ")
    assert result.err.splitlines() == [
        "wavemore: read the column name of a table of 2 columns, separated by commas, with a header",
        "wavemore: 1 line with characters that the model does not know left out: X",
    ]
    printed = list(csv.DictReader(wavemore("score", "done", "list.csv", "--csv").out.splitlines()))
    assert [(row["text"], row["nearest"], row["distance"]) for row in printed] == [
        (row.split()[3], *(["annaa", "0"] if "known" in row else row.split()[4:])) for row in rows
    ]
    assert "line 3: unknown character 'X'" in wavemore("score", "done", "list.csv", "--unknown", "error").err


def test_many_lines_are_ranked_and_the_data_may_be_gone(
    wavemore: Any, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = json.loads((run / "config.json").read_text())
    config["data"]["source"] = "/no/such/names.txt"
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(sys, "stdin", Input("\n".join(["anna", "é la"] * 6).encode()))
    result = wavemore("score", "done")
    head, *rows, _ = result.out.splitlines()
    assert head.split()[3:] == ["item", "known"]
    assert len(rows) == 12
    assert result.err.startswith("wavemore: without the nearest known items: the data of runs/done cannot be read")
    assert "give its path as --data" in result.err
    assert result.err.count("\n") == 1
