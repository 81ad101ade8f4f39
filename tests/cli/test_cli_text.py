"""Continuous text through the commands, as a user has them."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wavemore.cli import main

SMALL = ("--fuse", "2", "2", "--embedding", "4", "--hidden", "8", "--steps", "20", "--evaluations", "2")
STRETCHES = ("--batch-size", "96", "--stretch", "32")


def prose(lines: int) -> str:
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "a", "mat", "and", "rän"], size=(lines, 6))
    return "".join(" ".join(row) + ("\n" if number % 5 else ".\n\n") for number, row in enumerate(words))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def text(folder: Path, cache: Path) -> str:
    """A continuous text of 300 lines."""
    (folder / "story.txt").write_text(prose(300), encoding="utf-8")
    return "story.txt"


@pytest.fixture(scope="session")
def trained_story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("story")
    (folder / "story.txt").write_text(prose(300), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        for name, seed in (("one", "0"), ("two", "1")):
            words = ["train", str(folder / "story.txt"), "--run", str(folder / "runs" / name), "--seed", seed]
            assert main([*words, *SMALL, *STRETCHES, "--json"]) == 0
    return folder


@pytest.fixture
def run(trained_story: Path, folder: Path, cache: Path) -> str:
    """A finished run on a text, `runs/one`, and `runs/two` with another seed."""
    shutil.copytree(trained_story / "runs", folder / "runs")
    shutil.copytree(trained_story / "cache", cache)
    return "runs/one"


def test_a_text_is_known_by_its_looks_and_trained_on_as_one(wavemore: Callable[..., Any], text: str) -> None:
    said = wavemore("train", text, *SMALL, *STRETCHES)
    assert said.code == 0
    assert "text    stream: it looks like continuous text (" in said.out
    assert "otherwise --text lines" in said.out
    assert "split   the first 90 % train: " in said.out
    assert "96 characters (3 stretches of 32, 3 more seen before each)" in said.out
    assert ", on its last " in said.out
    assert "wavemore sample runs/story-1 --length 500" in said.out
    run = Path("runs/story-1")
    assert not (run / "lines.safetensors").exists()
    assert len((run / "samples.txt").read_text(encoding="utf-8")) == 501
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["leak_free_val_nats"], summary["val_line_percentiles"]) == (None, None)
    data = json.loads((run / "config.json").read_text())["data"]
    assert (data["split"], data["share"], data["longest"]) == ("share", 0.9, 0)


def test_a_list_is_known_by_its_looks_too(wavemore: Callable[..., Any], names: str) -> None:
    said = wavemore("train", names, "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert "text    lines: it looks like a list (" in said.out
    assert "otherwise --text stream" in said.out


def test_what_is_asked_for_is_done_and_what_it_looks_like_is_said(
    wavemore: Callable[..., Any], text: str, names: str
) -> None:
    said = wavemore("train", text, "--text", "lines", "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert (said.code, "lines, as asked, although it looks like continuous text (" in said.out) == (0, True)
    Path("many.txt").write_text("anna\nbob\nclara\n" * 200)
    said = wavemore("train", "many.txt", "--text", "stream", *SMALL, *STRETCHES)
    assert (said.code, "stream, as asked, although it looks like a list (1.0 words a line" in said.out) == (0, True)
    said = wavemore("train", "names", "--text", "stream", *SMALL, *STRETCHES)
    assert (said.code, "stream, as asked: a data set of lines" in said.out) == (0, True)


def test_another_share(wavemore: Callable[..., Any], text: str) -> None:
    said = wavemore("train", text, "--split-share", "0.75", *SMALL, *STRETCHES, "--run", "r")
    assert "split   the first 75 % train: " in said.out
    assert "text 75 %" in wavemore("log", "r").out


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (["--split", "lecture"], 2, r"--split is for lists, and this is one text .* take --split-share"),
        (["--split-seed", "1"], 2, "--split-seed is for lists"),
        (["--split-share", "1.5"], 2, "it must be above 0 and below 1"),
        (["--split-share", "0.999"], 1, "the val part has .*at least 100.*--split-share"),
        (["--recipe", "lecture"], 2, "leave --recipe out"),
        (["--stretch", "9000", "--batch-size", "9000"], 2, "longer than the [0-9,]+ characters to train on"),
        (["--stretch", "30", "--batch-size", "100"], 2, "take 90"),
        (["--model", "wavenet", "--dilations", "8000"], 2, "this model sees 8,001 characters, and the text has"),
        (["--execution", "unique"], 2, "--execution unique is for lists"),
        (["--encoding", "ascii"], 1, "is not valid ascii"),
    ],
)
def test_what_does_not_fit_a_text_is_refused(
    fails: Callable[..., str], text: str, flags: list[str], code: int, message: str
) -> None:
    assert re.search(message, fails(code, "train", text, *flags))
    assert not Path("runs").exists()


def test_what_does_not_fit_a_list_is_refused(fails: Callable[..., str], names: str) -> None:
    assert "take --split, or --text stream" in fails(2, "train", names, "--split-share", "0.8")
    assert "--stretch is for continuous text" in fails(2, "train", names, "--stretch", "16")


def test_bytes_that_are_not_utf8_are_named(fails: Callable[..., str], text: str) -> None:
    content = Path(text).read_bytes()
    Path(text).write_bytes(content[:5000] + b"\xff" + content[5000:])
    assert "byte 0xff at offset 5,000 is not valid utf-8" in fails(1, "train", text)


def test_a_stopped_run_goes_on(wavemore: Callable[..., Any], fails: Callable[..., str], run: str) -> None:
    before = Path(run, "metrics.jsonl").read_text()
    (Path(run) / "summary.json").unlink()
    said = wavemore("train", "--resume", "--run", run)
    assert said.code == 0
    assert "text    stream" in said.out
    assert "resuming after step 20 of 20" in said.out
    assert Path(run, "metrics.jsonl").read_text() == before
    (Path(run) / "summary.json").unlink()
    assert "this run has text stream, not lines" in fails(2, "train", "--resume", "--run", run, "--text", "lines")
    assert "has split-share 0.9, not 0.8" in fails(2, "train", "--resume", "--run", run, "--split-share", "0.8")
    assert "has stretch 32, not 16" in fails(2, "train", "--resume", "--run", run, "--stretch", "16")


def test_a_run_on_a_text_is_replaced_when_asked(wavemore: Callable[..., Any], run: str, trained_story: Path) -> None:
    file = str(trained_story / "story.txt")
    assert "holds a run already" in wavemore("train", file, "--run", run).err
    said = wavemore("train", file, "--run", run, "--overwrite", *SMALL, *STRETCHES, "--steps", "2")
    assert said.code == 0


def test_a_text_is_sampled_by_its_length(wavemore: Callable[..., Any], fails: Callable[..., str], run: str) -> None:
    said = wavemore("sample", run, "--length", "70", "--seed", "1", "--prefix", "the cat\n")
    assert said.out.startswith("the cat\n")
    assert len(said.out.removesuffix("\n")) in (77, 78)
    assert wavemore("sample", run, "--length", "70", "--seed", "1", "--prefix", "the cat\n").out == said.out
    [listed] = json.loads(wavemore("sample", run, "--length", "70", "--seed", "1", "--json").out)
    assert len(listed["text"]) == 70
    assert listed["nats_per_char"] == pytest.approx(listed["nats"] / 70)
    several = wavemore("sample", run, "-n", "3", "--length", "10").out
    assert [line for line in several.splitlines() if line.startswith("---")] == [
        "--- 1 of 3",
        "--- 2 of 3",
        "--- 3 of 3",
    ]
    assert len(wavemore("sample", run).out.removesuffix("\n")) in (499, 500)
    assert "--max-length is for lines" in fails(2, "sample", run, "--max-length", "5")
    assert "--new is for lines" in fails(2, "sample", run, "--new")
    assert "length is 0" in fails(2, "sample", run, "--length", "0")
    assert "unknown character 'Q'" in fails(1, "sample", run, "--prefix", "Q")


def test_lines_have_no_length(fails: Callable[..., str], names: str, wavemore: Callable[..., Any]) -> None:
    wavemore("train", names, "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert "--length is for continuous text" in fails(2, "sample", "--length", "5")


def test_a_text_is_evaluated_over_all_its_val_characters(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str, trained_story: Path
) -> None:
    found = json.loads(wavemore("evaluate", run, "--json", "--train").out)
    count = len((trained_story / "story.txt").read_text(encoding="utf-8"))
    assert found["val_targets"] == count - int(0.9 * count)
    assert found["train_targets"] == int(0.9 * count)
    assert "leak_free_val_nats" not in found
    assert found["val_nats"] == pytest.approx(json.loads((Path(run) / "summary.json").read_text())["val_nats"])
    assert "each character with all that the model sees" in wavemore("evaluate", run).out
    assert "has no test part" in fails(2, "evaluate", run, "--test")


def test_texts_are_scored_character_by_character(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = json.loads(wavemore("score", run, "the cat\nsat", "--json").out)
    assert [one["character"] for one in found["characters"]] == list("the cat\nsat")
    assert found["more_usual_than_val"] is None
    said = wavemore("score", run, "the cat\nsat").out.splitlines()
    assert said[0].endswith("(⏎ is a line end)")
    assert (said[1], said[3]) == ("the cat⏎", "sat")
    assert "not empty" in fails(2, "score", run, "")


def test_two_runs_on_a_text_are_compared_line_by_line(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str
) -> None:
    found = json.loads(wavemore("compare", run, "runs/two", "--json").out)
    assert found["overall"]["a"]["mean"] == pytest.approx(
        json.loads((Path(run) / "summary.json").read_text())["val_nats"], abs=0.05
    )
    assert "has no test part" in fails(2, "compare", run, "runs/two", "--part", "test")


def test_the_log_says_that_it_is_a_text(wavemore: Callable[..., Any], run: str) -> None:
    said = wavemore("log").out
    assert "story text" in said


def test_a_report_of_a_text(wavemore: Callable[..., Any], run: str) -> None:
    pytest.importorskip("matplotlib")
    assert wavemore("report", run).code == 0
    [page] = Path().rglob("one.html")
    html = page.read_text(encoding="utf-8")
    assert "continuous text, the first 90 % train" in html
    assert "A passage from the middle of the val text" in html
    assert "800 characters, drawn at temperature 1" in html


def test_a_text_that_has_changed_is_noticed(fails: Callable[..., str], text: str, wavemore: Callable[..., Any]) -> None:
    wavemore("train", text, *SMALL, *STRETCHES, "--run", "r")
    with Path(text).open("a") as file:
        file.write("x")
    assert "has changed since" in fails(1, "evaluate", "r")


def test_a_run_on_a_text_is_inspected(wavemore: Callable[..., Any], run: str) -> None:
    said = wavemore("inspect", run)
    assert said.code == 0, said.err
    assert "sees 4 characters" in said.out
    assert "T/4   then: " in said.out
    found = json.loads(wavemore("inspect", run, "--json").out)
    assert (found["receptive_field"], found["context"], found["fuse"]) == (4, 4, [2, 2])
    evaluated = json.loads(wavemore("evaluate", run, "--json").out)
    assert found["losses"]["val"] == pytest.approx(evaluated["val_nats"], abs=0.2)


@pytest.mark.parametrize(
    ("flags", "sees"),
    [
        (["wavenet", "--channels", "4", "--skip-channels", "4", "--dilations", "1", "2"], "sees 4 characters"),
        (["wavenet", "--channels", "4", "--dilations", "1", "300"], "sees 302 characters"),
        (["gru", "--hidden", "4"], "sees the whole text so far"),
        (["lstm", "--hidden", "4"], "sees the whole text so far"),
        (["rnn", "--hidden", "4"], "sees the whole text so far"),
        (["transformer", "--channels", "8", "--heads", "2", "--context", "4"], "sees 13 characters"),
        (["mlp", "--context", "3", "--hidden", "4"], "sees 3 characters"),
        (["bow", "--context", "3", "--hidden", "4"], "sees 3 characters"),
        (["bigram"], "sees 1 character"),
    ],
)
def test_every_model_is_inspected_on_a_text(
    wavemore: Callable[..., Any], text: str, flags: list[str], sees: str
) -> None:
    said = wavemore("inspect", text, "--model", *flags)
    assert said.code == 0, said.err
    assert sees in said.out.splitlines()[0]


def test_all_layers_of_a_wavenet_are_seen(wavemore: Callable[..., Any], text: str) -> None:
    found = json.loads(
        wavemore(
            "inspect", text, "--model", "wavenet", "--channels", "4", "--skip-channels", "6", "--dilations", "1", "2",
            "--json",
        ).out
    )  # fmt: skip
    assert sum(layer["parameters"] for layer in found["layers"]) == found["parameters"]
    shapes = {layer["name"]: layer["shape"] for layer in found["layers"]}
    windows = found["sizes"]["B"]
    assert shapes["blocks.1.conv CausalConv1d"] == [windows, 4, 8]
    assert shapes["blocks.1.skip Linear"] == [windows, 4, 6]


def test_what_cannot_be_inspected_is_said_in_a_line(fails: Callable[..., str], text: str, names: str) -> None:
    assert "an ngram is a table of counts" in fails(2, "inspect", text, "--model", "ngram")
    assert "sees 8,001 characters" in fails(2, "inspect", text, "--model", "wavenet", "--dilations", "8000")


def test_without_a_model_a_text_gets_what_its_flags_are_of(wavemore: Callable[..., Any], text: str) -> None:
    said = wavemore("train", text, "--channels", "4", "--skip-channels", "4", "--steps", "1", *STRETCHES)
    assert said.code == 0, said.err
    assert re.search(r"model   wavenet: receptive field 127, .* parameters; --model takes another\n", said.out)
    said = wavemore("train", text, "--hidden", "4", "--steps", "1", *STRETCHES)
    assert re.search(r"model   lstm: embedding 64, hidden 4; .* parameters; --model takes another\n", said.out)
    said = wavemore("train", text, "--model", "bigram", "--steps", "1", *STRETCHES)
    assert "takes another" not in said.out


def test_a_val_part_that_says_little_is_told(wavemore: Callable[..., Any], folder: Path, cache: Path) -> None:
    tiny = ("--channels", "4", "--skip-channels", "4", "--steps", "1", "--text", "stream", *STRETCHES)
    Path("short.txt").write_text(prose(300)[:1_500], encoding="utf-8")
    said = wavemore("train", "short.txt", *tiny)
    assert "note    of 150 val characters the loss is uncertain by 0.12 nats or more: a longer text" in said.out
    said = wavemore("train", "short.txt", *tiny, "--dilations", "1", "2", "4", "8", "16", "32", "64", "128")
    assert "or more, and no character has all 256 before it that the model can see: a longer" in said.out
    Path("long.txt").write_text(prose(2_500), encoding="utf-8")
    assert "note " not in wavemore("train", "long.txt", *tiny).out
