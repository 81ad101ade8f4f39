"""The commands on continuous text."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGINT
from typing import Any

import numpy as np
import pytest

from wavemore.cli import main

SMALL = ("--fuse", "2", "2", "--embedding", "4", "--hidden", "8", "--steps", "20", "--num-evals", "2")
BLOCKS = ("--batch-size", "96", "--block-size", "32")


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
            assert main([*words, *SMALL, *BLOCKS, "--json"]) == 0
    return folder


@pytest.fixture
def run(trained_story: Path, folder: Path, cache: Path) -> str:
    """A finished run on a text, `runs/one`, and `runs/two` with another seed."""
    shutil.copytree(trained_story / "runs", folder / "runs")
    shutil.copytree(trained_story / "cache", cache)
    return "runs/one"


def test_a_text_is_detected(wavemore: Callable[..., Any], text: str) -> None:
    result = wavemore("train", text, *SMALL, *BLOCKS)
    assert result.code == 0
    assert "format  treated as continuous text (" in result.out
    assert "; if it is a list, one item per line, add --format lines\n" in result.out
    assert "split   the first 80 % train: " in result.out
    assert "96 characters in blocks of 32" in result.out
    assert ", on the last " in result.out
    assert "wavemore sample runs/story-1 --length 500" in result.out
    run = Path("runs/story-1")
    assert not (run / "lines.safetensors").exists()
    assert len((run / "samples.txt").read_text(encoding="utf-8")) == 501
    summary = json.loads((run / "summary.json").read_text())
    assert (summary["leak_free_val_nats"], summary["val_line_percentiles"]) == (None, None)
    data = json.loads((run / "config.json").read_text())["data"]
    assert (data["train_fraction"], data["longest_line"]) == (0.8, 0)


def test_a_list_is_detected(wavemore: Callable[..., Any], names: str) -> None:
    result = wavemore("train", names, "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert "format  treated as a list, one item per line (" in result.out
    assert "; if it is continuous text, add --format text\n" in result.out


def test_the_format_can_be_given(wavemore: Callable[..., Any], text: str, names: str) -> None:
    result = wavemore("train", text, "--format", "lines", "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert result.code == 0
    assert "one item per line (--format lines), although it looks like continuous text (" in result.out
    Path("many.txt").write_text("anna\nbob\nclara\n" * 200)
    result = wavemore("train", "many.txt", "--format", "text", *SMALL, *BLOCKS)
    assert result.code == 0
    assert "continuous text (--format text), although it looks like a list, one item per line (" in result.out
    result = wavemore("train", "names", "--format", "text", *SMALL, *BLOCKS)
    assert result.code == 0
    assert "treated as continuous text (--format text)\n" in result.out


def test_another_train_fraction(wavemore: Callable[..., Any], text: str) -> None:
    result = wavemore("train", text, "--train-fraction", "0.75", *SMALL, *BLOCKS, "--run", "r")
    assert "split   the first 75 % train: " in result.out
    assert "text 75 %" in wavemore("log", "r").out


@pytest.mark.parametrize(
    ("flags", "code", "message"),
    [
        (
            ["--split-method", "lecture"],
            2,
            r"--split-method is not for continuous text .* leave it out, or add --format lines",
        ),
        (["--split-seed", "1"], 2, "--split-seed is not for continuous text"),
        (["--train-fraction", "1.5"], 2, "it must be above 0 and below 1"),
        (["--train-fraction", "0.999"], 1, "its val part would have .*needs 100.*--train-fraction"),
        (["--preset", "lecture"], 2, "--preset lecture is for lists"),
        (["--block-size", "9000", "--batch-size", "9000"], 2, "more than the [0-9,]+ characters to train on"),
        (["--block-size", "30", "--batch-size", "100"], 2, "such as 90"),
        (["--model", "wavenet", "--dilations", "8000"], 2, "this model sees 8,001 characters, and the text has"),
        (["--execution", "unique"], 2, "--execution is for lists"),
        (["--encoding", "ascii"], 1, "is not valid ascii"),
    ],
)
def test_settings_that_a_text_does_not_have(
    fails: Callable[..., str], text: str, flags: list[str], code: int, message: str
) -> None:
    assert re.search(message, fails(code, "train", text, *flags))
    assert not Path("runs").exists()


def test_settings_that_a_list_does_not_have(fails: Callable[..., str], names: str) -> None:
    assert "leave it out, or add --format text" in fails(2, "train", names, "--train-fraction", "0.8")
    assert "--block-size is for continuous text" in fails(2, "train", names, "--block-size", "16")


def test_bytes_that_are_not_utf8_are_named(fails: Callable[..., str], text: str) -> None:
    content = Path(text).read_bytes()
    Path(text).write_bytes(content[:5000] + b"\xff" + content[5000:])
    assert "byte 0xff at offset 5,000 is not valid utf-8" in fails(1, "train", text)


def test_a_stopped_run_is_resumed(wavemore: Callable[..., Any], run: str) -> None:
    before = Path(run, "metrics.jsonl").read_text()
    (Path(run) / "summary.json").unlink()
    result = wavemore("train", "--resume", run)
    assert result.code == 0
    assert "resuming after step 20 of 20" in result.out
    assert Path(run, "metrics.jsonl").read_text() == before


def test_a_run_on_a_text_is_overwritten(wavemore: Callable[..., Any], run: str, trained_story: Path) -> None:
    file = str(trained_story / "story.txt")
    assert "already holds a run" in wavemore("train", file, "--run", run).err
    result = wavemore("train", file, "--run", run, "--overwrite", *SMALL, *BLOCKS, "--steps", "2")
    assert result.code == 0


def test_a_text_is_sampled_by_its_length(wavemore: Callable[..., Any], fails: Callable[..., str], run: str) -> None:
    result = wavemore("sample", run, "--length", "70", "--seed", "1", "--prefix", "the cat\n")
    assert result.out.startswith("the cat\n")
    assert len(result.out.removesuffix("\n")) in (77, 78)
    assert wavemore("sample", run, "--length", "70", "--seed", "1", "--prefix", "the cat\n").out == result.out
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
    assert "--length is 0" in fails(2, "sample", run, "--length", "0")
    assert "unknown character 'Q'" in fails(1, "sample", run, "--prefix", "Q")


def test_lines_have_no_length(fails: Callable[..., str], names: str, wavemore: Callable[..., Any]) -> None:
    wavemore("train", names, "--steps", "1", "--fuse", "2", "--hidden", "4")
    assert "--length is for continuous text" in fails(2, "sample", "--length", "5")


def test_a_text_is_evaluated_over_all_its_val_characters(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str, trained_story: Path
) -> None:
    found = json.loads(wavemore("evaluate", run, "--json", "--train").out)
    count = len((trained_story / "story.txt").read_text(encoding="utf-8"))
    assert found["train_targets"] == int(0.8 * count)
    assert found["val_targets"] == count - int(0.8 * count) - (count - int(0.8 * count)) // 2
    assert "leak_free_val_nats" not in found
    assert found["val_nats"] == pytest.approx(json.loads((Path(run) / "summary.json").read_text())["val_nats"])
    found = json.loads(wavemore("evaluate", run, "--json", "--test").out)
    assert found["test_targets"] == (count - int(0.8 * count)) // 2


def test_texts_are_scored_character_by_character(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [found] = json.loads(wavemore("score", run, "the cat\nsat", "--json").out)
    assert [one["character"] for one in found["characters"]] == list("the cat\nsat")
    assert found["percentile_rank"] is None
    rows = wavemore("score", run, "the cat\nsat").out.splitlines()
    assert rows[0].endswith("(⏎ is a line end)")
    assert (rows[1], rows[3]) == ("the cat⏎", "sat")
    assert "an empty text has no score" in fails(2, "score", run, "")


def test_two_runs_on_a_text_are_compared_line_by_line(
    wavemore: Callable[..., Any], fails: Callable[..., str], run: str
) -> None:
    found = json.loads(wavemore("compare", run, "runs/two", "--json").out)
    assert found["overall"]["a"]["mean"] == pytest.approx(
        json.loads((Path(run) / "summary.json").read_text())["val_nats"], abs=0.05
    )
    assert json.loads(wavemore("compare", run, "runs/two", "--split", "test", "--json").out)["split"] == "test"


def test_the_log_says_that_it_is_a_text(wavemore: Callable[..., Any], run: str) -> None:
    assert "story text" in wavemore("log").out


def test_a_report_of_a_text(wavemore: Callable[..., Any], run: str) -> None:
    pytest.importorskip("matplotlib")
    assert wavemore("report", run).code == 0
    [page] = Path().rglob("one.html")
    html = page.read_text(encoding="utf-8")
    assert "text: the first 80 % train" in html
    assert "A passage from the middle of the val text" in html
    assert "800 characters, drawn at temperature 1" in html


def test_a_text_that_has_changed_is_noticed(fails: Callable[..., str], text: str, wavemore: Callable[..., Any]) -> None:
    wavemore("train", text, *SMALL, *BLOCKS, "--run", "r")
    with Path(text).open("a") as file:
        file.write("x")
    assert "is not the file that the run began with" in fails(1, "evaluate", "r")


def test_a_run_on_a_text_is_inspected(wavemore: Callable[..., Any], run: str) -> None:
    result = wavemore("inspect", run)
    assert result.code == 0, result.err
    assert "sees 4 characters" in result.out
    assert "T/4   then: " in result.out
    found = json.loads(wavemore("inspect", run, "--json").out)
    assert (found["receptive_field"], found["context"], found["fuse"]) == (4, 4, [2, 2])
    evaluated = json.loads(wavemore("evaluate", run, "--json").out)
    assert found["losses"]["val_nats"] == pytest.approx(evaluated["val_nats"], abs=0.2)


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
    result = wavemore("inspect", text, "--model", *flags)
    assert result.code == 0, result.err
    assert sees in result.out.splitlines()[0]


def test_all_layers_of_a_wavenet_are_inspected(wavemore: Callable[..., Any], text: str) -> None:
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


def test_models_that_cannot_be_inspected(fails: Callable[..., str], text: str, names: str) -> None:
    assert "an ngram model is a table of counts" in fails(2, "inspect", text, "--model", "ngram")
    assert "sees 8,001 characters" in fails(2, "inspect", text, "--model", "wavenet", "--dilations", "8000")


def test_the_settings_choose_the_model_of_a_text(wavemore: Callable[..., Any], text: str) -> None:
    result = wavemore("train", text, "--channels", "4", "--skip-channels", "4", "--steps", "1", *BLOCKS)
    assert result.code == 0, result.err
    assert re.search(r"^model   wavenet: .* parameters$", result.out, re.M)
    result = wavemore("train", text, "--hidden", "4", "--steps", "1", *BLOCKS)
    assert re.search(r"^model   lstm: embedding 64, hidden 4, .* parameters$", result.out, re.M)


def test_a_small_val_part(wavemore: Callable[..., Any], folder: Path, cache: Path) -> None:
    tiny = ("--channels", "4", "--skip-channels", "4", "--steps", "1", "--format", "text", *BLOCKS)
    Path("short.txt").write_text(prose(300)[:1_500], encoding="utf-8")
    result = wavemore("train", "short.txt", *tiny)
    assert "note    with only 150 val characters the loss is uncertain by 0.12 nats or more; a longer" in result.out
    Path("long.txt").write_text(prose(2_500), encoding="utf-8")
    assert "note " not in wavemore("train", "long.txt", *tiny).out


@pytest.mark.parametrize("model", ["lstm", "gru"])
def test_a_stopped_training_goes_on_with_the_state_of_its_streams(
    model: str, wavemore: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "prose.txt").write_text("it was the best of times, it was the worst of times.\n" * 60)
    words = ["prose.txt", "--format", "text", "--model", model, "--hidden", "8", "--steps", "12", "--threads", "1"]
    assert wavemore("train", *words, "--run", "whole").code == 0

    @contextmanager
    def stop_after_five() -> Iterator[Callable[[], int]]:
        calls = iter([*[0] * 4, *[SIGINT] * 9])
        yield lambda: next(calls)

    with monkeypatch.context() as patch:
        patch.setattr("wavemore.cli.training.interrupts", stop_after_five)
        assert wavemore("train", *words, "--run", "stopped").code == 128 + SIGINT
    shutil.copytree("stopped", "damaged")
    assert "resuming after step 5 of 12" in wavemore("train", "--resume", "stopped").out
    weights = [Path(run, "model.safetensors").read_bytes() for run in ("whole", "stopped")]
    assert weights[0] == weights[1]
    config = Path("damaged", "config.json")
    config.write_text(config.read_text().replace('"sampling": "streams"', '"sampling": "shuffle"'))
    refused = wavemore("train", "--resume", "damaged")
    assert (refused.code, refused.err.count("\n")) == (1, 1)


def test_counting_is_proposed_where_the_time_is_short_for_a_text(
    wavemore: Callable[..., Any], folder: Path, cache: Path
) -> None:
    (folder / "story.txt").write_text(prose(3_000), encoding="utf-8")
    for words, expected in ((("--minutes", "0.1"), True), (("--steps", "2"), False)):
        result = wavemore("train", "story.txt", "--format", "text", "--hidden", "8", "--model", "rnn", *words)
        assert result.code == 0, result.err
        assert ("note    in so short a time, counting may predict this text better: try" in result.out) is expected
