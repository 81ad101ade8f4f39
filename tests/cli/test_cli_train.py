import json
import os
import re
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.layout import FILES
from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1", "--steps", "20")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_the_output_of_a_training(wavemore: Any, names: str, folder: Path) -> None:
    result = wavemore("train", names, *TINY, "--batch-size", "16", "--steps", "20", "--num-evals", "4")
    assert result.code == 0
    assert result.err == ""
    assert "\x1b" not in result.out
    assert "data    names: 45 lines (all distinct), " in result.out
    assert "split   distinct, seed 0: 37 train, 4 val, 4 test lines\n" in result.out
    assert "fuse 2 2, embedding 4, hidden 8" in result.out
    assert "= 20 steps of 16 characters" in result.out
    assert "run     runs/names-1\n" in result.out
    progress = re.findall(r"^step +(\d+) of 20  train \d\.\d{4}  val \d\.\d{4}.* chars/s .* left$", result.out, re.M)
    assert progress == ["5", "10", "15", "20"]
    assert re.search(r"^train  \d\.\d{4} nats \(\d\.\d{3} bits\) per character\nval    \d", result.out, re.M)
    assert re.search(r"; best checkpoint: step \d+ of 20$", result.out, re.M)
    assert len(re.findall(r"^  .*  (?:new|known)$", result.out, re.M)) == 10
    assert "next:\n  wavemore sample runs/names-1\n  wavemore score runs/names-1 " in result.out
    assert {path.name for path in (folder / "runs" / "names-1").iterdir()} == {*FILES, "lock"} - {
        "failed.json",
        "initial.safetensors",
        "test.safetensors",
    }
    assert not list(folder.rglob("*.tmp"))


def test_the_printed_summary_is_the_stored_one(wavemore: Any, names: str) -> None:
    result = wavemore("train", names, *TINY, "--json", "--note", "first")
    summary = json.loads(result.out)
    assert "step" in result.err
    stored = Run(Path("runs/names-1")).summary()
    assert stored is not None
    assert summary["run"] == "runs/names-1"
    assert summary["val_nats"] == stored.val_nats
    assert summary["leak_free_val_nats"] == stored.val_nats
    assert summary["steps"] == 20
    assert summary["best_step"] <= 20
    assert len(Path("runs/names-1/samples.txt").read_text(encoding="utf-8").splitlines()) == 10
    config = Run(Path("runs/names-1")).config
    assert config.note == "first"
    assert config.command == ("wavemore", "train", names, *TINY, "--json", "--note", "first")
    assert config.data.source == str(Path(names).absolute())


def test_a_data_set_is_stored_by_its_name(wavemore: Any) -> None:
    assert wavemore("train", *TINY, "--steps", "2").code == 0
    assert Run(Path("runs/names-1")).config.data.source == "names"
    assert json.loads(wavemore("evaluate", "--json").out)["val_nats"] > 0


def test_each_run_gets_its_own_name(wavemore: Any, names: str, folder: Path) -> None:
    for _ in range(2):
        assert wavemore("train", names, *TINY).code == 0
    assert sorted(path.name for path in (folder / "runs").iterdir()) == ["names-1", "names-2"]
    one, other = (content(Path("runs") / name) for name in ("names-1", "names-2"))
    assert one["model.safetensors"] == other["model.safetensors"]
    assert one["state.safetensors"] == other["state.safetensors"]
    assert one["samples.txt"] == other["samples.txt"]


