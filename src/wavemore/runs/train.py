"""A whole training in one call: run folder, checkpoints, exact losses."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import NamedTuple, Unpack

import torch

from wavemore.engine.devices import usable_device
from wavemore.engine.memory import check_fits
from wavemore.engine.plan import plan as plan_training
from wavemore.engine.plan import uses_threads
from wavemore.engine.step_record import StepRecord
from wavemore.engine.threads import set_threads
from wavemore.engine.training_plan import Plan
from wavemore.engine.typed_settings import PlanSettings
from wavemore.errors import A_CORPUS, A_PLAN, RunError, UsageError, require_kind, typed
from wavemore.files import path_of
from wavemore.nn.ranks import current_ranks
from wavemore.nn.threads import most_threads
from wavemore.runs import training
from wavemore.runs.deadline import Deadline
from wavemore.runs.identity import data_differences
from wavemore.runs.language_model import LanguageModel, from_pretrained
from wavemore.runs.ranks import received_run, send_run, together
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.teachers import create_teachers, keep_teacher, next_teacher, own_teachers, teacher_probabilities
from wavemore.text.corpus import Corpus


def train(
    corpus: Corpus,
    plan: Plan | None = None,
    *,
    run: str | Path | None = None,
    model: str | None = None,
    minutes: float | None = None,
    device: str | torch.device = "cpu",
    experiment: str = "",
    note: str = "",
    overwrite: bool = False,
    resume: bool = False,
    **settings: Unpack[PlanSettings],
) -> LanguageModel:
    """Train a model on `corpus` and return the best one by its val loss.

    The training follows a `plan`, or one that is made of the `model`, the `minutes` and the `settings` (see `plan`).
    With `run` everything is kept in that folder, as `wavemore train` does; `resume` then continues a training that was
    stopped there, with its own settings, and `overwrite` replaces what is there. Small models are trained by one
    thread.

    Raises `UsageError` for settings that contradict each other, `RunError` for a folder that holds anything else, and
    `TrainingError` if the loss is no longer finite.
    If torch.distributed is initialised, its processes train together: all call this with the same arguments and return
    the model, and rank 0 has the folder.

    >>> import wavemore as wm
    >>> model = wm.train(wm.load_corpus("names"), model="tree", epochs=0.2, hidden=16)
    >>> model.config.model_config.hidden, model.summary.val_nats < 3
    (16, True)
    """
    require_kind(corpus, "corpus", Corpus, A_CORPUS)
    require_kind(plan, "plan", Plan | None, A_PLAN)
    run = run if run is None else path_of(run, "run")
    experiment, note = typed(experiment, "experiment", str), typed(note, "note", str)
    started, ranks, given = monotonic(), current_ranks(), {"model": model, "minutes": minutes, **settings}
    _check_settings(plan, given)
    if resume and run is None:
        raise UsageError("`resume` continues a training that is kept in a folder: give `run`")
    kept = None if run is None or ranks.rank else nullcontext(run)  # only rank 0 has the folder
    with kept or TemporaryDirectory(prefix="wavemore-") as folder, ExitStack() as held:
        begun = Run(folder)
        with together(ranks):
            device = usable_device(device)
            found = resume and (begun.exists() or begun.replacement.exists())
            if not (overwrite or found):
                begun.check_free()
            if not found:
                plan = plan or plan_training(corpus, model=model, minutes=minutes, device=device, **settings)
                check_fits(plan.model, len(corpus.vocabulary), plan.model_config)
                held.enter_context(_few_threads(plan, corpus))
            held.enter_context(begun.lock())
            if plan is None or found:
                begun = _found(begun, corpus)
            elif ranks.rank == 0:
                begun = _new(begun, plan, corpus, device, note, experiment, overwrite=overwrite)
        if ranks.rank:
            begun = held.enter_context(received_run(ranks))
        send_run(ranks, begun)
        return _finished(begun, corpus, None if found else started)


def _check_settings(plan: Plan | None, given: Mapping[str, object]) -> None:
    """Raise `UsageError` for settings beside a plan."""
    if plan is not None and (named := [name for name, value in given.items() if value is not None]):
        raise UsageError(f"`{named[0]}` is a setting for a plan, and a `plan` is given: leave out one of them")


def _new(run: Run, plan: Plan, corpus: Corpus, device: str, note: str, experiment: str, *, overwrite: bool) -> Run:
    """Begin a run, and those of its teachers."""
    data = training.data_config(corpus, training.data_name(corpus))
    config = training.config_of(plan, data, device=device, note=note, experiment=experiment)
    if plan.teachers:
        config = own_teachers(config, run.home, plan.teachers)
    begun = run.create(config, corpus, overwrite=overwrite)
    create_teachers(begun, plan.teachers, corpus)
    return begun


def _found(run: Run, corpus: Corpus) -> Run:
    """Return a training that was begun, to be continued. Raises `RunError` for one on other data, or that failed."""
    run = run.replacement if run.replacement.exists() else run
    if different := data_differences(run.config.data, training.data_config(corpus, "")):
        raise RunError(f"{run.path} was trained on other data ({'; '.join(different)}): give its own corpus")
    if (failure := run.failure()) is not None:
        raise RunError(f"{run.path} has failed, and would fail again: {failure}; train again with other settings")
    return run


def _finished(run: Run, corpus: Corpus, started: float | None) -> LanguageModel:
    """Train in a run folder to the end, if that is not done yet, and return the model."""
    config = run.config
    if run.summary() is not None:
        return from_pretrained(run.path, device=config.device)
    with _few_threads(Plan(config.model, config.model_config, config.recipe, config.budget), corpus):
        return _complete(run, corpus, started)


def _complete(run: Run, corpus: Corpus, started: float | None) -> LanguageModel:
    """Train in a run folder to the end; the caller holds its lock."""
    for _ in training_steps(run, corpus, started):
        pass
    return LanguageModel(run.model(), corpus.vocabulary, run.config, corpus.line_hashes, run.summary())


class TrainingStep(NamedTuple):
    """A step of a training in a run folder."""

    recorder: Recorder
    """That of the run, or of the teacher that is trained first."""
    record: StepRecord
    deadline: Deadline


def training_steps(run: Run, corpus: Corpus, started: float | None = None) -> Generator[TrainingStep, None, None]:
    """Train in a run folder, from its checkpoint if it has one, and finish the run: a student's own teachers first.

    The caller holds the run's lock. A time budget began when the training `started`, by `monotonic`; that of a run that
    is resumed goes on. A caller that ends the iteration earlier saves the last record: `recorder.save(record)`.
    """
    while (following := next_teacher(run)) is not None:
        index, teacher = following
        with teacher.lock():
            teacher = teacher.replacement if teacher.replacement.exists() else teacher
            if teacher.summary() is None:
                yield from training_steps(teacher, corpus)
        keep_teacher(run, index, teacher)
    start = monotonic()
    soft_targets = teacher_probabilities(run.config, corpus)
    seconds = monotonic() - start if run.config.teachers else 0.0
    recorder, model = Recorder(run, run.checkpoint(), seconds=seconds), run.new_model()
    deadline = Deadline.of(run.config, recorder.seconds_before, started) or Deadline(inf)
    for record in training.train(run, model, corpus, recorder, soft_targets, deadline):
        yield TrainingStep(recorder, record, deadline)
    training.finish(run, model, corpus, recorder)


@contextmanager
def _few_threads(plan: Plan, corpus: Corpus) -> Iterator[None]:
    """Train a small model by one thread, which is the fastest; afterwards there are as many as before."""
    before = torch.get_num_threads(), most_threads()
    if plan.budget is None and not uses_threads(plan, corpus.format):
        set_threads(1)
    try:
        yield
    finally:
        if most_threads() != before[1]:
            set_threads(before[1])
            torch.set_num_threads(before[0])
