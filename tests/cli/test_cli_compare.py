import json
import re
from pathlib import Path
from typing import Any

import pytest


def test_the_verdict_and_the_tables(wavemore: Any, experiments: Path) -> None:
    result = wavemore("compare", "small", "wide")
    assert result.code == 0
    assert result.err == ""
    lines = result.out.splitlines()
    assert lines[0].startswith("A  small: tree 2x2 6/8 muon, ")
    assert lines[1].startswith("B  wide: ")
    assert lines[2] == "B differs in: hidden 8 → 48"
    assert re.fullmatch(r"names, val: 60 lines, \d+ targets", lines[3])
    verdicts = [line for line in lines if line.startswith("B is better by ")]
    assert len(verdicts) == 1
    assert re.fullmatch(
        r"B is better by 0\.\d{4} nats per character "
        r"\(95 % interval 0\.\d{4} to 0\.\d{4}, p [=<] 0\.\d{4}, 3 seeds each\)\.",
        verdicts[0],
    )
    for title in (
        "kinds of lines",
        "position in the line",
        "B gains most on",
        "Kinds and positions show where to look",
    ):
        assert any(line.startswith(title) for line in lines), title
    assert any(line.startswith("end of line") for line in lines)


def test_json(wavemore: Any, experiments: Path) -> None:
    record = json.loads(wavemore("compare", "small", "wide", "--json").out)
    assert record["better"] == "b"
    assert record["split"] == "val"
    assert record["a"]["seeds"] == record["b"]["seeds"] == [0, 1, 2]
    assert record["overall"]["difference"] < 0
    test = json.loads(wavemore("compare", "small", "wide", "--split", "test", "--json").out)
    assert test["split"] == "test"
    assert test["overall"]["difference"] != record["overall"]["difference"]


def test_single_runs(wavemore: Any, experiments: Path) -> None:
    result = wavemore("compare", "runs/small-0", "wide-0")
    assert "no significant difference: one seed each cannot separate the recipe from chance" in result.out
    assert "Of these models, B's predicts lines like these better by " in result.out


def test_lines_are_shown_without_their_escapes(wavemore: Any, folder: Path) -> None:
    lines = [f"{first}{last}" for first in ("a\x1b[31m", "bo", "[red]x", "dé") for last in "abcdefgh"]
    Path("list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    for seed in ("0", "1"):
        words = ["--seed", seed, "--hidden", "8", "--embedding", "4", "--fuse", "2", "--steps", "20"]
        assert wavemore("train", "list.txt", *words).code == 0
    result = wavemore("compare", "list-1", "list-2")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "no significant difference: fewer than 20 distinct lines, or a text of " in result.out


def test_a_figure_of_the_positions(wavemore: Any, fails: Any, experiments: Path) -> None:
    assert wavemore("compare", "small", "wide", "--plot", "where.svg").out.endswith("\n\nwrote where.svg\n")
    assert Path("where.svg").read_bytes().startswith(b"<?xml")
    assert "cannot write a figure as where.gif" in fails(2, "compare", "small", "wide", "--plot", "where.gif")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("small small", 2, "runs/small-0 is on both sides"),
        ("small nothing", 1, "there is no run 'nothing'; `wavemore log` lists the runs"),
        ("small runs", 2, "holds runs of several recipes"),
    ],
)
def test_runs_that_cannot_be_compared(fails: Any, experiments: Path, words: str, code: int, message: str) -> None:
    assert message in fails(code, "compare", *words.split())


@pytest.mark.parametrize(
    ("words", "message"), [("small", "Missing from wavemore compare"), ("small wide --split train", "'train'")]
)
def test_flags_that_cannot_be_read(rejects: Any, experiments: Path, words: str, message: str) -> None:
    assert message in rejects("compare", *words.split())


def test_unfinished_runs_and_runs_without_a_model(fails: Any, wavemore: Any, experiments: Path) -> None:
    Path("runs/wide-0/model.safetensors").unlink()
    assert "wide-0 was stopped before its first evaluation" in fails(1, "compare", "small", "wide")
    Path("runs/wide-0/summary.json").unlink()
    Path("runs/wide-0/metrics.jsonl").unlink()
    assert "left out: runs/wide-0: stopped at step 60 of 60" in wavemore("compare", "small", "wide").out
    assert "runs/wide-0 is unfinished (stopped at step 60 of 60)" in fails(1, "compare", "small", "wide-0")


@pytest.mark.parametrize("width", [100, 60])
def test_a_narrow_terminal(wavemore: Any, experiments: Path, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    for name, value in (("COLUMNS", str(width)), ("TTY_COMPATIBLE", "1"), ("NO_COLOR", "1"), ("FORCE_COLOR", "1")):
        monkeypatch.setenv(name, value)
    lines = re.sub("\x1b.*?m", "", wavemore("compare", "small", "wide").out).splitlines()
    tables = [line for line in lines if re.match(r"(nats per|val|short|\d|end of|kinds)", line)]
    assert len(tables) > 8
    assert all(len(line.rstrip()) <= width for line in tables)
