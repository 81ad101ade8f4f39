"""Trainings on the workers of a Dask cluster: the pool of `pool.open_pool` with the address of a scheduler.

One thread of this process keeps the state: it sends as many trainings as there are workers, writes the folders that
come back to their place, and sends again what was lost. Other threads put calls for it into its inbox.
"""

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from wavemore.errors import RunError, WavemoreError
from wavemore.runs.config import DataConfig
from wavemore.runs.run import Run
from wavemore.runs.transfer import read_files, write_files
from wavemore.studies.connection import AGAIN, check_workers, connected, explained, first_line, submit
from wavemore.studies.job import Job, Progress, Result
from wavemore.studies.remote import (
    BEGUN,
    Outcome,
    Task,
    content,
    facts,
    files_of,
    read_checkpoint,
    stop_tasks,
    train_on_worker,
    with_places,
)
from wavemore.text.datasets import DATASETS, locate

LOOK_SECONDS = 1.0
"""How often the workers are counted."""
CHECKPOINT_SECONDS = 60.0
"""The least time between two checkpoints that are brought home; longer if that takes over a twentieth of the time."""
SAVE_SECONDS = 60.0
"""How long the end waits for the folders of the trainings that it stops."""


@dataclass(eq=False)
class _Training:
    """A training that is not finished."""

    job: Job
    future: Future[Result | None]
    held: ExitStack = field(default_factory=ExitStack)
    """The lock of its folder."""
    key: str = ""
    """That of its task."""
    dask_future: Any = None
    worker: str = ""
    """The address of the worker where it has begun."""
    checkpoint_due: float = 0.0
    has_checkpoint: bool = False
    """Whether the folder has a newer state than the task was sent with."""
    is_stopped: bool = False
    gather_seconds: float = 60.0
    """How long to wait for its outcome."""


