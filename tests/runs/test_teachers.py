"""The teachers that a student was planned with: runs in its own folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from wavemore.engine.plan import plan
from wavemore.errors import RunError
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.teachers import FOLDER, check_teachers, create_teachers, keep_teacher, next_teacher, own_teachers
from wavemore.runs.training import config_of, data_config, finish, train
from wavemore.text.line_corpus import LineCorpus


@pytest.fixture
def student(corpus: LineCorpus, tmp_path: Path) -> Run:
    """A student that has not begun, with two teachers that have not begun."""
    planned = plan(corpus, model="lstm", hidden=8, steps=2, num_evals=1)
    plans = [replace(planned, recipe=replace(planned.recipe, seed=seed)) for seed in (1, 2)]
    taught = replace(planned, recipe=replace(planned.recipe, distill_weight=0.5))
    config = own_teachers(config_of(taught, data_config(corpus, "")), tmp_path / "run", plans)
    run = Run(tmp_path / "run").create(config, corpus)
    create_teachers(run, plans, corpus)
    return run


def finished(run: Run, corpus: LineCorpus) -> Run:
    model, recorder = run.new_model(), Recorder(run, None)
    for _ in train(run, model, corpus, recorder):
        pass
    finish(run, model, corpus, recorder)
    return run


def test_each_teacher_is_known_by_its_weights_when_it_is_finished(student: Run, corpus: LineCorpus) -> None:
    check_teachers(student.config, corpus)  # those that are still to be trained are no error
    seeds = []
    while (following := next_teacher(student)) is not None:
        index, teacher = following
        seeds.append(finished(teacher, corpus).config.recipe.seed)
        keep_teacher(student, index, teacher)
    assert seeds == [1, 2]
    first, second = student.config.teachers
    assert first.sha256 != second.sha256
    assert min(first.train_seconds, second.train_seconds) > 0
    check_teachers(student.config, corpus)
    (student.path / "teachers/2/model.safetensors").write_bytes(b"")
    with pytest.raises(RunError, match="has changed"):
        check_teachers(student.config, corpus)


def test_a_run_that_is_replaced_leaves_no_teachers_behind(student: Run, corpus: LineCorpus) -> None:
    planned = plan(corpus, model="lstm", hidden=8, steps=2)
    create_teachers(student, [planned], corpus)
    assert [Run(student.path / FOLDER / number).exists() for number in ("1", "2")] == [True, False]


def test_a_teacher_that_is_missing_or_a_link_is_an_error(student: Run, tmp_path: Path) -> None:
    folder = student.path / "teachers/1"
    folder.rename(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is missing"):
        next_teacher(student)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is a link"):
        next_teacher(student)
