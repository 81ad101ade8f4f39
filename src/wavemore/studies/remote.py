"""What runs on the workers of a Dask cluster: a training in the worker's own folder, and answers to `cluster.py`.

A task holds all that its training needs, and its outcome all that the training leaves, so that any other worker can do
it again.
"""

import hashlib
import platform
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch

from wavemore.engine.process import keep_freed_memory
from wavemore.engine.threads import set_threads
from wavemore.errors import DataError, RunError, WavemoreError
from wavemore.files import move
from wavemore.runs.config import DataConfig
from wavemore.runs.transfer import read_files, write_files
from wavemore.studies.job import Job, Result, load, train_until
from wavemore.text.corpus import DataFile
from wavemore.version import __version__

BEGUN = -1
"""Instead of a step, in the event that says on which worker a training has begun."""


@dataclass(frozen=True)
class Facts:
    """What has to be equal on all machines so that all give the same results."""

    wavemore: str
    python: str
    torch: str
    numpy: str
    threads: int = 1
    """Tasks at a time in one process: trainings in one process would share torch's setting of its threads."""
    machine: str = field(default="", compare=False)
    """The processor's instruction set; the last bits of a result may depend on it."""

    def differences(self, other: "Facts") -> str:
        """What is different there; empty if nothing is."""
        names = [
            name for name in ("wavemore", "python", "torch", "numpy") if getattr(self, name) != getattr(other, name)
        ]
        found = [f"{name} {getattr(other, name)} instead of {getattr(self, name)}" for name in names]
        if other.threads != self.threads:
            found.append(f"{other.threads} threads in one process (start it with --nthreads 1)")
        return ", ".join(found)


def facts(dask_worker: Any = None) -> Facts:
    """The facts of this machine; `dask_worker` is set by `Client.run`."""
    return Facts(
        wavemore=f"{__version__} ({_source_digest()})",
        python=".".join(platform.python_version_tuple()[:2]),
        torch=str(torch.__version__).split("+")[0],
        numpy=numpy.__version__,
        threads=1 if dask_worker is None else dask_worker.state.nthreads,
        machine=f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
    )


@cache
def _source_digest() -> str:
    """The beginning of a checksum of wavemore's own source: versions of a checkout have one number."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:8]


@dataclass(frozen=True)
class Task:
    """A training, as it is sent to a worker."""

    job: Job
    """Its path is that on the machine that sends it."""
    contents: dict[str, bytes]
    """The files of its folder, if it was begun before."""
    facts: Facts
    """Those of the machine that sends it."""
    topic: str
    """Where the worker says how far the training is: key of the task, address of the worker, step, val loss."""


@dataclass(frozen=True)
class Outcome:
    """What a worker sends back."""

    contents: dict[str, bytes]
    """The files of the run's folder."""
    result: Result | None
    """None if the training was stopped before its end."""
    lacks_data: bool = False
    """The worker does not have the data: nothing was trained."""


_stopped: set[str] = set()
"""Keys of the tasks of this process that should end soon."""

_folders: dict[str, Path] = {}
"""Where the tasks that run in this process train, by key."""

_training = threading.Lock()
"""Held while this process trains."""


def stop_tasks(keys: Sequence[str]) -> None:
    """Let tasks end soon, if they run here or will."""
    _stopped.update(keys)


def read_checkpoint(key: str) -> dict[str, bytes]:
    """The files of a training as they are now; empty if it does not run here."""
    folder = _folders.get(key)
    return {} if folder is None else read_files(folder)


def content(of_file: bytes) -> bytes:
    """A file of data as the result of a task, which Dask sends to each worker once, and makes again if it is lost."""
    return of_file


def train_on_worker(task: Task, *data: bytes) -> Outcome:
    """Train in a folder of this worker; `data` are the files of the data, if the worker does not have them."""
    from distributed import get_worker

    worker: Any = get_worker()
    if differences := task.facts.differences(facts(worker)):
        raise RunError(f"worker {worker.address} has {differences}: it would give other results")
    key, home = worker.get_current_task(), Path(worker.local_directory) / "wavemore"
    try:
        where = _local_data(task.job.data or task.job.config.data, home / "data", data)
    except WavemoreError:  # another file is at that path, perhaps one that cannot be read in this way
        if data:
            raise
        return Outcome({}, None, lacks_data=True)
    job = replace(task.job, path=home / key, data=where)
    with _training, _without_profiler(worker):  # two at a time would change each other's number of threads
        set_threads(1)
        keep_freed_memory()
        _folders[key] = job.path
        try:
            job.path.mkdir(parents=True)
            write_files(job.path, task.contents)
            worker.log_event(task.topic, [key, worker.address, BEGUN, None])
            result = train_until(
                job,
                lambda: key in _stopped or not _is_wanted(worker, key),
                lambda step, nats: worker.log_event(task.topic, [key, worker.address, step, nats]),
            )
            return Outcome(read_files(job.path), result)
        finally:
            del _folders[key]
            shutil.rmtree(job.path, ignore_errors=True)


@contextmanager
def _without_profiler(worker: Any) -> Iterator[None]:
    """Dask looks at the stack of a task a hundred times a second, which takes time from a training."""
    profiler = worker.periodic_callbacks.get("profile")
    if profiler is None:
        yield
        return
    worker.loop.add_callback(profiler.stop)
    try:
        yield
    finally:
        worker.loop.add_callback(profiler.start)


def _is_wanted(worker: Any, key: str) -> bool:
    """Whether somebody waits for a task: not after the runner was killed, or when this worker is told to end."""
    state = worker.state.tasks.get(key)
    return worker.status.name in ("running", "paused") and state is not None and state.state != "cancelled"


def _local_data(data: DataConfig, folder: Path, contents: Sequence[bytes]) -> DataConfig:
    """Where the data is on this machine: at the same path, or else in `folder`, where the contents are written.

    Raises `DataError` if it is not there, or has another checksum.
    """
    if contents:
        places = iter([_kept(folder, file, content) for file, content in zip(files_of(data), contents, strict=True)])
        data = with_places(data, lambda file: next(places))
    corpus = load(data)
    found = (corpus, *corpus.more_files, corpus.val_file, corpus.test_file)
    expected = (data, *data.more_files, data.val_file, data.test_file)
    if any(a and b and a.sha256 != b.sha256 for a, b in zip(found, expected, strict=True)):
        raise DataError(f"{data.source} is another file here: its content differs")
    return data


def _kept(folder: Path, file: DataFile, content: bytes) -> str:
    """Write a file of data, unless it was written before; its name says how it is compressed."""
    path = folder / file.sha256[:16] / Path(file.source).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(content)
        move(part, path)
    return str(path)


def files_of(data: DataConfig) -> list[DataFile]:
    """All files of the data."""
    first = DataFile(data.source, data.sha256, data.encoding, data.size or 1, data.layout)
    return [first, *data.more_files, *(file for file in (data.val_file, data.test_file) if file is not None)]


def with_places(data: DataConfig, place: Callable[[DataFile], str]) -> DataConfig:
    """The same data at other places."""
    first, *others = files_of(data)
    source, moved = place(first), [replace(file, source=place(file)) for file in others]
    own = iter(moved[len(data.more_files) :])
    return replace(
        data,
        source=source,
        more_files=tuple(moved[: len(data.more_files)]),
        val_file=None if data.val_file is None else next(own),
        test_file=None if data.test_file is None else next(own),
    )
