"""One training of a study: begun, gone on with where it was stopped, or read where it is finished.

It runs in this process or in one of several that train side by side, with one thread each.
"""

import json
import os
import signal
import threading
import time
from collections.abc import Generator
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from wavemore.engine.batches import batches_of
from wavemore.engine.process import keep_freed_memory, set_threads
from wavemore.errors import RunError, TrainingError
from wavemore.files import write_atomic
from wavemore.nn.model import Model
from wavemore.runs.config import Config
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import finish, train
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load, load_text


@dataclass(frozen=True)
class Job:
    """One training."""

    arm: int
    tried: int
    seed: int
    config: Config
    path: Path
    measure: tuple[str, ...]


Result = dict[str, Any]
"""Losses, parameters, steps and seconds of a run; or `failed`, why it was given up."""


def read_result(job: Job) -> Result | None:
    """What a finished run says; None where it is not finished.

    Raises `RunError` when the folder holds a run of other settings.
    """
    run = Run(job.path)
    failure = job.path / "failed.json"
    if not run.exists():
        return None
    config = run.config
    if (config.model, config.settings, config.recipe, config.data.sha256) != (
        job.config.model,
        job.config.settings,
        job.config.recipe,
        job.config.data.sha256,
    ):
        raise RunError(
            f"{job.path} was trained with other settings or data than the study's file now says: take another "
            "--folder, or remove that run"
        )
    if failure.exists():
        found: Result = json.loads(failure.read_text(encoding="utf-8"))
        return found
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
    }
    if "mode_gap" in job.measure and isinstance(corpus := _corpus_of(job), Corpus):
        result["mode_gap"] = mode_gap(run.model(), corpus, config.recipe.batch_size)
    return result


def train_job(job: Job) -> Generator[None, None, Result]:
    """One training, begun or gone on with; it can be closed at any step, and is then kept."""
    corpus, run = _corpus_of(job), Run(job.path)
    with run.lock():
        if not run.exists():
            run.create(job.config, corpus)
        model = run.new_model()
        recorder = Recorder(run, run.checkpoint())
        try:
            for progress in train(run, model, corpus, recorder):
                if progress.logged:
                    try:
                        yield
                    except GeneratorExit:
                        recorder.save()
                        raise
        except TrainingError as error:
            failure = {"failed": str(error).split(";")[0], "seconds": round(recorder.train_seconds, 3)}
            write_atomic(job.path / "failed.json", json.dumps(failure).encode() + b"\n")
            return failure
        finish(run, model, corpus, recorder)
        (job.path / "state.safetensors").unlink(missing_ok=True)  # nothing is left to resume
    result = read_result(job)
    assert result is not None
    return result


def do(job: Job) -> Result:
    """One training in a process of its own."""
    with _busy:
        return _until_stopped(train_job(job))


def _until_stopped(steps: Generator[None, None, Result]) -> Result:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
        if _process["stop"].is_set() or os.getppid() != _process["parent"]:
            steps.close()
            return {"stopped": True}


@torch.no_grad()
def mode_gap(model: Model, corpus: Corpus, batch_size: int, batches: int = 20) -> float:
    """Loss in training mode less that in eval mode, nats per character, on the same train batches.

    In training mode BatchNorm1d normalises by the batch: below 0, the batch's own statistics help; above, they harm.
    """
    model = deepcopy(model)  # whose running statistics may move
    data = batches_of(corpus.train.tokens, model)
    random = np.random.default_rng(0)
    gaps = []
    for _ in range(batches):
        positions = random.integers(corpus.train.targets, size=batch_size)
        losses = []
        for training in (False, True):  # the running statistics move in training mode: eval goes first
            state = deepcopy(model.state_dict())
            model.train(training)
            losses.append(F.cross_entropy(data.logits(positions), data.targets(positions)).item())
            model.load_state_dict(state)
        gaps.append(losses[1] - losses[0])
    return fmean(gaps)


@cache
def _load(data: str, split: str, split_seed: int, share: float | None) -> Corpus | TextStream:
    if share is not None:
        return load_text(data, share=share)
    return load(data, split="lecture" if split == "lecture" else "distinct", split_seed=split_seed)


def _corpus_of(job: Job) -> Corpus | TextStream:
    data = job.config.data
    return _load(data.source, data.split, data.split_seed, data.share)


_process: dict[str, Any] = {}
"""Of a training process: what tells it to stop."""


def begin_process(stop: Any, parent: int) -> None:
    """Begin a training process: one thread, and Ctrl-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)
    keep_freed_memory()
    _process.update(stop=stop, parent=parent)
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()


_busy = threading.Lock()
"""Held while this process trains."""


def _leave_with(parent: int) -> None:
    """End this process when its parent was killed and can no longer end it, but no training in the middle."""
    while os.getppid() == parent:
        time.sleep(1)
    with _busy:
        os._exit(0)
