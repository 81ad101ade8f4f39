"""Distillation through the commands: a student is a run like any other."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")
LONG = (*TINY, "--steps", "3000", "--batch-size", "16", "--num-evals", "30")


def weights(path: str | Path) -> bytes:
    return (Path(path) / "model.safetensors").read_bytes()


@pytest.fixture
def teachers(run: Path, names: str, wavemore: Any) -> Path:
    """Two runs of different kinds in a folder."""
    shutil.move(run, "teachers/tree")
    assert wavemore("train", names, "--model", "ngram", "--run", "teachers/counts").code == 0
    return Path("teachers")


@pytest.fixture
def student(teachers: Path, names: str, wavemore: Any) -> Path:
    result = wavemore(
        "train", names, *TINY, "--steps", "40", "--num-evals", "4", "--run", "mine", "--teachers", teachers
    )
    assert result.code == 0
    return Path("mine")


def test_a_student_is_a_run_like_any_other(student: Path, wavemore: Any, names: str) -> None:
    config, summary = Run(student).config, Run(student).summary()
    assert config.recipe.distill_weight == 0.5
    assert [Path(teacher.run).name for teacher in config.teachers] == ["tree", "counts"]
    assert [teacher.model for teacher in config.teachers] == ["tree 2x2 4/8 muon", "ngram order 5"]
    assert summary is not None
    alone = [Run(Path(teacher.run)).summary() for teacher in config.teachers]
    assert summary.teachers_train_seconds == pytest.approx(sum(s.train_seconds for s in alone if s), abs=1e-3)
    for record in Run(student).metrics():
        assert record["distill_nats"] != record["train_nats"]
    assert wavemore("sample", "mine").code == 0
    assert wavemore("score", "mine", "anna").code == 0
    assert wavemore("inspect", "mine").code == 0
    losses = json.loads(wavemore("evaluate", "mine", "--ensemble", "teachers/tree", "--json").out)
    assert losses["val_nats"] > 0
    assert json.loads(wavemore("evaluate", "mine", "--json").out)["val_nats"] == pytest.approx(summary.val_nats)
    assert wavemore("train", names, *TINY, "--steps", "40", "--num-evals", "4", "--run", "plain").code == 0
    changes = "distill weight 0.0 → 0.5, teachers none → 1 x ngram order 5 and 1 x tree 2x2 4/8 muon"
    assert f"B differs in: {changes}" in wavemore("compare", "plain", "mine").out
    rows = json.loads(wavemore("log", "plain", "mine", "--json").out)
    assert len(rows) == 2  # not seeds of one thing
    assert rows[1]["train_seconds"] == pytest.approx(summary.total_seconds)
    assert wavemore("report", "mine", "-o", "page.html").code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "training of the teachers" in page
    assert "counts (ngram order 5)" in page
    assert wavemore("report", "plain", "-o", "page.html").code == 0
    assert "distill weight" not in Path("page.html").read_text(encoding="utf-8")


def test_the_output_shows_the_teachers_and_both_losses(teachers: Path, wavemore: Any, names: str) -> None:
    result = wavemore("train", names, *TINY, "--steps", "9", "--teachers", "teachers/tree", "--distill-weight", "0.75")
    assert "distill from 1 x tree 2x2 4/8 muon, weight 0.75; training the teachers took " in result.out
    first = next(line for line in result.out.splitlines() if line.startswith("step"))
    assert first.index("train") < first.index("distill") < first.index("val")
    summary = json.loads(wavemore("train", names, *TINY, "--teachers", "teachers", "--json", "--steps", "5").out)
    assert summary["teachers_train_seconds"] > 0
    assert json.loads(wavemore("train", names, *TINY, "--json", "--steps", "5").out)["teachers_train_seconds"] is None


def test_a_weight_of_0_is_bit_identical_to_no_teachers(teachers: Path, wavemore: Any, names: str) -> None:
    flags = ("train", names, *TINY, "--steps", "40")
    assert wavemore(*flags, "--run", "plain").code == 0
    assert wavemore(*flags, "--run", "none", "--teachers", "teachers", "--distill-weight", "0").code == 0
    plain, none = (Run(Path(name)) for name in ("plain", "none"))
    assert all((plain.model().state_dict()[k] == v).all() for k, v in none.model().state_dict().items())
    assert [r["train_nats"] for r in plain.metrics()] == [r["train_nats"] for r in none.metrics()]


@pytest.mark.slow
def test_a_stopped_student_ends_with_the_same_bits(teachers: Path, program: Any, names: str, wavemore: Any) -> None:
    assert wavemore("train", names, *LONG, "--run", "whole", "--teachers", "teachers").code == 0
    process = program.start("train", names, *LONG, "--run", "mine", "--teachers", "teachers")
    assert any(line.startswith("step") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped after step " in out
    result = wavemore("train", "--resume", "mine")
    assert "resuming after step " in result.out
    assert result.code == 0
    assert weights("mine") == weights("whole")
    whole, mine = (Run(Path(name)).metrics() for name in ("whole", "mine"))
    assert [(r["step"], r["train_nats"], r["distill_nats"]) for r in mine] == [
        (r["step"], r["train_nats"], r["distill_nats"]) for r in whole
    ]


def test_changed_and_missing_teachers(student: Path, fails: Callable[..., str], wavemore: Any) -> None:
    (student / "summary.json").unlink()
    resume = ("train", "--resume", "mine")
    assert wavemore(*resume).code == 0
    (student / "summary.json").unlink()
    kept = weights("teachers/tree")
    Path("teachers/tree/model.safetensors").write_bytes(kept[:-1] + b"\1")
    assert "teachers/tree has changed: put the old one back, or train another" in fails(1, *resume)
    shutil.move("teachers/tree", "elsewhere")
    assert "teachers/tree is missing: put it back, or train another student" in fails(1, *resume)


@pytest.mark.parametrize(
    ("code", "flags", "message"),
    [
        (
            2,
            "--teachers teachers --split-seed 1",
            "val lines (split distinct, seed 0 and distinct, seed 1): choose teachers",
        ),
        (
            2,
            "--teachers teachers --split-method lecture",
            "val lines (split distinct, seed 0 and lecture): choose teachers",
        ),
        (2, "--teachers teachers teachers/tree", "teachers/tree is named twice as a teacher: name it once"),
        (2, "--teachers teachers/tree --run teachers/tree --overwrite", "teachers/tree cannot be its own teacher"),
        (2, "--teachers teachers --distill-weight 2", "--distill-weight is 2.0; it must be between 0 and 1"),
        (2, "--teachers teachers --model ngram", "an ngram is counted, not trained, so it cannot have teachers"),
        (1, "--teachers nobody", "there is no run 'nobody'"),
        (
            1,
            "--teachers stopped",
            "the teacher stopped is unfinished",
        ),
    ],
)
def test_runs_that_cannot_be_teachers(
    code: int, flags: str, message: str, teachers: Path, fails: Callable[..., str], names: str
) -> None:
    shutil.copytree("teachers/tree", "stopped")
    Path("stopped/summary.json").unlink()
    before = weights("teachers/tree")
    run = [] if "--run" in flags else ["--run", "mine"]
    assert message in fails(code, "train", names, *flags.split(), *run)
    assert weights("teachers/tree") == before
    assert not Path("mine").exists()


def test_other_data_cannot_teach(teachers: Path, fails: Callable[..., str], names: str) -> None:
    Path("other.txt").write_text(Path(names).read_text(encoding="utf-8") + "anton\n", encoding="utf-8")
    message = fails(2, "train", "other.txt", "--teachers", "teachers/tree")
    assert "data names (" in message


def test_teachers_of_other_kinds_on_a_text(wavemore: Any, folder: Path) -> None:
    Path("text.txt").write_text("the cat sat on the mat,\nand the rat sat on the cat.\n" * 40, encoding="utf-8")
    text = ("train", "text.txt", "--format", "text", "--threads", "1")
    assert wavemore(*text, "--model", "ngram", "--run", "teachers/1").code == 0
    assert wavemore(*text, "--model", "wavenet", "--steps", "3", "--channels", "4", "--run", "teachers/2").code == 0
    result = wavemore(*text, "--steps", "3", "--hidden", "8", "--run", "mine", "--teachers", "teachers")
    assert result.code == 0
    assert "distill from 1 x ngram order 7 and 1 x wavenet" in result.out
