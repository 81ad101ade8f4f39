"""The run folder: everything that a training leaves behind, readable and resumable whenever the training was stopped.

config.json          what was built, on what, how, by which version and command
vocabulary.json      the characters
lines.safetensors    hashes of the data's lines, to tell new lines from known ones
model.safetensors    the weights with the best val loss so far
state.safetensors    the training between two steps: what resuming needs
metrics.jsonl        one record a line: train and val loss over the steps
summary.json         the end: losses, size, seconds, environment
samples.txt          lines that the model made
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import filelock
import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from wavemore.engine.fit import Checkpoint, Progress
from wavemore.errors import DataError, RunError
from wavemore.lab.config import Config, read_config, write_config
from wavemore.lab.files import read_tensors, write_tensors, write_whole
from wavemore.nn.models import build
from wavemore.nn.tree import Tree
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load
from wavemore.text.vocabulary import Vocabulary

CHECKPOINT_SECONDS = 20.0
"""How much training a kill may cost at most, where evaluations are further apart."""


@dataclass(frozen=True)
class Summary:
    """How a run ended; losses are nats per character, of the state that was kept."""

    train_nats: float
    val_nats: float
    leak_free_val_nats: float | None
    """None where train holds every val line."""
    parameters: int
    steps: int
    best_step: int
    train_seconds: float
    """Training alone, without evaluation, over all stretches of a resumed run."""
    finished: str
    environment: dict[str, str | int]


class Run:
    """A run folder.

    Every file is written beside its place and moved there, so a run killed at any moment can be read and resumed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, config: Config, corpus: Corpus) -> None:
        """Begin a run in a new or empty folder.

        Raises `RunError` where anything is in the folder already.
        """
        self.check_free()
        path = self.path
        self._make()
        write_whole(path / "vocabulary.json", corpus.vocabulary.to_json().encode())
        hashes = torch.from_numpy(corpus.line_hashes.view(np.int64))  # safetensors of every version has signed ones
        write_tensors(path / "lines.safetensors", {"hashes": hashes})
        write_config(path / "config.json", config)  # last: with it the folder is a run

    def check_free(self) -> None:
        """Raise `RunError` where the folder holds a run or anything else."""
        if self.path.exists() and not self.path.is_dir():
            raise RunError(f"{self.path} is a file; a run is a folder: take another --run")
        if self.exists():
            raise RunError(
                f"{self.path} holds a run already: go on with --resume, replace it with --overwrite, "
                "or take another --run"
            )
        if self.path.is_dir() and any(not _is_ours(entry) for entry in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and holds no run: take another --run")

    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "config.json").exists()

    def delete(self) -> None:
        """Remove a run and nothing else: other files in the folder stay."""
        for entry in [self.path / "config.json", *self.path.iterdir()]:
            if _is_ours(entry) and entry.name != "lock":
                entry.unlink(missing_ok=True)

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
        """What the run is."""
        if not self.path.exists():
            raise RunError(f"there is no run at {self.path}; `wavemore log` lists the runs that there are")
        return read_config(self.path / "config.json")

    def vocabulary(self) -> Vocabulary:
        """The characters that the model knows."""
        try:
            return Vocabulary.from_json((self.path / "vocabulary.json").read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, DataError) as error:
            raise RunError(f"{self.path / 'vocabulary.json'} is missing or damaged: {error}") from None

    def line_hashes(self) -> NDArray[np.uint64]:
        """Sorted hashes of the data's lines."""
        tensors, _ = read_tensors(self.path / "lines.safetensors")
        return tensors["hashes"].numpy().view(np.uint64)

    def corpus(self) -> Corpus:
        """The data, read and split again.

        Raises `RunError` when the file is not the one that the run began with.
        """
        data = self.config.data
        if not data.source:
            raise RunError(f"{self.path} was trained on lines that were in no file, so they cannot be read again")
        corpus = load(data.source, split=data.split, split_seed=data.split_seed, encoding=data.encoding)
        if corpus.sha256 != data.sha256:
            raise RunError(
                f"{data.source} has changed since {self.path} was begun: put the old file back, or train again"
            )
        return corpus

    def new_model(self) -> Tree:
        """The model with its first weights, on the run's device."""
        config = self.config
        return build(config.model, len(self.vocabulary()), config.settings, seed=config.recipe.seed).to(config.device)

    def model(self) -> Tree:
        """The model with the kept weights, in eval mode."""
        if not (self.path / "model.safetensors").exists() and self.exists():
            raise RunError(
                f"{self.path} was stopped before its first evaluation, so it has no model yet: "
                f"wavemore train --resume --run {self.path}"
            )
        model = self.new_model()
        tensors, _ = read_tensors(self.path / "model.safetensors")
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise RunError(
                f"{self.path / 'model.safetensors'} does not fit config.json: {str(error).splitlines()[-1].strip()}"
            ) from None
        return model.eval()

    def checkpoint(self) -> Checkpoint | None:
        """Where to go on from; None where nothing was saved yet."""
        if not (self.path / "state.safetensors").exists():
            return None
        return Checkpoint(*read_tensors(self.path / "state.safetensors"))

    def metrics(self) -> list[dict[str, Any]]:
        """The records of the training, in order of their steps; a damaged line is left out."""
        try:
            lines = (self.path / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise RunError(f"cannot read {self.path / 'metrics.jsonl'}: {error.strerror}") from None
        records = []
        for line in lines:
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(record, dict) and isinstance(record.get("step"), int):
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
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise RunError(f"{self.path / 'summary.json'} is damaged: {error}") from None

    def finish(self, summary: Summary, samples: list[str]) -> None:
        """Write how the run ended."""
        write_whole(self.path / "samples.txt", "".join(line + "\n" for line in samples).encode())
        write_whole(self.path / "summary.json", json.dumps(asdict(summary), indent=2).encode() + b"\n")


class Recorder:
    """Keeps a run folder up to date with the records of `fit`."""

    def __init__(self, run: Run, checkpoint: Checkpoint | None) -> None:
        self.run = run
        done = json.loads(checkpoint.facts)["step"] if checkpoint else 0
        self.records = [record for record in run.metrics() if record["step"] <= done]
        self.seconds_before = float(self.records[-1]["seconds"]) if self.records else 0.0
        self._last: Progress | None = None
        self._saved_step = done
        self._saved_at = time.monotonic()
        self._best_step = int(json.loads(checkpoint.facts)["best_step"]) if checkpoint else 0
        if checkpoint is not None:  # a kill between the two writes of `_save` may have left the older weights here
            self._write_model(
                {n.removeprefix("best."): t for n, t in checkpoint.tensors.items() if n.startswith("best.")}
            )

    def add(self, progress: Progress) -> None:
        """Take up a record; write to disk at evaluations and every 20 seconds."""
        self._last = progress
        if progress.logged:
            self.records.append(
                {
                    "step": progress.step,
                    "epoch": round(progress.epoch, 4),
                    "learning_rate": progress.learning_rate,
                    "train_nats": progress.train_nats,
                    **({} if progress.val_nats is None else {"val_nats": progress.val_nats}),
                    "seconds": round(self.seconds_before + progress.seconds, 3),
                }
            )
        if progress.val_nats is not None or time.monotonic() - self._saved_at > CHECKPOINT_SECONDS:
            self._save(progress)

    @property
    def last_step(self) -> int:
        """Steps done so far."""
        return self._last.step if self._last else self._saved_step

    @property
    def best_step(self) -> int:
        """The step whose state is kept."""
        return self._last.best_step if self._last else self._best_step

    @property
    def train_seconds(self) -> float:
        """Training time over all stretches of the run."""
        return self.seconds_before + (self._last.seconds if self._last else 0.0)

    def save(self) -> None:
        """Write the state after the last record; where no val loss was taken yet, its weights are the kept ones."""
        if self._last is None:
            return
        if self._last.step != self._saved_step:
            self._save(self._last)
        if not self._last.best_state():
            tensors = self._last.checkpoint().tensors
            self._write_model({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})

    def _save(self, progress: Progress) -> None:
        checkpoint = progress.checkpoint()
        write_whole(self.run.path / "metrics.jsonl", "".join(json.dumps(r) + "\n" for r in self.records).encode())
        write_tensors(self.run.path / "state.safetensors", checkpoint.tensors, checkpoint.facts)
        if progress.is_best:
            self._write_model(progress.best_state())
        self._saved_step, self._saved_at = progress.step, time.monotonic()

    def _write_model(self, state: dict[str, torch.Tensor]) -> None:
        if state:
            write_tensors(self.run.path / "model.safetensors", state)


def find_runs(folders: list[Path] | None = None) -> list[Run]:
    """Runs in the given folders, or in `runs/` and here, oldest first."""
    folders = folders or [Path("runs"), Path()]
    found: dict[Path, float] = {}
    for folder in folders:
        entries = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
        for entry in entries:
            try:
                found[entry] = (entry / "config.json").stat().st_mtime_ns
            except OSError:
                continue
    return [Run(path) for path in sorted(found, key=lambda path: (found[path], path))]


def find_run(name: str = "latest") -> Run:
    """The run of that path or of that name in `runs/`; `latest` is the one that was begun last.

    Raises `RunError` where there is none.
    """
    if name == "latest":
        runs = find_runs()
        if not runs:
            raise RunError("there is no run here yet: `wavemore train` makes one")
        return runs[-1]
    for path in (Path(name), Path("runs") / name):
        if path.is_dir():
            return Run(path)
    raise RunError(f"there is no run {name!r}; `wavemore log` lists the runs that there are")


def is_run(name: str) -> bool:
    """Whether `find_run` finds something of that name."""
    return name == "latest" or Path(name).is_dir() or (Path("runs") / name).is_dir()


def next_run_path(name: str) -> Path:
    """A path in `runs/` that is not taken: `runs/<name>-<number>`."""
    taken = {path.name for path in Path("runs").iterdir()} if Path("runs").is_dir() else set()
    number = 1
    while f"{name}-{number}" in taken:
        number += 1
    return Path("runs") / f"{name}-{number}"


FILES = [
    "config.json",
    "vocabulary.json",
    "lines.safetensors",
    "model.safetensors",
    "state.safetensors",
    "metrics.jsonl",
    "summary.json",
    "samples.txt",
    "lock",
]


def _is_ours(path: Path) -> bool:
    return path.name in FILES or (path.name.endswith(".tmp") and path.name[1:].rsplit(".", 2)[0] in FILES)
