"""A training that writes to its run folder: shared by single training runs and studies."""

from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime
from pathlib import Path

import torch
from torch import Tensor

from wavemore.engine.defaults import suggested_temperature
from wavemore.engine.evaluate import Evaluation, part_losses
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import GeneratedText, generate_text
from wavemore.engine.labels import recovery
from wavemore.engine.line_source import Sample
from wavemore.engine.loss_parts import train_loss_part
from wavemore.engine.memorised import memorised
from wavemore.engine.ranks import NO_MINUTES, require_one_process
from wavemore.engine.sampling import SAMPLE_CHARACTERS, SAMPLE_LINES, Sampling
from wavemore.engine.step_record import StepRecord
from wavemore.engine.training_plan import Plan
from wavemore.errors import RunError, TrainingError
from wavemore.nn.model import Model
from wavemore.nn.ranks import current_ranks
from wavemore.runs.config import FORMAT, DataConfig, RunConfig, SourceConfig, TeacherConfig
from wavemore.runs.deadline import Deadline
from wavemore.runs.environment import Threads, environment
from wavemore.runs.record import Summary
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.saved_losses import save_unit_losses
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import DATASETS
from wavemore.version import __version__


def config_of(
    plan: Plan,
    data: DataConfig,
    *,
    command: Sequence[str] = (),
    device: str = "cpu",
    note: str = "",
    experiment: str = "",
    teachers: Sequence[TeacherConfig] = (),
    threads: Threads | None = None,
    carried_from: SourceConfig | None = None,
) -> RunConfig:
    """The config of a training that begins now; `threads` is by default the current number of torch's threads."""
    return RunConfig(
        format=FORMAT,
        wavemore=__version__,
        command=tuple(command),
        created=_now(),
        data=data,
        model=plan.model,
        model_config=plan.model_config,
        recipe=plan.recipe,
        device=device,
        threads=torch.get_num_threads() if threads is None else threads,
        note=note,
        experiment=experiment,
        teachers=tuple(teachers),
        budget=plan.budget,
        carried_from=carried_from,
    )


def data_name(corpus: Corpus) -> str:
    """The name of a corpus that is one of `DATASETS`, or the path of its file."""
    dataset = DATASETS.get(corpus.name)
    return corpus.name if dataset and Path(corpus.source).name == dataset.file else corpus.source


def data_config(corpus: Corpus, data: str) -> DataConfig:
    """The source and the split of a corpus; `data` is the requested data set or path."""
    return DataConfig(
        source=data if data in DATASETS else corpus.source,
        name=corpus.name,
        sha256=corpus.sha256,
        encoding=corpus.encoding,
        split_method=corpus.split_method,
        split_seed=corpus.split_seed,
        longest_line=corpus.longest_line,
        train_fraction=corpus.train_fraction,
        cleaning=corpus.cleaning,
        layout=corpus.layout,
        by_count=corpus.by_count,
        more_files=corpus.more_files,
        val_file=corpus.val_file,
        test_file=corpus.test_file,
        extra_characters=corpus.extra_characters,
        size=Path(corpus.source).stat().st_size if corpus.source else None,
    )


def train(
    run: Run,
    model: Model,
    corpus: Corpus,
    recorder: Recorder,
    soft_targets: Tensor | None = None,
    deadline: Deadline | None = None,
) -> Iterator[StepRecord]:
    """Train, or resume from the recorder's checkpoint, and record every step; the caller holds the run's lock.

    A student needs its teachers' probabilities as `soft_targets`, also when it resumes (see `teachers.py`). Where the
    machine is slower or faster than the `deadline` expects, the run's config gets fewer or more steps.

    Raises `TrainingError` if the loss is no longer finite; the run keeps the reason as its `failure`.
    """
    if run.config.budget is not None:
        require_one_process(NO_MINUTES)
    try:
        training = fit(model, corpus, run.config.recipe, soft_targets=soft_targets, resume=recorder.checkpoint)
        recorder.follow(training)
        with closing(training):
            for step in training:
                recorder.add(step)
                if deadline is not None and (steps := deadline.check(step)):
                    run.replan(training.replan(steps))
                yield step
    except TrainingError as error:
        with suppress(RunError):  # a full disk is not the reason
            run.fail(str(error).split(";")[0], recorder.train_seconds)
        raise


def finish(
    run: Run, model: Model, corpus: Corpus, recorder: Recorder, *, count_known: bool = False
) -> tuple[Summary, Evaluation, list[Sample] | list[GeneratedText]]:
    """Compute the losses of the best weights, generate samples, and write both: the run is then finished.

    That of val is exact. With `count_known`, more lines are drawn, and those that are known are counted. Returns the
    summary, the losses on val, and the samples.
    """
    ranks = current_ranks()
    train = part_losses(model, train_loss_part(corpus), ranks=ranks).evaluation
    losses = part_losses(model, corpus.val, ranks=ranks)
    val = losses.evaluation
    recipe, teachers = run.config.recipe, run.config.teachers
    temperature = suggested_temperature(corpus)
    sampling = Sampling(temperature=temperature, max_length=max(1, corpus.longest_line), seed=recipe.seed)
    percentiles: tuple[float, ...] | None = None
    samples: list[Sample] | list[GeneratedText]
    if corpus.format == "lines":
        percentiles = losses.percentiles
        samples = list(generate(model, corpus.vocabulary, SAMPLE_LINES, sampling, corpus.line_hashes))
    else:
        samples = generate_text(model, corpus.vocabulary, 1, SAMPLE_CHARACTERS, sampling)
    found = recovery(model, corpus.val, corpus.vocabulary)
    summary = Summary(
        train_nats=train.nats,
        train_targets=train.num_targets,
        val_nats=val.nats,
        leak_free_val_nats=val.leak_free_nats if val.leak_free_targets else None,
        parameters=model.parameter_count(),
        steps=recipe.steps,
        best_step=recorder.best_step,
        train_seconds=round(recorder.train_seconds, 3),
        finished=_now(),
        val_line_percentiles=percentiles,
        environment=environment(),
        temperature=temperature,
        teachers_train_seconds=round(sum(t.train_seconds for t in teachers), 3) if teachers else None,
        val_label_recovery=None if found is None else found.recovered / found.lines,
        memorised=memorised(model, corpus, sampling) if count_known and ranks.rank == 0 else None,
    )
    save_unit_losses(run, "val", losses.by_unit)
    run.finish(summary, [sample.row if isinstance(sample, Sample) else sample.text for sample in samples])
    return summary, val, samples


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")  # two runs of one second have an order