class Cluster:
    """A pool of the workers of a Dask scheduler."""

    def __init__(self, address: str) -> None:
        """Connect. Raises `RunError` if there is no scheduler, or if a worker would give other results."""
        self._address, self._topic = address, f"wavemore-{uuid.uuid4().hex[:8]}"
        self._inbox: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._waiting: deque[_Training] = deque()
        self._running: dict[str, _Training] = {}
        self._data: dict[DataConfig, list[Any]] = {}  # the files that were sent
        self._losses: deque[Progress] = deque()
        self._places: dict[Path, str] = {}
        self._problem: Exception | None = None
        self._ends_at: float | None = None
        self._count, self._looked_at, self._facts = 0, 0.0, facts()
        with ExitStack() as stack:
            self._client = stack.enter_context(connected(address))
            self._news = deque(check_workers(self._client))
            self._client.subscribe_topic(self._topic, lambda event: self._inbox.put(partial(self._hear, *event[1])))
            self._workers = self._most = len(self._client.nthreads())
            if not self._workers:
                self._news.append(f"no worker is there yet; {_waiting_for_one(address)}")
            self._connection = stack.pop_all()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def size(self) -> int:
        """The most workers that there were at one time."""
        return self._most

    def submit(self, job: Job) -> Future[Result | None]:
        """Queue a training."""
        training = _Training(job, Future())
        training.future.set_running_or_notify_cancel()  # it is stopped by `stop` alone
        self._inbox.put(lambda: self._waiting.append(training))
        return training.future

    def stop(self, job: Job) -> None:
        """Let a training end soon."""
        self._inbox.put(partial(self._stop, job.path))

    def progress(self) -> list[Progress]:
        """The new val losses."""
        return [self._losses.popleft() for _ in range(len(self._losses))]

    def news(self) -> list[str]:
        """What has happened to the workers since the last call."""
        return [self._news.popleft() for _ in range(len(self._news))]

    def place(self, job: Job) -> str:
        """The worker on which a training has ended, or runs."""
        return self._places.get(job.path, "")

    def close(self) -> None:
        """Stop all trainings, and bring their folders home."""
        try:
            self._inbox.put(self._end)
            self._thread.join(SAVE_SECONDS + 30)
        finally:
            self._connection.close()

    # All that follows runs in the thread.

    def _work(self) -> None:
        while self._ends_at is None or (self._running and self._workers and time.monotonic() < self._ends_at):
            try:
                action = self._inbox.get(timeout=LOOK_SECONDS)
            except Empty:
                action = _nothing
            try:
                action()
                self._look()
                self._send()
            except OSError as error:
                self._fail(RunError(f"the connection to {self._address} is broken ({first_line(error)}); {AGAIN}"))
            except Exception as error:  # noqa: BLE001 (who waits for the trainings gets it)
                self._fail(error)
        for training in list(self._running.values()):
            self._release(training)
            training.future.set_result(None)

    def _look(self) -> None:
        """Count the workers, now and then."""
        if self._problem or time.monotonic() < self._looked_at + LOOK_SECONDS:
            return
        if self._client.status != "running":
            raise self._is_gone()
        before, self._workers = self._workers, len(self._client.nthreads())
        self._looked_at, self._most = time.monotonic(), max(self._most, self._workers)
        if self._workers != before:
            self._news.append(_changed(before, self._workers, self._address))

    def _is_gone(self) -> RunError:
        return RunError(
            f"the Dask scheduler at {self._address} is gone, or the connection to it; if it has ended, start it and "
            f"its workers again; then {AGAIN}"
        )

    def _send(self) -> None:
        """Begin as many trainings as there are workers, at least one."""
        while self._waiting and len(self._running) < max(1, self._workers):
            training = self._waiting.popleft()
            if self._problem:
                training.future.set_exception(self._problem)
                continue
            try:
                training.held.enter_context(Run(training.job.path).lock())
            except WavemoreError as error:
                training.future.set_exception(error)
            else:
                self._submit(training)

    def _submit(self, training: _Training) -> None:
        try:
            self._send_task(training)
        except Exception as error:  # noqa: BLE001 (who waits for the training gets it)
            self._refuse(training, error)

    def _refuse(self, training: _Training, error: Exception) -> None:
        """Give a training up."""
        self._release(training)
        if isinstance(error, OSError):
            error = RunError(f"cannot train {training.job.path} on {self._address} ({first_line(error)}); {AGAIN}")
        training.future.set_exception(error)

    def _send_task(self, training: _Training) -> None:
        job = training.job
        data = _shared_data(job.config.data)
        task = Task(replace(job, data=data), read_files(job.path), self._facts, self._topic)
        self._count += 1
        training.key, training.worker, training.has_checkpoint = f"{self._topic}-{self._count}", "", False
        self._running[training.key] = training
        training.dask_future = submit(
            self._client,
            train_on_worker,
            task,
            *self._data.get(data, ()),
            key=training.key,
            pure=False,
            priority=-self._count,
            resources=None if job.config.device == "cpu" else {"GPU": 1},
        )
        self._listen(training)

    def _listen(self, training: _Training) -> None:
        training.dask_future.add_done_callback(lambda done: self._inbox.put(partial(self._receive, training, done)))

    def _receive(self, training: _Training, done: Any) -> None:
        """Take what a worker has sent back."""
        if training.dask_future is not done or training.key not in self._running:  # was sent again, or given up
            return
        if done.status == "cancelled":
            raise self._is_gone()
        if done.status == "error":
            self._refuse(training, explained(done.exception(), self._address))
            return
        try:
            outcome = done.result(training.gather_seconds)
        except TimeoutError:  # its worker has gone, and the training is done again, or the network is slow
            training.gather_seconds *= 2
            self._listen(training)
            return
        self._take(training, outcome)

    def _take(self, training: _Training, outcome: Outcome) -> None:
        self._running.pop(training.key)
        training.dask_future = None  # so that the worker forgets the files
        try:
            if outcome.lacks_data:
                self._share(_shared_data(training.job.config.data))
            else:
                write_files(training.job.path, outcome.contents)
        except (OSError, WavemoreError) as error:
            self._refuse(training, error)
            return
        if outcome.result is None and not training.is_stopped:  # the worker lacks the data, or has to end
            self._submit(training)
            return
        training.held.close()
        training.future.set_result(outcome.result)

    def _share(self, data: DataConfig) -> None:
        """Send the files of the data; Dask copies them to each worker that needs them, once."""
        if data not in self._data:
            self._data[data] = [
                submit(self._client, content, Path(file.source).read_bytes(), key=f"wavemore-data-{file.sha256}")
                for file in files_of(data)
            ]

    def _hear(self, key: str, worker: str, step: int, nats: float | None) -> None:
        """A worker says how far a training is."""
        training = self._running.get(key)
        if training is None:
            return
        self._places[training.job.path] = worker.partition("://")[2]
        if step == BEGUN:
            self._begun(training, worker)
        elif nats is not None:
            self._losses.append(Progress(training.job, step, nats))
            if time.monotonic() >= training.checkpoint_due and not training.is_stopped:
                self._bring_checkpoint(training)

    def _begun(self, training: _Training, worker: str) -> None:
        lost, training.worker = training.worker, worker
        training.checkpoint_due = time.monotonic() + CHECKPOINT_SECONDS
        if lost:
            self._news.append(f"the worker {lost} was lost; its training begins again on {worker}")
        if training.is_stopped:  # a worker that has come since then does not know
            self._client.run(stop_tasks, [training.key], workers=[worker], on_error="ignore")
        elif lost and training.has_checkpoint:  # the task was sent with an older one
            del self._running[training.key]
            training.dask_future.cancel()
            self._submit(training)

    def _bring_checkpoint(self, training: _Training) -> None:
        start = time.monotonic()
        found = self._client.run(read_checkpoint, training.key, workers=[training.worker], on_error="ignore")
        for contents in found.values():
            if "state.safetensors" in contents:
                write_files(training.job.path, contents)
                training.has_checkpoint = True
        end = time.monotonic()
        training.checkpoint_due = end + max(CHECKPOINT_SECONDS, 20 * (end - start))

    def _stop(self, path: Path) -> None:
        for training in [each for each in self._waiting if each.job.path == path]:
            self._waiting.remove(training)
            training.future.set_result(None)
        self._stop_running([training for training in self._running.values() if training.job.path == path])

    def _stop_running(self, trainings: list[_Training]) -> None:
        for training in trainings:
            training.is_stopped = True
        if trainings:
            self._client.run(stop_tasks, [training.key for training in trainings], on_error="ignore")

    def _end(self) -> None:
        self._ends_at = time.monotonic() + SAVE_SECONDS
        while self._waiting:
            self._waiting.popleft().future.set_result(None)
        self._stop_running(list(self._running.values()))

    def _release(self, training: _Training) -> None:
        self._running.pop(training.key, None)
        training.dask_future = None
        training.held.close()

    def _fail(self, problem: Exception) -> None:
        """Nothing can be trained any more."""
        self._problem = self._problem or problem
        for training in [*self._running.values(), *self._waiting]:
            self._release(training)
            training.future.set_exception(self._problem)
        self._waiting.clear()


def _nothing() -> None:
    pass


def _shared_data(data: DataConfig) -> DataConfig:
    """Where the data is on this machine; only the data set that comes with wavemore has no place."""
    dataset = DATASETS.get(data.source)
    if dataset is None or not dataset.url:
        return data
    return with_places(data, lambda file: str(locate(file.source, file.encoding)[0]))


def _changed(before: int, now: int, address: str) -> str:
    if not now:
        return f"no worker is left; {_waiting_for_one(address)}"
    return f"{now} worker{'' if now == 1 else 's'} instead of {before}"


def _waiting_for_one(address: str) -> str:
    return f"waiting for one, as `dask worker {address} --nthreads 1 --memory-limit 0` starts it (Ctrl-C stops)"