@pytest.mark.parametrize(
    "lines",
    [
        ["αβγ", "αγβ", "ωμέγα", "άλφα"],
        ["天地玄黄", "宇宙洪荒", "日月", "辰宿列张"],
        ["👍🏽x", "👨‍👩‍👧", "e\u0301e", "❤️🇩🇪"],
        ["[bold]a[/bold]", "[red] b", ":smile: c", "\\[x"],
        ["a\tb", "a\x1b[31mb", "a\x85b", "a\u2028b"],
        ["-a", "--b", "'c d'", '"e"'],
    ],
)
def test_any_characters_are_data(wavemore: Any, folder: Path, lines: list[str]) -> None:
    listed = [line + str(number) for number in range(12) for line in lines]
    (folder / "list.txt").write_bytes("".join(line + "\n" for line in listed).encode())
    result = wavemore("train", "list.txt", *TINY)
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "😄" not in result.out
    rows = json.loads(wavemore("score", "--json", "--", *listed).out)
    assert [row["text"] for row in rows] == [unicodedata.normalize("NFC", line) for line in listed]
    ranked, printed = wavemore("score", "--", *listed).out, wavemore("score", "--", *listed[:4]).out
    assert "\x1b" not in ranked + printed
    if "[red]" in lines[1]:
        assert "[red] b0⏎" in printed
        assert ":smile: c0⏎" in printed
        assert "[red] b0 " in ranked
    sampled = wavemore("sample", "-n", "5", "--seed", "0")
    assert sampled.code == 0
    assert wavemore("log").out.count("\n") == 2


def test_an_existing_run_is_never_overwritten_by_default(wavemore: Any, fails: Callable[..., str], names: str) -> None:
    wavemore("train", names, "--run", "mine", *TINY)
    before = content(Path("mine"))
    message = fails(1, "train", names, "--run", "mine", *TINY, "--seed", "1")
    assert "mine already holds a run: continue it with --resume, replace it with --overwrite, or choose" in message
    fails(1, "train", "nothing.txt", "--run", "mine", "--overwrite")
    fails(2, "train", names, "--run", "mine", "--overwrite", "--batch-size", "1")
    assert content(Path("mine")) == before
    assert wavemore("train", names, "--run", "mine", *TINY, "--seed", "1", "--overwrite").code == 0
    assert content(Path("mine"))["model.safetensors"] != before["model.safetensors"]


def test_overwriting_a_run_leaves_other_files_alone(names: str, wavemore: Callable[..., Any]) -> None:
    assert wavemore("train", names, "--run", "mine", *TINY, "--steps", "3").code == 0
    Path("mine/notes.txt").write_text("mine")
    assert wavemore("train", names, "--run", "mine", *TINY, "--steps", "4", "--overwrite").code == 0
    assert Run(Path("mine")).summary().steps == 4  # type: ignore[union-attr]
    assert Path("mine/notes.txt").read_text() == "mine"


def test_a_folder_that_is_no_run_is_never_overwritten(fails: Callable[..., str], names: str, folder: Path) -> None:
    (folder / "mine").mkdir()
    for name in ("config.json", "samples.txt", "notes.md"):
        (folder / "mine" / name).write_text("mine")
    before = content(folder / "mine")
    assert "mine is neither a run nor an empty folder: choose another" in fails(1, "train", names, "--run", "mine")
    for flags in ([], ["--overwrite"]):
        fails(1, "train", names, "--run", "mine", *TINY, *flags)
        fails(1, "train", names, "--run", names, *TINY, *flags)
        fails(1, "train", names, "--run", f"{names}/run", *TINY, *flags)
    fails(1, "train", "--resume", "mine")
    assert content(folder / "mine") == before
    assert "names.txt is neither a run nor an empty folder: choose another" in fails(1, "train", names, "--run", names)


def test_a_folder_that_cannot_be_written(fails: Callable[..., str], names: str, folder: Path) -> None:
    if Path("/proc/self").exists():
        assert "cannot create the run folder /proc/mine" in fails(1, "train", names, "--run", "/proc/mine", *TINY)
    (folder / "locked").mkdir(mode=0o500)
    if not os.access(folder / "locked", os.W_OK):  # root writes everywhere
        assert "locked" in fails(1, "train", names, "--run", "locked/mine", *TINY)
    (folder / "runs").write_text("no folder")
    assert "cannot create the run folder runs/names-1: Not a directory" in fails(1, "train", names, *TINY)


