"""The run folder: everything that a training leaves behind, readable and resumable whenever the training was stopped.

config.json          what was built, on what, how, by which version and command
vocabulary.json      the characters
lines.safetensors    hashes of the data's lines, to tell new lines from known ones; of a text there is none
model.safetensors    the weights with the best val loss so far
state.safetensors    the training between two steps: what resuming needs
metrics.jsonl        one record a line: train and val loss over the steps
summary.json         the end: losses, size, seconds, environment
samples.txt          lines that the model made
tensorboard/         the records again, where TensorBoard is to show them
label.json           a note and an experiment's name that were given later, where there are such
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NotRequired, TypedDict

import filelock
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from wavemore.engine.fit import Checkpoint
from wavemore.errors import DataError, RunError, UsageError
from wavemore.runs.config import Config, read_config, read_label, write_config, write_label
from wavemore.files import write_atomic
from wavemore.runs.record import Record, Summary
from wavemore.runs.tensors import read_tensors, write_tensors
from wavemore.runs.memory_check import check_fits
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load, load_text
from wavemore.text.continuous import TextStream
from wavemore.text.vocabulary import Vocabulary


class Run:
    """A run folder.

    Every file is written beside its place and moved there, so a run killed at any moment can be read and resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def _repr_html_(self) -> str:
        from wavemore.runs.display import run_html

        return run_html(self)

    def create(self, config: Config, corpus: Corpus | TextStream, *, overwrite: bool = False) -> None:
        """Begin a run in a new or empty folder, or with `overwrite` in place of the run that is there.

        Raises `RunError` where anything else is in the folder already.
        """
        if overwrite:
            self.delete()
        else:
            self.check_free()
        path = self.path
        self._make()
        write_atomic(path / "vocabulary.json", corpus.vocabulary.to_json().encode())
        if isinstance(corpus, Corpus):
            hashes = torch.from_numpy(corpus.line_hashes.view(np.int64))  # safetensors of every version has signed ones
            owner = _owner(config, corpus.vocabulary)
            write_tensors(path / "lines.safetensors", {"hashes": hashes}, owner=owner)
        write_config(path / "config.json", config)  # last: with it the folder is a run

    def check_free(self) -> None:
        """Raise `RunError` where the folder holds a run or anything else."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; a run is a folder: take another --run")
        if not self.path.is_dir() or self._is_free():
            return
        if not self._holds_run():
            raise RunError(f"{self.path} is not empty and holds no run: take another --run")
        if self.exists():
            raise RunError(
                f"{self.path} holds a run already: go on with --resume, replace it with --overwrite, "
                "or take another --run"
            )
        raise RunError(
            f"{self.path} holds a run without its config.json: put that back, replace the run with --overwrite, "
            "or take another --run"
        )

    @property
    def events(self) -> Path:
        """The folder of what TensorBoard reads."""
        return self.path / "tensorboard"

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "config.json").exists()

    def _is_free(self) -> bool:
        """Whether the folder holds nothing but what a run leaves that was killed before it was begun."""
        return all(entry.name in (*BEFORE_CONFIG, "lock") or _is_beside(entry) for entry in self.path.iterdir())

    def _holds_run(self) -> bool:
        """Whether the files are a run's: a `config.json` alone may be anybody's."""
        if all((self.path / name).exists() for name in BEFORE_CONFIG):
            return True
        try:
            return (self.path / "vocabulary.json").exists() and self.config.data.text == "stream"
        except RunError:
            return False

    def delete(self) -> None:
        """Remove a run and nothing else: other files in the folder stay.

        Raises `RunError` where the folder holds other things and no run.
        """
        if not self._is_free() and not self._holds_run():
            raise RunError(f"{self.path} is not empty and holds no run, so there is nothing to overwrite")
        for file in self.events.glob("events.out.tfevents.*"):
            file.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files are in it, or there is none
            self.events.rmdir()
        for name in (LABEL, *FILES):
            (self.path / name).unlink(missing_ok=True)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one training.

        Raises `RunError` when another process trains here; a killed process holds nothing.
        """
        self._make()
        lock = filelock.FileLock(self.path / "lock")
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            raise RunError(f"another training is writing to {self.path}: wait for it, or take another --run") from None
        except OSError as error:
            raise RunError(f"cannot write to {self.path}: {error.strerror}") from None
        try:
            for entry in self.path.iterdir():
                if _is_beside(entry):  # a killed process had no time to remove it
                    entry.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {self.path}: {error.strerror}") from None

    @property
    def config(self) -> Config:
        """What the run is, under the note and the experiment's name that it was given last."""
        if not self.path.exists():
            raise RunError(f"there is no run at {self.path}; `wavemore log` lists the runs that there are")
        config = read_config(self.path / "config.json")
        return read_label(self.path / LABEL).on(config)

    def relabel(self, *, note: str | None = None, experiment: str | None = None) -> None:
        """Give the run another note or another experiment's name; None leaves it as it is."""
        if not self.exists():
            raise RunError(f"{self.path} is no complete run (it has no config.json), so it cannot be named")
        label = read_label(self.path / LABEL)
        if note is not None:
            label = replace(label, note=note)
        if experiment is not None:
            label = replace(label, experiment=experiment)
        write_label(self.path / LABEL, label)

    def vocabulary(self) -> Vocabulary:
        """The characters that the model knows."""
        try:
            return Vocabulary.from_json((self.path / "vocabulary.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, DataError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RunError(f"{self.path / 'vocabulary.json'} cannot be read: {why}") from None

    def owner(self) -> str:
        """What the tensors on disk belong to: a digest of all that decides what they hold."""
        return _owner(self.config, self.vocabulary())

    def line_hashes(self) -> NDArray[np.uint64]:
        """Sorted hashes of the data's lines."""
        tensors, _ = read_tensors(self.path / "lines.safetensors", owner=self.owner())
        return tensors["hashes"].numpy().view(np.uint64)

    def corpus(self) -> Corpus:
        """The lines, read and split again.

        Raises `RunError` when the file is not the one that the run began with, or is a continuous text.
        """
        data = self.data()
        if isinstance(data, TextStream):
            raise RunError(f"{self.path} was trained on a continuous text, and this looks at lists of lines")
        return data

    def data(self) -> Corpus | TextStream:
        """The lines or the text, read and split again.

        Raises `RunError` when the file is not the one that the run began with.
        """
        data = self.config.data
        corpus: Corpus | TextStream
        if not data.source:
            raise RunError(f"{self.path} was trained on lines that were in no file, so they cannot be read again")
        try:
            if data.share is not None:
                corpus = load_text(data.source, share=data.share, encoding=data.encoding)
            elif data.split == "share":
                raise RunError(f"{self.path / 'config.json'} has a split by share without the share: put it back")
            else:
                corpus = load(data.source, split=data.split, split_seed=data.split_seed, encoding=data.encoding)
        except DataError as error:
            raise RunError(f"the data of {self.path} cannot be read again: {error}") from None
        if corpus.sha256 != data.sha256:
            raise RunError(
                f"{data.source} has changed since {self.path} was begun: put the old file back, or train again"
            )
        if corpus.vocabulary != self.vocabulary():
            raise RunError(f"{self.path / 'vocabulary.json'} is not that of the data: put it back, or train again")
        return corpus

    def new_model(self) -> Model:
        """The model with its first weights, on the run's device.

        Raises `UsageError` for a model that does not fit into memory, and for a device that this machine lacks.
        """
        config, size = self.config, len(self.vocabulary())
        check_fits(size, config.settings)
        return _on(config.device, build(config.model, size, config.settings, seed=config.recipe.seed))

    def model(self) -> Model:
        """The model with the kept weights, in eval mode, on the run's device or, where there is none, on the CPU."""
        path = self.path / "model.safetensors"
        if not path.exists() and self.exists():
            raise RunError(
                f"{self.path} was stopped before its first evaluation, so it has no model yet: "
                f"wavemore train --resume --run {self.path}"
            )
        tensors, _ = read_tensors(path, owner=self.owner())  # first: a changed config.json may say anything
        config, size = self.config, len(self.vocabulary())
        check_fits(size, config.settings)
        model = build(config.model, size, config.settings, seed=config.recipe.seed)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise RunError(f"{path} does not fit config.json: {str(error).splitlines()[-1].strip()}") from None
        try:
            model = _on(config.device, model)
        except UsageError:
            model = _on("cpu", model)
        return model.eval()

    def checkpoint(self) -> Checkpoint | None:
        """Where to go on from; None where nothing was saved yet."""
        if not (self.path / "state.safetensors").exists():
            return None
        return Checkpoint(*read_tensors(self.path / "state.safetensors", owner=self.owner()))

    def metrics(self) -> list[Record]:
        """The records of the training, in order of their steps; a damaged line is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_bytes().splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"cannot read {self.path / 'metrics.jsonl'}: {error.strerror}") from None
        records = []
        for line in lines:
            try:
                record = msgspec.json.decode(line, type=Record)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            records.append(record)
        return records

    def summary(self) -> Summary | None:
        """How the run ended; None where it has not."""
        try:
            return msgspec.json.decode((self.path / "summary.json").read_bytes(), type=Summary)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise RunError(f"cannot read {self.path / 'summary.json'}: {error.strerror}") from None
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = str(error).splitlines()[0]
            raise RunError(
                f"{self.path / 'summary.json'} is damaged or was changed ({why}); remove it, then "
                f"wavemore train --resume --run {self.path} makes it anew"
            ) from None

    def finish(self, summary: Summary, samples: list[str]) -> None:
        """Write how the run ended."""
        write_atomic(self.path / "samples.txt", "".join(line + "\n" for line in samples).encode())
        write_atomic(self.path / "summary.json", json.dumps(asdict(summary), indent=2).encode() + b"\n")


BEFORE_CONFIG = ("vocabulary.json", "lines.safetensors")
"""What a run that was begun has beside config.json."""

FILES = [
    "config.json",
    "model.safetensors",
    "state.safetensors",
    "metrics.jsonl",
    "summary.json",
    "samples.txt",
    *BEFORE_CONFIG,
]
"""In the order in which a run is removed: what is left half-way is still known as a run, or as nothing."""


LABEL = "label.json"
"""Beside them only where a run was named after it was begun."""


def _is_beside(path: Path) -> bool:
    """Whether this is a file that `write_atomic` had not moved to its place yet: `.<name>.<process>.tmp`."""
    return path.name.endswith(".tmp") and path.name[1:].rsplit(".", 2)[0] in (LABEL, *FILES)


def _owner(config: Config, vocabulary: Vocabulary) -> str:
    data = config.data
    recipe = asdict(config.recipe)
    # What came later is left out where it says nothing, so that runs from before are known again.
    if data.share is None:
        recipe = {name: value for name, value in recipe.items() if name not in ("stretch", "lead_in")}
    if config.recipe.precision == "float32":
        del recipe["precision"]
    if not config.teachers:
        del recipe["teacher_share"]
    decides: list[Any] = [config.model, config.settings, recipe, data.sha256, data.split, data.split_seed]
    if data.share is not None:
        decides.append(data.share)
    if config.teachers:
        decides.append([teacher.sha256 for teacher in config.teachers])
    return hashlib.sha256(msgspec.json.encode([*decides, vocabulary.characters])).hexdigest()


def _on(device: str, model: Model) -> Model:
    try:
        return model.to(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
