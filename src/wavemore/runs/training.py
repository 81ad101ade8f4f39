"""A training into its run folder: what `wavemore train` and `wavemore study` have in common."""

from collections.abc import Iterator, Sequence
from datetime import datetime

import torch
from torch import Tensor

from wavemore.version import __version__
from wavemore.engine.evaluate import Evaluation, evaluate
from wavemore.engine.fit import VAL_CHARACTERS, Progress, fit
from wavemore.engine.generate_lines import Sample, generate
from wavemore.engine.plan import Plan
from wavemore.engine.sampling import Sampling
from wavemore.engine.generate_text import Written, write
from wavemore.runs.config import FORMAT, Config, DataConfig, TeacherConfig
from wavemore.runs.environment import environment
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.record import Summary
from wavemore.engine.evaluate import line_percentiles
from wavemore.nn.model import Model
from wavemore.text.corpus import Corpus, Part
from wavemore.text.datasets import DATASETS
from wavemore.text.continuous import StreamPart, TextStream

WRITTEN = 500
"""Characters of a text that a run ends with."""


def config_of(
    chosen: Plan,
    data: DataConfig,
    *,
    command: Sequence[str] = (),
    device: str = "cpu",
    note: str = "",
    experiment: str = "",
    teachers: Sequence[TeacherConfig] = (),
) -> Config:
    """The `config.json` of a training that begins now, with as many threads as torch has."""
    return Config(
        format=FORMAT,
        wavemore=__version__,
        command=tuple(command),
        created=datetime.now().astimezone().isoformat(timespec="seconds"),
        data=data,
        model=chosen.model,
        settings=chosen.settings,
        recipe=chosen.recipe,
        device=device,
        threads=torch.get_num_threads(),
        note=note,
        experiment=experiment,
        teachers=tuple(teachers),
    )


def data_config(corpus: Corpus | TextStream, data: str, split: str = "distinct", split_seed: int = 0) -> DataConfig:
    """Where the lines, or the text, came from: `data` is what was asked for, a data set's name or a path."""
    if isinstance(corpus, TextStream):
        return DataConfig(
            source=data if data in DATASETS else corpus.source,
            name=corpus.name,
            sha256=corpus.sha256,
            encoding=corpus.encoding,
            split="share",
            split_seed=0,
            longest=0,
            share=corpus.share,
        )
    return DataConfig(
        source=data if data in DATASETS else corpus.source,
        name=corpus.name,
        sha256=corpus.sha256,
        encoding=corpus.encoding,
        split="lecture" if split == "lecture" else "distinct",
        split_seed=split_seed,
        longest=corpus.report.longest,
    )


def train(
    run: Run, model: Model, corpus: Corpus | TextStream, recorder: Recorder, soft_targets: Tensor | None = None
) -> Iterator[Progress]:
    """Train, or go on where the run was stopped, and keep every record; the caller holds the run's lock.

    A student needs its teachers' `soft_targets`, each time (see runs/teachers.py).

    Raises `TrainingError` where the loss is no longer finite.
    """
    for progress in fit(model, corpus, run.config.recipe, soft_targets=soft_targets, resume=recorder.checkpoint):
        recorder.add(progress)
        yield progress


def finish(
    run: Run, model: Model, corpus: Corpus | TextStream, recorder: Recorder
) -> tuple[Summary, Evaluation, list[Sample | Written]]:
    """Take the exact losses of the kept state, draw ten lines or a text, and write both: the run is then finished."""
    train, val = evaluate(model, train_to_evaluate(corpus)), evaluate(model, corpus.val)
    recipe, teachers = run.config.recipe, run.config.teachers
    summary = Summary(
        train_nats=train.nats,
        val_nats=val.nats,
        leak_free_val_nats=val.leak_free_nats if val.leak_free_targets else None,
        parameters=model.parameter_count(),
        steps=recipe.steps,
        best_step=recorder.best_step,
        train_seconds=round(recorder.train_seconds, 3),
        finished=datetime.now().astimezone().isoformat(timespec="seconds"),
        val_line_percentiles=line_percentiles(model, corpus.val) if isinstance(corpus, Corpus) else None,
        environment=environment(),
        teachers_train_seconds=round(sum(t.train_seconds for t in teachers), 3) if teachers else None,
    )
    samples: list[Sample | Written]
    if isinstance(corpus, TextStream):
        samples = [*write(model, corpus.vocabulary, 1, WRITTEN, Sampling(seed=recipe.seed))]
    else:
        sampling = Sampling(max_length=corpus.report.longest, seed=recipe.seed)
        samples = [*generate(model, corpus.vocabulary, 10, sampling, corpus.line_hashes)]
    run.finish(summary, [sample.text for sample in samples])
    return summary, val, samples


def train_to_evaluate(corpus: Corpus | TextStream) -> Part | StreamPart:
    """What the train loss is taken of: all lines, but of a text as much of its end as there is val, or less."""
    if isinstance(corpus, TextStream):
        return StreamPart(corpus.train.tokens[-min(corpus.val.targets, VAL_CHARACTERS) :])
    return corpus.train
