"""Data as people have it: counts, own files for val and test, several files, items of several lines."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm
from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1", "--steps", "12", "--num-evals", "2")
NAMES = [f"{a}{b}" for a in ("an", "bo", "cle", "do", "el") for b in ("na", "ra", "mi", "lo")]


@pytest.fixture
def table(folder: Path) -> Path:
    path = folder / "table.csv"
    rows = [f"{name},{3 * number},x" for number, name in enumerate(NAMES)]
    path.write_text("\n".join(["name,times,kind", *rows]) + "\n")
    return path


def test_counts_are_said_and_kept(wavemore: Callable[..., Any], table: Path) -> None:
    train = ("train", "table.csv", "--column", "name", "--count-column", "times", *TINY)
    result = wavemore(*train, "--run", "r1")
    assert result.code == 0
    assert "the column name, counted by times, of a table of 3 columns" in result.out
    assert "1 item with a count of 0 left out, 570 occurrences in all" in result.out
    assert "per character, items weighted by their counts" in result.out
    assert "items weighted by their counts" in wavemore("evaluate", "r1").out
    own = ("table.csv", "--column", "name", "--count-column", "times", "--json")
    figures = json.loads(wavemore("evaluate", "r1", *own).out)
    copies = [name for number, name in enumerate(NAMES) for _ in range(3 * number)]
    Path("copies.txt").write_text("\n".join(copies))
    repeated = json.loads(wavemore("evaluate", "r1", "copies.txt", "--json").out)
    assert figures["file_targets"] == repeated["file_targets"]
    assert figures["file_nats"] == pytest.approx(repeated["file_nats"], rel=1e-5)
    assert "counted" not in wavemore(*train, "--no-by-count", "--min-count", "9", "--run", "r2").out.split("val ")[-1]
    assert Run(Path("r2")).config.data.cleaning.min_count == 9


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--no-by-count"], "--no-by-count is for data with counts: name their column with --count-column"),
        (["--count-column", "kind"], "table.csv: the row that ends in line 2: the count is 'x', not a whole number"),
        (["--count-column", "year"], "--count-column is 'year'; the data has name, times, kind"),
        (["--count-column", "times", "--format", "lines"], "--count-column is for tables and JSON"),
        (["--val", "nowhere.csv"], "'nowhere.csv' is neither a file nor a data set"),
        (["--min-count", "0"], "--min-count is 0; it must be at least 1"),
        (["--separator", " x"], "--separator is ' x'; it must be one line"),
        (["--separator", "", "--format", "text"], "--separator is for lists of items of several lines"),
    ],
)
def test_wrong_flags_are_one_line(fails: Callable[..., str], table: Path, flags: list[str], message: str) -> None:
    column = [] if {"--separator", "--format"} & {*flags} else ["--column", "name"]
    code = 1 if "nowhere.csv" in flags or "kind" in flags else 2
    assert message in fails(code, "train", "table.csv", *column, *flags, *TINY)


def test_own_parts_and_more_files_are_found_again(wavemore: Callable[..., Any], table: Path) -> None:
    (table.parent / "held").mkdir()
    Path("held/val.txt").write_text("zora\nanna\nmia\n")
    Path("held/test.csv").write_text("name,kind\nquinn,a\nxaver,b\nzoe,c\n")
    Path("more.txt").write_text("lara\nlena\n")
    words = ("train", "table.csv", "more.txt", "--column", "name", "--count-column", "times")
    held = ("--val", "held/val.txt", "--test", "held/test.csv")
    result = wavemore(*words[:-2], *held, *TINY, "--run", "r1")
    assert "split   val from val.txt, test from test.csv: 22 train, 3 val, 3 test lines" in result.out
    assert "note    1 of 3 val lines are also in train: their loss says little about new lines" in result.out
    assert "format  2 files: the column name of a table of 3 columns" in result.out
    assert wavemore("evaluate", "r1", "--test").code == 0
    shutil.move("r1", "copy")
    Path("held").rename("elsewhere")
    assert "val.txt" in wavemore("evaluate", "copy").err
    Path("elsewhere").rename("held")
    Path("held/val.txt").write_text("zora\nanna\nmio\n")
    message = wavemore("evaluate", "copy").err
    assert "held/val.txt is not the file that the run began with: its content differs" in message


def test_training_on_counts_and_files_resumes_bit_for_bit(wavemore: Callable[..., Any], table: Path) -> None:
    Path("val.txt").write_text("zora\nmia\n")
    train = ("train", "table.csv", "--column", "name", "--count-column", "times", "--val", "val.txt", *TINY)
    wavemore(*train, "--run", "whole")
    shutil.copytree("whole", "part")
    for name in ("summary.json", "state.safetensors", "model.safetensors"):
        Path("part", name).unlink()
    assert wavemore("train", "--resume", "part").code == 0
    assert Path("part/model.safetensors").read_bytes() == Path("whole/model.safetensors").read_bytes()


def test_a_folder_is_all_of_its_files(wavemore: Callable[..., Any], folder: Path, fails: Callable[..., str]) -> None:
    (folder / "lists" / "more").mkdir(parents=True)
    Path("lists/a.txt").write_text("\n".join(NAMES[:12]))
    Path("lists/more/b.txt").write_text("\n".join(NAMES[12:]))
    Path("lists/.hidden").write_text("no\n")
    assert "20 lines (all distinct)" in wavemore("train", "lists", *TINY).out
    assert Path("runs/lists-1/summary.json").exists()
    Path("lists/prose.txt").write_text(
        "The sun was low,\nand the sea was red.\n\nNobody had seen it,\nnot even they.\n" * 20
    )
    message = "a.txt looks like a list, and lists/prose.txt like a text: set --format for both"
    assert message in fails(2, "train", "lists", *TINY)
    Path("empty").mkdir()
    assert "empty: this folder has no files" in fails(1, "train", "empty", *TINY)


def test_items_of_several_lines(wavemore: Callable[..., Any], folder: Path) -> None:
    poems = [f"the {a} is {b}\nand so is the {c}" for a in ("sun", "sea") for b in ("red", "far") for c in "xyz"]
    Path("poems.txt").write_text("\n---\n".join(poems) + "\n---\n\n")
    result = wavemore("train", "poems.txt", "--separator", "---", "--steps", "150", "--hidden", "32", "--run", "poems")
    assert "12 lines (all distinct)" in result.out
    assert "the sun is red␤and so is the x" in result.out
    out = wavemore("sample", "poems", "-n", "5", "--seed", "0").out
    assert out.count("\n---\n") == 5
    assert out.count("\nand so is") >= 3
    assert "\n" in json.loads(wavemore("sample", "poems", "-n", "5", "--seed", "0", "--json").out)[0]["text"]
    wishes = ["--prefix", "the s", "--contains", "\nand", "--match", r"the .*\nand .*[xyz]"]
    for poem in wavemore("sample", "poems", "-n", "3", "--raw", *wishes).out.split("---\n")[:-1]:
        assert poem.startswith("the s")
        assert "\nand" in poem
    like = wavemore("sample", "poems", "-n", "1", "--seed", "0", "--like", "the sea is red\nand so is the z")
    assert "unknown character" not in like.err
    loaded = wm.from_pretrained("poems")
    for line in [*loaded.generate(2, prefix="the s", match=r"the .*\nand .*"), *loaded.generate(1, like=[poems[0]])]:
        assert "\nand " in line.text
    assert len(loaded.score([poems[0]])[0].char_nats) == len(poems[0]) + 1
    assert wavemore("score", "poems", "the sun is far\nand so is the y").code == 0
    assert json.loads(wavemore("evaluate", "poems", "poems.txt", "--json").out)["file_targets"] == sum(
        len(poem) + 1 for poem in poems
    )


def test_what_looks_like_a_header_or_a_count_is_said(wavemore: Callable[..., Any], folder: Path) -> None:
    Path("header.txt").write_text("Name\n" + "\n".join(NAMES) + "\n")
    note = "note    the first item is Name, which looks like a header: if it is one, add --column Name\n"
    assert note in wavemore("train", "header.txt", *TINY, "--run", "header").out
    out = wavemore("train", "header.txt", *TINY, "--run", "column", "--column", "Name").out
    assert "the column Name of a table of 1 column, with a header" in out
    assert f"{len(NAMES)} lines" in out
    Path("counted.txt").write_text("".join(f"{name} {number}\n" for number, name in enumerate(NAMES)))
    out = wavemore("train", "counted.txt", *TINY, "--run", "counted").out
    assert "note    most items end with a number, as in 'anna 0', which is learned as a part of them" in out
    Path("plain.txt").write_text("\n".join(NAMES) + "\n")
    assert "note" not in wavemore("train", "plain.txt", *TINY, "--run", "plain").out
