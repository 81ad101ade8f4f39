"""Runs as teachers: found and checked before a student begins, and found to be the same when it goes on.

A teacher that was trained on other lines may know those that the student is judged by, so data and split must agree.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from torch import Tensor

from wavemore.engine.distillation import soft_targets
from wavemore.errors import RunError, UsageError
from wavemore.runs.config import Config, DataConfig, TeacherConfig
from wavemore.runs.find import find_group
from wavemore.runs.entry import model_words, other_data, same_data
from wavemore.runs.memory_check import check_soft_targets_fit
from wavemore.runs.run import Run
from wavemore.text.corpus import Corpus
from wavemore.text.continuous import TextStream


@dataclass(frozen=True, eq=False)
class Lessons:
    """What a student is taught."""

    soft_targets: Tensor
    """(N, V): the mean of the teachers' probabilities before each target of train."""
    seconds: float
    """How long that took."""


def find_teachers(names: Sequence[str], data: DataConfig, student: Path | None = None) -> tuple[TeacherConfig, ...]:
    """The runs that the names mean (runs, experiments, folders of runs), as the student at `student` keeps them.

    Raises `UsageError` for a run of other data or another split, for one that is named twice, and for the student
    itself; `RunError` for one that is missing, damaged or has not ended.
    """
    runs = [run for name in names for run in find_group(name)]
    teachers: dict[Path, TeacherConfig] = {}
    for run in runs:
        path = run.path.resolve()
        if student is not None and path == student.resolve():
            raise UsageError(f"{run.path} cannot be its own teacher: take another --run for the student")
        if path in teachers:
            raise UsageError(f"{run.path} is named twice as a teacher: name it once")
        teachers[path] = _teacher(run, data)
    return tuple(teachers.values())


def check_teachers(config: Config, corpus: Corpus | TextStream) -> None:
    """Raise `RunError` for a teacher that has gone or is not the one that the student began with.

    Raises `UsageError` where the probabilities of any would not fit into memory.
    """
    if not config.recipe.teacher_share:
        return
    check_soft_targets_fit(corpus.train.targets, len(corpus.vocabulary))
    for teacher in config.teachers:
        run = Run(Path(teacher.run))
        if not run.exists():
            raise RunError(f"the teacher {run.path} has gone: put it back, or train another student")
        if _sha256(run) != teacher.sha256:
            raise RunError(
                f"the teacher {run.path} was trained again since: put the old one back, or train another student"
            )


def teach(config: Config, corpus: Corpus | TextStream) -> Lessons | None:
    """Run the teachers that a config names over the train part; None where there is nothing to be taught.

    Raises what `check_teachers` does.
    """
    if not config.teachers or not config.recipe.teacher_share:
        return None
    began = perf_counter()
    check_teachers(config, corpus)
    soft = soft_targets([Run(Path(teacher.run)).model() for teacher in config.teachers], corpus)
    return Lessons(soft, perf_counter() - began)


def _teacher(run: Run, data: DataConfig) -> TeacherConfig:
    config = run.config
    if not same_data(config.data, data):
        difference = "; ".join(other_data(config.data, data))
        raise UsageError(
            f"{run.path} cannot teach here, as it may know lines of val: {difference}; take teachers of the same data "
            "and split"
        )
    summary = run.summary()
    if summary is None:
        raise RunError(f"the teacher {run.path} has not ended; finish it: wavemore train --resume --run {run.path}")
    return TeacherConfig(
        run=str(run.path.absolute()),
        sha256=_sha256(run),
        model=model_words(config),
        train_seconds=summary.total_seconds,
    )


def _sha256(run: Run) -> str:
    """Of the weights."""
    path = run.path / "model.safetensors"
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise RunError(f"cannot read the teacher's weights {path}: {error.strerror}") from None
