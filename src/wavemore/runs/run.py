"""The run folder: all files of a training, readable and resumable whenever the training was stopped.

config.json          the model, the data, the recipe, the library's version and the command
vocabulary.json      the characters
lines.safetensors    hashes of the lines of a list, to tell new lines from known ones
initial.safetensors  the weights that the training began with, if they were carried over from another run
model.safetensors    the weights with the lowest val loss so far
state.safetensors    the training between two steps, for resuming
metrics.jsonl        one record per line: train and val loss over the steps
summary.json         the result of a finished run: losses, size, seconds, environment
val.safetensors      the losses of the distinct val lines, or of blocks of a text, for comparisons
test.safetensors     those of the test part, if the run belongs to a study
samples.txt          lines, or a text, that the model generated
failed.json          why a training ended without a result, such as a loss that is no longer finite
tensorboard/         the records for TensorBoard, if requested
teachers/            the runs of its teachers, if it was planned with them
.replacement/        a training that will replace this run as soon as it has a model
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.memory import check_fits
from wavemore.engine.process import keep_freed_memory
from wavemore.engine.recipe import Recipe
from wavemore.engine.step_record import Checkpoint
from wavemore.errors import RunError
from wavemore.files import path_of, write_atomic
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.runs.config import RunConfig, TeacherConfig, read_config
from wavemore.runs.describe import describe_progress, why_without_model
from wavemore.runs.display import problem_html, run_html
from wavemore.runs.identity import training_digest
from wavemore.runs.json_file import PUT_BACK, read_json, write_json
from wavemore.runs.layout import (
    FIRST_FILES,
    REPLACEMENT,
    is_locked,
    is_temporary,
    locked,
    remove_files,
    remove_temporary,
    replace_files,
)
from wavemore.runs.moved import find_corpus
from wavemore.runs.record import Failure, Record, Summary
from wavemore.runs.tensors import read_facts, read_hashes, write_hashes, write_tensors
from wavemore.runs.weights import load_checkpoint, load_model, to_device
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import DATASETS
from wavemore.text.vocabulary import Vocabulary

MAX_METRICS = 1 << 28
"""Limit of metrics.jsonl in bytes; a line of a large model has some 100,000."""


class Run:
    """A run folder.

    Every file is written under a temporary name and renamed, so a run killed at any moment can be read and resumed.
    """

    def __init__(self, path: str | Path, data: str = "") -> None:
        """`data` is a path or a data set: where the data is now, if it was moved."""
        self.path, self.data = path_of(path, "path"), data

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        try:
            summary = self.summary()
            progress = self.progress() if summary is None else ""
            return run_html(self.path, self.config, summary, self.metrics(), self.samples(), progress)
        except RunError as error:
            return problem_html(self.path, str(error))

    @property
    def home(self) -> Path:
        """The folder of the run, or of the one that this is the replacement of."""
        return self.path.parent if self.is_replacement else self.path

    @property
    def is_replacement(self) -> bool:
        """Whether this is a training that has no model yet, and will then replace the run in the folder above."""
        return self.path.name == REPLACEMENT

    @property
    def replacement(self) -> "Run":
        """The training that will replace this run, if it `exists`."""
        return Run(self.path / REPLACEMENT, self.data)

    def create(
        self, config: RunConfig, corpus: Corpus, *, overwrite: bool = False, start: Model | None = None
    ) -> "Run":
        """Begin a run in a new or empty folder, with random weights or those of `start`; return it.

        With `overwrite` in a folder that holds a run, begin its replacement and return that: the old run remains until
        the new one has been evaluated. Raises `RunError` for a folder that holds anything else.
        """
        if not overwrite:
            self.check_free()
        run = self.replacement if self._holds_run() else self
        run._make_folder()
        run.delete()
        try:
            run._make_folder()
            write_atomic(run.path / "vocabulary.json", corpus.vocabulary.to_json().encode())
            if corpus.line_hashes.size:
                write_hashes(run.path / "lines.safetensors", corpus.line_hashes)
            if start is not None:
                write_tensors(run.path / "initial.safetensors", start.state_dict())
            write_json(run.path / "config.json", config)
        except RunError:
            run.discard()
            raise
        return run

    def discard(self) -> bool:
        """Remove a replacement that came to nothing; return whether this was one."""
        if self.is_replacement:
            remove_files(self.path)
        return self.is_replacement

    def take_place(self) -> None:
        """Replace the run in the folder above, if this is a replacement; the path is then that of the run."""
        if self.is_replacement:
            config = self.config
            replace_files(self.home, has_lines=config.data.format == "lines", has_initial=bool(config.carried_from))
            self.path = self.home

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
            names = {entry.name for entry in self.path.glob("*") if not is_temporary(entry)}
            if not self.path.is_dir() or not names <= {*FIRST_FILES, "lock"}:
                raise RunError(f"{self.path} is neither a run nor an empty folder: choose another `run`")
        return False

    def delete(self) -> None:
        """Remove the files of a run and nothing else.

        Raises `RunError` if the folder holds other things and no run.
        """
        self._holds_run()  # raises for other things
        remove_files(self.path)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one training, and clean up what a killed one has left.

        Raises `RunError` if another process trains here.
        """
        self._make_folder()
        with locked(self.home):
            remove_temporary(self.path)
            if not self.replacement.exists():
                self.replacement.discard()
            elif not self.exists():  # a kill while it took its place
                self.replacement.take_place()
            yield

    def is_training(self) -> bool:
        """Whether a training holds the folder now."""
        return is_locked(self.home)

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
        if self.replacement.exists() and not self.exists():
            raise RunError(f"{self.path} is incomplete, as its replacement was cut short: `resume` finishes it")
        return read_config(self.path / "config.json")

    def relabel(self, *, note: str | None = None, experiment: str | None = None) -> None:
        """Give the run another note or another experiment's name; None keeps it."""
        config, path = self.config, self.path / "config.json"
        note = config.note if note is None else note
        experiment = config.experiment if experiment is None else experiment
        write_json(path, replace(config, note=note, experiment=experiment))

    def replan(self, recipe: Recipe) -> None:
        """Keep the recipe of a training whose length was changed on its way."""
        write_json(self.path / "config.json", replace(self.config, recipe=recipe))

    def set_teachers(self, teachers: Sequence[TeacherConfig]) -> None:
        """Keep what is known of the teachers."""
        write_json(self.path / "config.json", replace(self.config, teachers=tuple(teachers)))

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
        return read_hashes(self.path / "lines.safetensors")

    def corpus(self) -> Corpus:
        """Read and split the data again, from `self.data` or from where it was read; also after the project was moved.

        Raises `RunError` if the data that the run began with is not found.
        """
        corpus = find_corpus(self.config.data, self.data, self.home)
        if corpus.vocabulary != self.vocabulary():
            raise RunError(f"{self.path / 'vocabulary.json'} does not match the data: {PUT_BACK}")
        return corpus

    def found_data(self, source: str) -> None:
        """Note where the data is now."""
        config = self.config
        if source != config.data.source and config.data.source not in DATASETS:
            write_json(self.path / "config.json", replace(config, data=replace(config.data, source=source)))

    def new_model(self) -> Model:
        """The model with its initial weights, on the run's device or, without it, on the CPU.

        Raises `UsageError` for a model that does not fit into memory.
        """
        keep_freed_memory()
        config, vocabulary = self.config, self.vocabulary()
        size, num_labels, seed = len(vocabulary), len(vocabulary.labels), config.recipe.seed
        check_fits(config.model, size, config.model_config)
        if config.carried_from is not None:
            return load_model(self.path / "initial.safetensors", config, vocabulary)
        return to_device(build(config.model, size, config.model_config, seed, num_labels), config.device)

    def model(self, device: str | None = None) -> Model:
        """The model with the best weights so far, in eval mode, on a device (default: the run's, or the CPU)."""
        path = self.path / "model.safetensors"
        if not path.exists() and self.exists():
            raise RunError(f"{self.path} {why_without_model(self.failure(), is_training=self.is_training())}")
        keep_freed_memory()
        vocabulary = self.vocabulary()
        config = self.config if device is None else replace(self.config, device=device)
        model = load_model(path, config, vocabulary)
        model.characters, model.labels = vocabulary.characters, vocabulary.labels.names
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
        checkpoint = Checkpoint(*load_checkpoint(path, self.config, self.vocabulary()))
        position = checkpoint.position
        if position is None or position.training != training_digest(self.config):
            raise RunError(f"{path} is the state of a training with other data or settings: {PUT_BACK}")
        return checkpoint

    def save_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Write a state to resume from."""
        facts = json.loads(checkpoint.facts) | {"training": training_digest(self.config)}
        write_tensors(self.path / "state.safetensors", checkpoint.tensors, json.dumps(facts))

    def metrics(self) -> list[Record]:
        """The records of the training, in order of their steps; damaged lines are left out."""
        records = []
        for line in read_json(self.path / "metrics.jsonl", bytes.splitlines, "", MAX_METRICS) or []:
            with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                records.append(msgspec.json.decode(line, type=Record))
        return sorted(records, key=lambda record: record["step"])

    def save_metrics(self, records: Sequence[Record]) -> None:
        """Write all records of the training so far."""
        write_atomic(self.path / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in records).encode())

    def summary(self) -> Summary | None:
        """The result of the run; None if it is unfinished."""
        decode = partial(msgspec.json.decode, type=Summary)
        return read_json(self.path / "summary.json", decode, "remove it and resume the run to make it again")

    def progress(self) -> str:
        """How far an unfinished run is: "stopped at step 6 of 12" or, during a training, "training, step 6 of 12"."""
        steps = [record["step"] for record in self.metrics()[-1:]]
        saved = read_facts(self.path / "state.safetensors").get("step")  # may be later than the last record
        if isinstance(saved, int) and saved <= self.config.recipe.steps:
            steps.append(saved)
        return describe_progress(self.config, max(steps, default=0), self.failure(), is_training=self.is_training())

    def failure(self) -> str | None:
        """Why the training ended without a result; None if it did not."""
        decode = msgspec.json.Decoder(Failure).decode
        failure = read_json(self.path / "failed.json", decode, "remove it, and train again")
        return None if failure is None else failure.failed

    def fail(self, reason: str, seconds: float) -> None:
        """Note that the training has ended without a result: resuming it would end in the same way."""
        write_json(self.path / "failed.json", Failure(reason, round(seconds, 3)))

    def samples(self) -> list[str]:
        """What the model generated when it was finished: a line each, or the lines of a text; empty before."""
        content = read_json(self.path / "samples.txt", bytes, "")
        return (content or b"").decode(errors="replace").splitlines()

    def finish(self, summary: Summary, samples: Sequence[str]) -> None:
        """Write the result of the run: it is then finished."""
        (self.path / "failed.json").unlink(missing_ok=True)
        write_atomic(self.path / "samples.txt", "".join(f"{sample}\n" for sample in samples).encode())
        write_json(self.path / "summary.json", summary)
