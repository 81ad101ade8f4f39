"""Runs as teachers: found and checked before a student's training begins, and checked again when it resumes.

A teacher that was trained on another split may know the student's val lines, so data and split must be the same.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from shutil import copyfile

from torch import Tensor

from wavemore.engine.distillation import soft_targets
from wavemore.engine.memory import check_soft_targets_fit
from wavemore.engine.training_plan import Plan
from wavemore.errors import RunError, UsageError
from wavemore.runs.config import DataConfig, RunConfig, TeacherConfig
from wavemore.runs.describe import describe_model
from wavemore.runs.entry import read_entry
from wavemore.runs.find import find_group
from wavemore.runs.identity import data_differences
from wavemore.runs.json_file import write_json
from wavemore.runs.layout import FILES
from wavemore.runs.moved import places
from wavemore.runs.run import Run
from wavemore.runs.training import config_of
from wavemore.runs.weights import weights_sha256
from wavemore.text.corpus import Corpus

FOLDER = "teachers"
"""In the folder of a student that was planned with its teachers: their runs, by their numbers."""


def find_teachers(names: Sequence[str], data: DataConfig, student: Path | None = None) -> tuple[TeacherConfig, ...]:
    """The teachers by their names (runs, experiments, folders of runs), for the config of the student at `student`.

    Raises `UsageError` for a run on other data or another split, a run that is named twice, and the student itself;
    `RunError` for a run that is missing, damaged or unfinished.
    """
    teachers: dict[Path, TeacherConfig] = {}
    for run in (run for name in names for run in find_group(name)):
        path = run.path.resolve()
        if student is not None and path == student.resolve():
            raise UsageError(f"{run.path} cannot be its own teacher: choose another `run` for the student")
        if path in teachers:
            raise UsageError(f"{run.path} is named twice as a teacher: name it once")
        teachers[path] = _teacher(run, data)
    return tuple(teachers.values())


def own_teachers(student: RunConfig, home: Path, plans: Sequence[Plan]) -> RunConfig:
    """The config of a student with the teachers that are to be trained in its folder."""
    teachers = []
    for number, planned in enumerate(plans, 1):
        model = describe_model(_own_config(student, planned))
        teachers.append(TeacherConfig(str((home / FOLDER / str(number)).absolute()), "", model, 0.0))
    return replace(student, teachers=tuple(teachers))


def create_teachers(run: Run, plans: Sequence[Plan], corpus: Corpus) -> None:
    """Begin the runs of a student's own teachers; those of a run that it replaces are replaced too."""
    for number, planned in enumerate(plans, 1):
        Run(run.home / FOLDER / str(number)).create(_own_config(run.config, planned), corpus, overwrite=True)
    for old in (run.home / FOLDER).glob("*") if plans else ():
        if old.name.isdecimal() and int(old.name) > len(plans) and not old.is_symlink() and Run(old).exists():
            Run(old).delete()


def next_teacher(run: Run) -> tuple[int, Run] | None:
    """The first of a student's own teachers that is not finished, and its index; None if there is none."""
    for index, teacher in enumerate(run.config.teachers):
        if not teacher.sha256:
            own = Run(run.home / FOLDER / str(index + 1))
            if own.path.is_symlink() or own.path.parent.is_symlink():  # nothing outside the folder is written
                raise RunError(
                    f"the teacher {own.path} is a link: put the folder itself there, or train another student"
                )
            if not own.exists() and not own.replacement.exists():
                raise RunError(f"the teacher {own.path} is missing: train another student")
            return index, own
    return None


def keep_teacher(run: Run, index: int, teacher: Run) -> None:
    """Note in a student's config that one of its own teachers is finished."""
    teachers = list(run.config.teachers)
    teachers[index] = _teacher(teacher, run.config.data)
    run.set_teachers(teachers)


def keep_best_teacher(run: Run) -> bool:
    """Let the best of a student's own teachers that are finished be the run, if it is better than the student so far.

    The caller holds the run's lock. Returns whether it took the student's place; the folder of the teachers remains.
    """
    entries = [read_entry(Run(Path(teacher.run))) for teacher in run.config.teachers if teacher.sha256]
    finished = [(entry.val_nats, entry) for entry in entries if entry.val_nats is not None]
    if run.is_replacement or not finished:
        return False
    val_nats, best = min(finished, key=lambda pair: pair[0])
    so_far = read_entry(run).val_nats
    if best.config is None or (so_far is not None and so_far <= val_nats):
        return False
    new = run.replacement
    new.path.mkdir(exist_ok=True)
    for name in FILES:
        if (file := best.run.path / name).is_file():
            copyfile(file, new.path / name)
    write_json(new.path / "config.json", replace(best.config, note=run.config.note))
    new.take_place()
    return True


def _own_config(student: RunConfig, planned: Plan) -> RunConfig:
    return config_of(
        planned,
        student.data,
        command=student.command,
        device=student.device,
        note="a teacher",
        threads=student.threads,
    )


def check_teachers(config: RunConfig, corpus: Corpus) -> None:
    """Raise `RunError` for a teacher that is missing or whose weights have changed since the student began.

    Raises `UsageError` if the teachers' probabilities do not fit into memory.
    """
    if not config.recipe.distill_weight:
        return
    check_soft_targets_fit(corpus.train.num_targets, len(corpus.vocabulary))
    for teacher in config.teachers:
        if not teacher.sha256:
            continue
        run = _located(teacher)
        if not run.exists():
            raise RunError(f"the teacher {run.path} is missing: put it back, or train another student")
        if weights_sha256(run.path / "model.safetensors") != teacher.sha256:
            raise RunError(f"the teacher {run.path} has changed: put the old one back, or train another student")


def teacher_probabilities(config: RunConfig, corpus: Corpus) -> Tensor | None:
    """Mean of the teachers' probabilities before each target of train: (N, V); None without teachers.

    Raises the errors of `check_teachers`.
    """
    if not config.teachers or not config.recipe.distill_weight:
        return None
    check_teachers(config, corpus)
    return soft_targets([_located(teacher).model() for teacher in config.teachers], corpus)


def _located(teacher: TeacherConfig) -> Run:
    """The run of a teacher, also after the project was moved."""
    runs = [Run(Path(place)) for place in places(teacher.run, Path("runs"))]
    return next((run for run in runs if run.exists()), runs[0])


def _teacher(run: Run, data: DataConfig) -> TeacherConfig:
    config = run.config
    differences = data_differences(config.data, data)
    if differences:
        raise UsageError(
            f"{run.path} cannot be a teacher, as it may have been trained on the student's val lines "
            f"({'; '.join(differences)}): choose teachers with the same data and split"
        )
    if config.data.extra_characters != data.extra_characters:
        raise UsageError(
            f"{run.path} cannot be a teacher, as its vocabulary has characters of the run that it began with: choose "
            "teachers that were trained without --from"
        )
    summary = run.summary()
    if summary is None:
        raise RunError(f"the teacher {run.path} is unfinished: resume and finish its training")
    return TeacherConfig(
        run=str(run.path.absolute()),
        sha256=weights_sha256(run.path / "model.safetensors"),
        model=describe_model(config),
        train_seconds=summary.total_seconds,
    )
