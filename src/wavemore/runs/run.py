"""The run folder: all files of a training, readable and resumable whenever the training was stopped.

config.json          the model, the data, the recipe, the library's version and the command
vocabulary.json      the characters
lines.safetensors    hashes of the lines of a list, to tell new lines from known ones
model.safetensors    the weights with the lowest val loss so far
state.safetensors    the training between two steps, for resuming
metrics.jsonl        one record per line: train and val loss over the steps
summary.json         the result of a finished run: losses, size, seconds, environment
samples.txt          lines, or a text, that the model generated
tensorboard/         the records for TensorBoard, if requested
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import filelock
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.step_record import Checkpoint
from wavemore.errors import DataError, RunError, UsageError
from wavemore.files import write_atomic
from wavemore.nn.model import Model
from wavemore.nn.models import build, build_without_memory
from wavemore.runs.config import RunConfig, read_config
from wavemore.runs.display import problem_html, run_html
from wavemore.runs.identity import training_digest
from wavemore.runs.json_file import PUT_BACK, read_json, write_json
from wavemore.runs.memory_check import check_fits
from wavemore.runs.record import Record, Summary
from wavemore.runs.tensors import read_tensors, write_tensors
from wavemore.text.corpus import Corpus
from wavemore.text.vocabulary import Vocabulary

FIRST_FILES = ("lines.safetensors", "vocabulary.json")
"""Written before config.json, which makes the folder a run."""

FILES = (
    *("state.safetensors", "model.safetensors", "metrics.jsonl", "summary.json", "samples.txt", "config.json"),
    *FIRST_FILES,
)
"""In the order of deletion: a half-deleted run is a run or, without config.json, nothing."""


class Run:
    """A run folder.

    Every file is written under a temporary name and renamed, so a run killed at any moment can be read and resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        try:
            return run_html(self.path, self.config, self.summary(), self.metrics(), self.samples())
        except RunError as error:
            return problem_html(self.path, str(error))

    def create(self, config: RunConfig, corpus: Corpus, *, overwrite: bool = False) -> None:
        """Begin a run in a new or empty folder, or with `overwrite` in place of the run in it.

        Raises `RunError` for a folder that holds anything else.
        """
        if overwrite:
            self.delete()
        else:
            self.check_free()
        self._make_folder()
        write_atomic(self.path / "vocabulary.json", corpus.vocabulary.to_json().encode())
        if corpus.line_hashes.size:
            hashes = torch.from_numpy(corpus.line_hashes.view(np.int64))  # old versions of safetensors lack uint64
            write_tensors(self.path / "lines.safetensors", {"hashes": hashes})
        write_json(self.path / "config.json", config)

    def exists(self) -> bool:
        """Whether the folder holds a run that has begun."""
        return (self.path / "config.json").exists()

    def check_free(self) -> None:
        """Raise `RunError` if the folder holds a run or anything else."""
        if self._holds_run():
            raise RunError(
                f"{self.path} already holds a run: continue it with `resume`, replace it with `overwrite`, or choose "
                "another `run`"
            )

    def _holds_run(self) -> bool:
        """Whether the folder holds a run, and not only what is left of one that was killed before it began.

        Raises `RunError` if it holds anything else.
        """
        if self.exists() and (self.path / "vocabulary.json").exists():  # a config.json alone may be of another program
            return True
        if self.path.exists():
            names = {entry.name for entry in self.path.glob("*") if not _is_temporary(entry)}
            if not self.path.is_dir() or not names <= {*FIRST_FILES, "lock"}:
                raise RunError(f"{self.path} is neither a run nor an empty folder: choose another `run`")
        return False

    def delete(self) -> None:
        """Remove the files of a run and nothing else.

        Raises `RunError` if the folder holds other things and no run.
        """
        self._holds_run()  # raises for other things
        for file in (self.path / "tensorboard").glob("events.out.tfevents.*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # it holds other files, or there is none
            (self.path / "tensorboard").rmdir()
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one training.

        Raises `RunError` if another process trains here; the lock of a killed process is released.
        """
        self._make_folder()
        try:
            lock = filelock.FileLock(self.path / "lock").acquire(timeout=0)
        except filelock.Timeout:
            message = f"another training is writing to {self.path}: wait for it, or choose another `run`"
            raise RunError(message) from None
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None
        with lock:
            for entry in self.path.iterdir():
                if _is_temporary(entry):  # left by a killed process
                    entry.unlink(missing_ok=True)
            yield

    def _make_folder(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot create the run folder {self.path}: {error.strerror}") from None

    @property
    def config(self) -> RunConfig:
        """The model, the data and the training of the run."""
        if not self.path.exists():
            raise RunError(f"there is no run at {self.path}; `wavemore log` lists the runs")
        return read_config(self.path / "config.json")

    def relabel(self, *, note: str | None = None, experiment: str | None = None) -> None:
        """Give the run another note or another experiment's name; None keeps it."""
        config, path = self.config, self.path / "config.json"
        note = config.note if note is None else note
        experiment = config.experiment if experiment is None else experiment
        date = path.stat().st_mtime_ns
        write_json(path, replace(config, note=note, experiment=experiment))
        os.utime(path, ns=(date, date))  # runs are ordered by it

    def vocabulary(self) -> Vocabulary:
        """The characters that the model knows."""
        path = self.path / "vocabulary.json"
        cleaning = self.config.data.cleaning
        vocabulary = read_json(path, lambda content: Vocabulary.from_json(content.decode(), cleaning), PUT_BACK)
        if vocabulary is None:
            raise RunError(f"{path} is missing: {PUT_BACK}")
        return vocabulary

    def line_hashes(self) -> NDArray[np.uint64]:
        """Sorted hashes of the data's lines."""
        tensors, _ = read_tensors(self.path / "lines.safetensors")
        return tensors["hashes"].numpy().view(np.uint64)

    def corpus(self) -> Corpus:
        """Read and split the data again.

        Raises `RunError` if the file is not the one that the run began with.
        """
        data = self.config.data
        if not data.source:
            raise RunError(f"{self.path} was trained on lines in memory, which cannot be read again")
        try:
            corpus = data.load()
        except DataError as error:
            raise RunError(f"the data of {self.path} cannot be read again: {error}") from None
        if corpus.sha256 != data.sha256:
            raise RunError(f"{data.source} has changed since {self.path} began: put the old file back, or train again")
        if corpus.vocabulary != self.vocabulary():
            raise RunError(f"{self.path / 'vocabulary.json'} does not match the data: {PUT_BACK}")
        return corpus

    def new_model(self) -> Model:
        """The model with its initial weights, on the run's device.

        Raises `UsageError` for a model that does not fit into memory, and for a device that this machine lacks.
        """
        config, size = self.config, len(self.vocabulary())
        check_fits(config.model, size, config.model_config)
        return _to_device(build(config.model, size, config.model_config, seed=config.recipe.seed), config.device)

    def model(self) -> Model:
        """The model with the best weights so far, in eval mode, on the run's device or, without it, on the CPU."""
        path = self.path / "model.safetensors"
        if not path.exists() and self.exists():
            raise RunError(f"{self.path} was stopped before its first evaluation, so it has no model yet: resume it")
        tensors, _ = read_tensors(path)
        config, size = self.config, len(self.vocabulary())
        try:
            model = build_without_memory(config.model, size, config.model_config)  # config.json may have been changed
            model.load_state_dict({name: value.clone() for name, value in tensors.items()}, assign=True)
        except (RuntimeError, OverflowError, TypeError) as error:
            reason = str(error).splitlines()[-1].strip()
            raise RunError(f"{path} does not fit config.json and vocabulary.json: {reason}") from None
        with suppress(UsageError):
            model = _to_device(model, config.device)
        return model.eval()

    def save_model(self, tensors: Mapping[str, Tensor]) -> None:
        """Write the best weights so far."""
        write_tensors(self.path / "model.safetensors", dict(tensors))

    def checkpoint(self) -> Checkpoint | None:
        """The state to resume from; None if none was saved yet.

        Raises `RunError` for the state of a training with other data or settings.
        """
        path = self.path / "state.safetensors"
        if not path.exists():
            return None
        tensors, facts = read_tensors(path)
        if json.loads(facts).get("training") != training_digest(self.config):
            raise RunError(f"{path} is the state of a training with other data or settings: {PUT_BACK}")
        return Checkpoint(tensors, facts)

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a state to resume from."""
        facts = json.loads(checkpoint.facts) | {"training": training_digest(self.config)}
        write_tensors(self.path / "state.safetensors", checkpoint.tensors, json.dumps(facts))

    def metrics(self) -> list[Record]:
        """The records of the training, in order of their steps; damaged lines are left out."""
        records = []
        for line in read_json(self.path / "metrics.jsonl", bytes.splitlines, "") or []:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                records.append(msgspec.json.decode(line, type=Record))
        return records

    def save_metrics(self, records: Sequence[Record]) -> None:
        """Write all records of the training so far."""
        write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())

    def summary(self) -> Summary | None:
        """The result of the run; None if it is unfinished."""
        decode = partial(msgspec.json.decode, type=Summary)
        return read_json(self.path / "summary.json", decode, "remove it and resume the run to make it again")

    def samples(self) -> list[str]:
        """What the model generated when it was finished: a line each, or the lines of a text; empty before."""
        try:
            return (self.path / "samples.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []

    def finish(self, summary: Summary, samples: Sequence[str]) -> None:
        """Write the result of the run: it is then finished."""
        write_atomic(self.path / "samples.txt", "".join(f"{sample}\n" for sample in samples).encode())
        write_json(self.path / "summary.json", summary)


def _is_temporary(path: Path) -> bool:
    """Whether `write_atomic` had not moved this file to its place yet: `.<name>.<process>.tmp`."""
    return path.name.endswith(".tmp") and path.name[1:].rsplit(".", 2)[0] in FILES


def _to_device(model: Model, device: str) -> Model:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"`device` is {device!r}, which cannot be used here: {str(error).splitlines()[0]}") from None
