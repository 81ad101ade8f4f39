"""One training of a study or a tuning: started, resumed where it was stopped, or read if it is finished.

It runs in this process, or in a worker process with one thread, beside others: see `pool.py`.
"""

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures.process import BrokenProcessPool
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F

from wavemore.engine.batchers import line_batcher
from wavemore.engine.evaluate import part_losses
from wavemore.engine.step_record import StepRecord
from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import RunError, TrainingError, is_out_of_memory
from wavemore.nn.model import Model
from wavemore.runs.config import DataConfig, RunConfig
from wavemore.runs.identity import changed_settings, data_differences, training_digest
from wavemore.runs.json_file import read_json
from wavemore.runs.record import Failure
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.saved_losses import save_unit_losses, saved_unit_losses
from wavemore.runs.training import finish, train
from wavemore.text.corpus import Corpus
from wavemore.text.parts import Part

Result = dict[str, Any]
"""Losses, parameters, steps and seconds of a run; of a run that failed: `failed`, the reason, and seconds."""

load = lru_cache(maxsize=2)(DataConfig.load)  # a worker of a cluster may live for many studies


@dataclass(frozen=True)
class Job:
    """One training."""

    key: tuple[int, int, int]
    """Number of the arm, 0 in a tuning; number of the trial, and seed."""
    config: RunConfig
    path: Path
    measures: tuple[str, ...]
    judged: bool
    """Whether the verdict is on its test loss, which is then computed: not for trials, nor in a tuning."""
    data: DataConfig | None = None
    """Where the data is on this machine, if that is not where the config says."""

    def corpus(self) -> Corpus:
        """The data, which is read once."""
        return load(self.data or self.config.data)


class KilledError(RunError):
    """A process that trained was killed or, on a cluster, several in turn by one training; perhaps memory ran out."""


@contextlib.contextmanager
def memory_explained(job: Job) -> Iterator[None]:
    """Raise `RunError` with advice if memory runs out in the block, which trains a job of a study."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, BrokenProcessPool) or not is_out_of_memory(error):
            raise
        raise RunError(
            f"memory ran out in the training {job.path}: give this arm a smaller model or smaller batches, or train "
            "fewer at a time by `jobs`; the same command keeps what is finished"
        ) from None


class Progress(NamedTuple):
    """An evaluation of a job that is being trained."""

    job: Job
    step: int
    val_nats: float


def read_result(job: Job) -> Result | None:
    """Read the result of a job; None if it is not finished.

    Raises `RunError` if the folder has a run with other settings, data or split; it names what differs.
    """
    run = Run(job.path)
    if not run.exists():
        return None
    config = run.config
    if training_digest(config) != training_digest(job.config):
        differences = [*data_differences(config.data, job.config.data), *changed_settings(config, job.config)]
        seeds = f"seed {config.recipe.seed} and {job.config.recipe.seed}"
        raise RunError(
            f"{job.path} was trained with other settings or data ({'; '.join(differences) or seeds}): use another "
            "`folder`, or delete that run"
        )
    failure = read_json(job.path / "failed.json", msgspec.json.Decoder(Failure).decode, "delete that run")
    if failure is not None:
        return msgspec.structs.asdict(failure)
    summary = run.summary()
    if summary is None:
        return None
    result: Result = {
        "train_nats": summary.train_nats,
        "val_nats": summary.val_nats,
        "leak_free_val_nats": summary.leak_free_val_nats,
        "parameters": summary.parameters,
        "steps": summary.steps,
        "seconds": summary.train_seconds,
        "commit": summary.environment.get("commit", ""),
        "cpu": summary.environment.get("cpu", ""),
    }
    if job.judged:
        losses = test_losses(job)
        result |= {"test_nats": losses.mean, "leak_free_test_nats": losses.leak_free_mean}
    if "mode_gap" in job.measures:
        result["mode_gap"] = mode_gap(run.model(), job.corpus().train, job.config.recipe.batch_size)
    return result


def in_words(result: Result) -> str:
    """Say what a run has reached, or why it failed.

    >>> in_words({"val_nats": 2.1, "seconds": 3.0}), in_words({"failed": "out of memory", "seconds": 3.0})
    ('val 2.1000, 3.0 s', 'failed, out of memory')
    """
    failed = result.get("failed")
    return f"failed, {failed}" if failed else f"val {result['val_nats']:.4f}, {result['seconds']:.1f} s"


def test_losses(job: Job) -> UnitLosses:
    """The test losses of a finished run, which are computed once and kept in its folder."""
    run, part = Run(job.path), job.corpus().test
    losses = saved_unit_losses(run, "test")
    targets = np.bincount(part.segment_units, weights=np.diff(part.segments))
    if losses is None or not np.array_equal(losses.targets, targets):
        losses = part_losses(run.model(), part).by_unit
        save_unit_losses(run, "test", losses)
    return losses


def train_job(job: Job) -> Generator[StepRecord, None, None]:
    """Train a job, from its beginning or from its last checkpoint; a closed generator saves what it has.

    Yields the records that are logged, and one about every second, so that the caller can stop.
    """
    corpus, run = job.corpus(), Run(job.path)
    with run.lock():
        if not run.exists():
            run.create(job.config, corpus)
        model = run.new_model()
        recorder = Recorder(run, run.checkpoint())
        records = train(run, model, corpus, recorder)  # a name, as the state is gone once the iterator is
        due = 0.0
        try:
            for record in records:
                if record.logged or time.monotonic() >= due:
                    due = time.monotonic() + 1.0
                    yield record
        except GeneratorExit:
            recorder.save(record)
            raise
        except TrainingError:  # the run keeps the reason
            return
        finish(run, model, corpus, recorder)
        (job.path / "state.safetensors").unlink(missing_ok=True)  # nothing left to resume


def train_until(
    job: Job, is_stopped: Callable[[], bool], report: Callable[[int, float], None] | None = None
) -> Result | None:
    """Train a job and return its result; None if it was told to stop before the end, and saved.

    `report` gets the step and the val loss of each evaluation.
    """
    if is_stopped():
        return None
    with contextlib.closing(train_job(job)) as records:
        for record in records:
            if report is not None and record.val_nats is not None:
                report(record.step, record.val_nats)
            if is_stopped():
                return None
    return read_result(job)


@torch.no_grad()
def mode_gap(model: Model, part: Part, batch_size: int, batches: int = 20) -> float:
    """Loss in training mode minus loss in eval mode, in nats per character, on the same batches.

    In training mode BatchNorm1d uses the statistics of the batch: they help if the gap is below 0, and hurt if it is
    above.
    """
    model = deepcopy(model)  # as its running statistics may change
    batcher = line_batcher(part.tokens, model, labels=part.labels)
    random = np.random.default_rng(0)
    gaps = []
    for _ in range(batches):
        positions = random.integers(part.num_targets, size=batch_size)
        losses = []
        for training in (False, True):  # eval mode first, as training mode changes the running statistics
            state = deepcopy(model.state_dict())
            model.train(training)
            losses.append(F.cross_entropy(batcher.logits(positions), batcher.targets(positions)).item())
            model.load_state_dict(state)
        gaps.append(losses[1] - losses[0])
    return fmean(gaps)
