import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.run import FILES, Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1", "--steps", "20")


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def test_a_training_says_what_it_does(wavemore: Any, names: str, folder: Path) -> None:
    said = wavemore("train", names, *TINY, "--batch-size", "16", "--steps", "20", "--evaluations", "4")
    assert said.code == 0
    assert said.err == ""
    assert "\x1b" not in said.out
    assert "data    names: 45 lines (all distinct), " in said.out
    assert "split   distinct: 37 train, 4 val, 4 test lines\n" in said.out
    assert "4 characters fused 2 x 2, embedding 4, hidden 8" in said.out
    assert "= 20 steps of 16 characters" in said.out
    assert "run     runs/names-1\n" in said.out
    progress = re.findall(r"^step +(\d+) of 20  train \d\.\d{4}  val \d\.\d{4}.* chars/s .* left$", said.out, re.M)
    assert progress == ["5", "10", "15", "20"]
    assert re.search(r"^train  \d\.\d{4} nats \(\d\.\d{3} bits\) a character\nval    \d", said.out, re.M)
    assert len(re.findall(r"^  .*  (?:new|known)$", said.out, re.M)) == 10
    assert "next:\n  wavemore sample runs/names-1 -n 20 --new --distinct\n  wavemore score runs/names-1 " in said.out
    assert {path.name for path in (folder / "runs" / "names-1").iterdir()} == {*FILES, "lock"}
    assert not list(folder.rglob("*.tmp"))


def test_what_is_printed_and_what_is_kept_is_the_same(wavemore: Any, names: str) -> None:
    said = wavemore("train", names, *TINY, "--json", "--note", "first")
    summary = json.loads(said.out)
    assert "step" in said.err
    kept = Run(Path("runs/names-1")).summary()
    assert kept is not None
    assert summary["run"] == "runs/names-1"
    assert summary["val_nats"] == kept.val_nats
    assert summary["leak_free_val_nats"] == kept.val_nats
    assert summary["steps"] == 20
    assert summary["best_step"] <= 20
    assert len(Path("runs/names-1/samples.txt").read_text(encoding="utf-8").splitlines()) == 10
    config = Run(Path("runs/names-1")).config
    assert config.note == "first"
    assert config.data.source == str(Path(names).absolute())


def test_the_bundled_names_are_kept_by_their_name(wavemore: Any) -> None:
    assert wavemore("train", *TINY, "--steps", "2").code == 0
    assert Run(Path("runs/names-1")).config.data.source == "names"
    assert json.loads(wavemore("evaluate", "--json").out)["val_nats"] > 0


def test_runs_get_names_of_their_own(wavemore: Any, names: str, folder: Path) -> None:
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
    said = wavemore("train", "list.txt", *TINY)
    assert said.code == 0
    assert "\x1b" not in said.out
    assert "😄" not in said.out
    done = json.loads(wavemore("score", "--json", "--", *listed).out)
    assert [row["text"] for row in done] == listed
    printed = wavemore("score", "--", *listed).out
    assert "\x1b" not in printed
    if "[red]" in lines[1]:
        assert "[red] b0⏎" in printed
        assert ":smile: c0⏎" in printed
    sampled = wavemore("sample", "-n", "5", "--seed", "0")
    assert sampled.code == 0
    assert wavemore("log").out.count("\n") == 2


def test_an_existing_run_is_never_overwritten_unasked(wavemore: Any, fails: Callable[..., str], names: str) -> None:
    wavemore("train", names, "--run", "mine", *TINY)
    before = content(Path("mine"))
    said = fails(1, "train", names, "--run", "mine", *TINY, "--seed", "1")
    assert "mine holds a run already: go on with --resume, replace it with --overwrite, or take another --run" in said
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


def test_what_is_no_run_is_never_overwritten(fails: Callable[..., str], names: str, folder: Path) -> None:
    (folder / "mine").mkdir()
    for name in ("config.json", "samples.txt", "notes.md"):
        (folder / "mine" / name).write_text("mine")
    before = content(folder / "mine")
    assert "mine is not empty and holds no run: take another --run" in fails(1, "train", names, "--run", "mine")
    for flags in ([], ["--overwrite"], ["--resume"]):
        fails(1, "train", names, "--run", "mine", *TINY, *flags)
        fails(1, "train", names, "--run", names, *TINY, *flags)
        fails(1, "train", names, "--run", f"{names}/run", *TINY, *flags)
    assert content(folder / "mine") == before
    assert "is a file; a run is a folder: take another --run" in fails(1, "train", names, "--run", names)


def test_a_run_that_cannot_be_written_is_told(fails: Callable[..., str], names: str, folder: Path) -> None:
    if Path("/proc/self").exists():
        assert "cannot make the run folder /proc/mine" in fails(1, "train", names, "--run", "/proc/mine", *TINY)
    (folder / "locked").mkdir(mode=0o500)
    if not os.access(folder / "locked", os.W_OK):  # root writes everywhere
        assert "locked" in fails(1, "train", names, "--run", "locked/mine", *TINY)
    (folder / "runs").write_text("no folder")
    assert "cannot make the run folder runs/names-1: Not a directory" in fails(1, "train", names, *TINY)


