"""Distillation by the real commands: a student is a run like any other, and its teachers are found, checked, kept."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")
LONG = (*TINY, "--steps", "3000", "--batch-size", "16", "--evaluations", "30")


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
    said = wavemore(
        "train", names, *TINY, "--steps", "40", "--evaluations", "4", "--run", "mine", "--teachers", teachers
    )
    assert said.code == 0
    return Path("mine")


def test_a_student_is_a_run_like_any_other(student: Path, wavemore: Any, names: str) -> None:
    config, summary = Run(student).config, Run(student).summary()
    assert config.recipe.teacher_share == 0.5
    assert [Path(teacher.run).name for teacher in config.teachers] == ["tree", "counts"]
    assert [teacher.model for teacher in config.teachers] == ["tree 2x2 4/8 muon", "ngram n 5"]
    assert summary is not None
    alone = [Run(Path(teacher.run)).summary() for teacher in config.teachers]
    assert summary.teachers_train_seconds == pytest.approx(sum(s.train_seconds for s in alone if s), abs=1e-3)
    for record in Run(student).metrics():
        assert record["taught_nats"] != record["train_nats"]
    assert wavemore("sample", "mine").code == 0
    assert wavemore("score", "mine", "anna").code == 0
    assert wavemore("inspect", "mine").code == 0
    losses = json.loads(wavemore("evaluate", "mine", "--with", "teachers/tree", "--json").out)
    assert losses["val_nats"] > 0
    assert json.loads(wavemore("evaluate", "mine", "--json").out)["val_nats"] == pytest.approx(summary.val_nats)
    assert wavemore("train", names, *TINY, "--steps", "40", "--evaluations", "4", "--run", "plain").code == 0
    said = wavemore("compare", "plain", "mine").out
    assert "B differs in: teacher share 0.0 → 0.5, teachers none → 1 x ngram n 5 and 1 x tree 2x2 4/8 muon" in said
    rows = json.loads(wavemore("log", "plain", "mine", "--json").out)
    assert len(rows) == 2  # not seeds of one thing
    assert rows[1]["train_seconds"] == pytest.approx(summary.total_seconds)
    assert wavemore("report", "mine", "-o", "page.html").code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "training of the teachers" in page
    assert "counts (ngram n 5)" in page
    assert wavemore("report", "plain", "-o", "page.html").code == 0
    assert "teacher share" not in Path("page.html").read_text(encoding="utf-8")


def test_a_training_says_who_teaches_and_what_is_made_lower(teachers: Path, wavemore: Any, names: str) -> None:
    said = wavemore("train", names, *TINY, "--steps", "9", "--teachers", "teachers/tree", "--teacher-share", "0.75")
    assert "taught  by 1 x tree 2x2 4/8 muon, 75 % of each target; they were trained for " in said.out
    first = next(line for line in said.out.splitlines() if line.startswith("step"))
    assert first.index("train") < first.index("taught") < first.index("val")
    taught = json.loads(wavemore("train", names, *TINY, "--teachers", "teachers", "--json", "--steps", "5").out)
    assert taught["teachers_train_seconds"] > 0
    assert json.loads(wavemore("train", names, *TINY, "--json", "--steps", "5").out)["teachers_train_seconds"] is None


def test_a_share_of_0_is_no_teaching_to_the_bit(teachers: Path, wavemore: Any, names: str) -> None:
    flags = ("train", names, *TINY, "--steps", "40")
    assert wavemore(*flags, "--run", "plain").code == 0
    assert wavemore(*flags, "--run", "none", "--teachers", "teachers", "--teacher-share", "0").code == 0
    plain, none = (Run(Path(name)) for name in ("plain", "none"))
    assert all((plain.model().state_dict()[k] == v).all() for k, v in none.model().state_dict().items())
    assert [r["train_nats"] for r in plain.metrics()] == [r["train_nats"] for r in none.metrics()]


def test_a_stopped_student_ends_with_the_same_bits(teachers: Path, program: Any, names: str, wavemore: Any) -> None:
    assert wavemore("train", names, *LONG, "--run", "whole", "--teachers", "teachers").code == 0
    process = program.start("train", names, *LONG, "--run", "mine", "--teachers", "teachers")
    assert any(line.startswith("step") for line in process.stdout)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "stopped after step " in out
    said = wavemore("train", "--resume", "--run", "mine", "--teachers", "teachers")
    assert "resuming after step " in said.out
    assert said.code == 0
    assert weights("mine") == weights("whole")
    whole, mine = (Run(Path(name)).metrics() for name in ("whole", "mine"))
    assert [(r["step"], r["train_nats"], r["taught_nats"]) for r in mine] == [
        (r["step"], r["train_nats"], r["taught_nats"]) for r in whole
    ]


def test_teachers_that_changed_or_have_gone_are_missed(student: Path, fails: Callable[..., str], wavemore: Any) -> None:
    (student / "summary.json").unlink()
    resume = ("train", "--resume", "--run", "mine")
    assert wavemore(*resume).code == 0
    (student / "summary.json").unlink()
    kept = weights("teachers/tree")
    assert "this run has teachers /" in fails(2, *resume, "--teachers", "teachers/tree")
    assert "this run has teacher-share 0.5, not 0.7" in fails(2, *resume, "--teacher-share", "0.7")
    Path("teachers/tree/model.safetensors").write_bytes(kept[:-1] + b"\1")
    assert "teachers/tree was trained again since: put the old one back, or train another" in fails(1, *resume)
    shutil.move("teachers/tree", "elsewhere")
    assert "teachers/tree has gone: put it back, or train another student" in fails(1, *resume)


@pytest.mark.parametrize(
    ("code", "flags", "said"),
    [
        (2, "--teachers teachers --split-seed 1", "cannot teach here, as it may know lines of val: split seed 0 and 1"),
        (
            2,
            "--teachers teachers --split lecture",
            "may know lines of val: split distinct and lecture; take teachers of",
        ),
        (2, "--teachers teachers teachers/tree", "teachers/tree is named twice as a teacher: name it once"),
        (2, "--teachers teachers/tree --run teachers/tree --overwrite", "teachers/tree cannot be its own teacher"),
        (2, "--teacher-share 0.5", "--teacher-share 0.5 is for a student: say with --teachers which runs teach it"),
        (2, "--teachers teachers --teacher-share 2", "teacher_share is 2.0; it is a share of the targets"),
        (2, "--teachers teachers --model ngram", "an ngram is counted in one pass and takes no teachers"),
        (2, "--teachers", "--teachers needs a run or more that teach: name them, or leave it out"),
        (1, "--teachers nobody", "there is no run 'nobody'"),
        (
            1,
            "--teachers stopped",
            "the teacher stopped has not ended; finish it: wavemore train --resume --run stopped",
        ),
    ],
)
def test_what_cannot_teach_is_said_in_a_line(
    code: int, flags: str, said: str, teachers: Path, fails: Callable[..., str], names: str
) -> None:
    shutil.copytree("teachers/tree", "stopped")
    Path("stopped/summary.json").unlink()
    before = weights("teachers/tree")
    run = [] if "--run" in flags else ["--run", "mine"]
    assert said in fails(code, "train", names, *flags.split(), *run)
    assert weights("teachers/tree") == before
    assert not Path("mine").exists()


def test_other_data_cannot_teach(teachers: Path, fails: Callable[..., str], names: str) -> None:
    Path("other.txt").write_text(Path(names).read_text(encoding="utf-8") + "anton\n", encoding="utf-8")
    said = fails(2, "train", "other.txt", "--teachers", "teachers/tree")
    assert "cannot teach here, as it may know lines of val: data names (" in said


def test_a_text_is_taught_by_other_kinds(wavemore: Any, folder: Path) -> None:
    Path("text.txt").write_text("the cat sat on the mat,\nand the rat sat on the cat.\n" * 40, encoding="utf-8")
    text = ("train", "text.txt", "--text", "stream", "--threads", "1")
    assert wavemore(*text, "--model", "ngram", "--run", "teachers/1").code == 0
    assert wavemore(*text, "--model", "wavenet", "--steps", "3", "--channels", "4", "--run", "teachers/2").code == 0
    said = wavemore(*text, "--steps", "3", "--hidden", "8", "--run", "mine", "--teachers", "teachers")
    assert said.code == 0
    assert "taught  by 1 x ngram n 7 and 1 x wavenet" in said.out