def test_a_finished_run_is_not_resumed(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    before = content(run)
    result = wavemore("train", "--resume", "done")
    assert result.code == 0
    assert re.fullmatch(r"runs/done is finished \(muon, 40 steps of 8; val .* per character\)\n", result.out)
    assert json.loads(wavemore("train", "--resume", "--json").out)["steps"] == 40
    assert "runs/done is finished; leave --tensorboard out" in fails(2, "train", "--resume", "--tensorboard")
    assert content(run) == before


@pytest.fixture
def stopped(run: Path) -> Path:
    """A run without its summary, so that it can be resumed."""
    (run / "summary.json").unlink()
    return run


@pytest.mark.parametrize(
    "flags", ["--steps 40", "--split-seed=0", "--note x", "--run runs/done", "--overwrite", "--teachers runs/done"]
)
def test_a_resumed_run_takes_no_settings(fails: Callable[..., str], stopped: Path, flags: str) -> None:
    before = content(stopped)
    flag = flags.split()[0].split("=")[0]
    for words in (["--resume"], ["--resume", "runs/done"]):
        message = fails(2, "train", *words, *flags.split())
        assert f"--resume continues a run with its own settings; leave {flag} out, or train a new run" in message
    assert content(stopped) == before


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 1, "there is no run yet: `wavemore train` makes one"),
        (["mine"], 1, "there is no run 'mine'"),
        (["names.txt"], 2, "--resume continues a run, and names.txt is a file"),
    ],
)
def test_without_a_run_there_is_nothing_to_resume(
    fails: Callable[..., str], names: str, words: list[str], code: int, message: str
) -> None:
    assert message in fails(code, "train", "--resume", *words)


@pytest.mark.parametrize(
    ("tamper", "message"),
    [
        (lambda run: (run / "state.safetensors").write_bytes(b"{" * 99), "state.safetensors is damaged or was changed"),
        (
            lambda run: shutil.copy(run / "model.safetensors", run / "state.safetensors"),
            "state.safetensors does not fit config.json and vocabulary.json: averaged.",
        ),
        (lambda run: (run / "config.json").write_text(""), "config.json is damaged or was changed"),
        (lambda run: (run / "config.json").unlink(), "is incomplete (it has no config.json)"),
        (lambda run: (run / "vocabulary.json").unlink(), "vocabulary.json is missing: put it back"),
        (lambda run: (run / "summary.json").write_text("{}"), "summary.json is damaged or was changed"),
    ],
)
def test_resume_of_a_damaged_run(
    fails: Callable[..., str], stopped: Path, tamper: Callable[[Path], object], message: str
) -> None:
    tamper(stopped)
    before = content(stopped)
    assert message in fails(1, "train", "--resume", str(stopped))
    assert content(stopped) == before


def test_resume_without_a_checkpoint_starts_again(wavemore: Any, stopped: Path) -> None:
    before = content(stopped)
    (stopped / "state.safetensors").unlink()
    (stopped / "metrics.jsonl").write_text('{"step": "x"}\nnonsense\n')
    assert wavemore("train", "--resume").code == 0
    assert content(stopped)["model.safetensors"] == before["model.safetensors"]
    assert content(stopped)["state.safetensors"] == before["state.safetensors"]


def test_a_loss_that_is_not_finite_stops_the_training(fails: Callable[..., str], wavemore: Any, names: str) -> None:
    words = ["train", names, *TINY, "--learning-rate", "1e30", "--norm", "none", "--activation", "relu"]
    result = wavemore(*words, "--num-evals", "1")
    assert result.code == 1
    assert re.fullmatch(
        r"wavemore: the (val )?loss is (nan|inf) at step \d+; a --learning-rate lower than .*\n", result.err
    )
    assert result.err.endswith("no model, only the settings, is in runs/names-1\n")
    assert "runs/names-1 has no model, as its training failed: the " in fails(1, "sample")
    assert "runs/names-1 has failed, and would fail again: the " in fails(1, "train", "--resume")
    assert "failed: the " in wavemore("log", "--runs").out