def test_a_finished_run_has_nothing_to_resume(wavemore: Any, run: Path) -> None:
    before = content(run)
    said = wavemore("train", "--resume", "--run", str(run))
    assert said.code == 0
    assert "runs/done is finished (40 steps, val " in said.out
    assert said.out.endswith("nothing to resume\n")
    assert json.loads(wavemore("train", "--resume", "--json").out)["steps"] == 40
    assert content(run) == before


def test_resume_begins_what_was_not_begun(wavemore: Any, names: str, folder: Path) -> None:
    assert wavemore("train", names, "--resume", *TINY).code == 0
    assert (folder / "runs" / "names-1" / "summary.json").exists()
    assert wavemore("train", names, "--resume", "--run", "mine", *TINY).code == 0
    assert content(Path("mine"))["model.safetensors"] == content(Path("runs/names-1"))["model.safetensors"]


@pytest.fixture
def stopped(run: Path) -> Path:
    """A run whose end was not written, so that it can be resumed."""
    (run / "summary.json").unlink()
    return run


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--hidden 9", "this run has hidden 8, not 9: leave --hidden out to resume it, or train another --run"),
        ("--fuse 2 2 2", "this run has fuse 2 2, not 2 2 2"),
        ("--context 8", "this run has fuse 2 2, not 2 2 2"),
        ("--steps 50", "this run has steps 40, not 50"),
        ("--epochs 30", "this run has steps 40, not"),
        ("--seed 1", "this run has seed 0, not 1"),
        ("--split lecture", "this run has split distinct, not lecture"),
        ("--split-seed 1", "this run has split-seed 0, not 1"),
        ("--encoding latin-1", "this run has encoding utf-8, not latin-1"),
        ("--threads 2", "this run has threads 1, not 2"),
        ("--recipe lecture", "this run has "),
        ("other.txt", "this run was trained on "),
        ("makemore-names", "not makemore-names: leave the data out to resume it"),
    ],
)
def test_resume_refuses_what_contradicts(fails: Callable[..., str], stopped: Path, flags: str, said: str) -> None:
    before = content(stopped)
    assert said in fails(2, "train", *flags.split(), "--resume")
    assert content(stopped) == before


def test_resume_takes_what_agrees(wavemore: Any, stopped: Path) -> None:
    data = Run(stopped).config.data.source
    said = wavemore(
        "train", data, "--resume", "--hidden", "8", "--context", "4", "--steps", "40", "--split", "distinct"
    )
    assert said.code == 0
    assert "resuming after step 40 of 40" in said.out
    assert (stopped / "summary.json").exists()


@pytest.mark.parametrize(
    ("tamper", "said"),
    [
        (lambda run: (run / "state.safetensors").write_bytes(b"{" * 99), "state.safetensors is damaged or was changed"),
        (
            lambda run: shutil.copy(run / "model.safetensors", run / "state.safetensors"),
            "state.safetensors does not belong to this run",
        ),
        (lambda run: (run / "config.json").write_text(""), "config.json is damaged or was changed"),
        (lambda run: (run / "config.json").unlink(), "holds a run without its config.json: put that back"),
        (lambda run: (run / "vocabulary.json").unlink(), "vocabulary.json cannot be read: No such file"),
        (lambda run: (run / "summary.json").write_text("{}"), "summary.json is damaged or was changed"),
    ],
)
def test_resume_of_a_damaged_run(
    fails: Callable[..., str], stopped: Path, tamper: Callable[[Path], object], said: str
) -> None:
    tamper(stopped)
    before = content(stopped)
    assert said in fails(1, "train", "--resume", "--run", str(stopped))
    assert content(stopped) == before


def test_resume_without_a_state_begins_again(wavemore: Any, stopped: Path) -> None:
    before = content(stopped)
    (stopped / "state.safetensors").unlink()
    (stopped / "metrics.jsonl").write_text('{"step": "x"}\nnonsense\n')
    assert wavemore("train", "--resume").code == 0
    assert content(stopped)["model.safetensors"] == before["model.safetensors"]
    assert content(stopped)["state.safetensors"] == before["state.safetensors"]


def test_a_loss_that_is_no_number_stops_the_training(fails: Callable[..., str], wavemore: Any, names: str) -> None:
    words = ["train", names, *TINY, "--learning-rate", "1e30", "--norm", "none", "--activation", "relu"]
    said = wavemore(*words, "--evaluations", "1")
    assert said.code == 1
    assert re.fullmatch(r"wavemore: the (val )?loss is (nan|inf) at step \d+; a lower --learning-rate .*\n", said.err)
    assert said.err.endswith("no model, only the settings, is in runs/names-1\n")
    assert "stopped before its first evaluation" in fails(1, "sample")
