"""Trainings in processes of this machine, one thread each: the pool of `pool.open_pool` without a cluster."""

import contextlib
import ctypes
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

from wavemore.engine.process import keep_freed_memory
from wavemore.engine.threads import set_threads
from wavemore.runs.run import Run
from wavemore.studies.job import Job, Progress, Result, train_until

Flags: TypeAlias = "ctypes.Array[ctypes.c_bool]"
"""Shared by all processes: the first tells all trainings to stop, each of the others one training."""

MOST_JOBS = 1 << 16
"""Jobs that can be unfinished at one time."""


class Processes:
    """A pool of processes. They are started when they are needed, and end with this one, however it ends."""

    def __init__(self, processes: int) -> None:
        self.size = processes
        context = multiprocessing.get_context("spawn")  # torch with several threads hangs in forked processes
        self._flags: Flags = context.RawArray(ctypes.c_bool, MOST_JOBS + 1)
        self._numbers = cycle(range(1, MOST_JOBS + 1))
        self._jobs: dict[Path, tuple[int, Job, Future[Result | None]]] = {}  # whose losses may not all be reported
        self._seen: dict[Path, tuple[int, int]] = {}  # size of metrics.jsonl, and the last step that was reported
        self._executor = ProcessPoolExecutor(
            processes, mp_context=context, initializer=_start_worker, initargs=(self._flags,)
        )

    def submit(self, job: Job) -> Future[Result | None]:
        """Queue a training."""
        number = next(self._numbers)
        self._flags[number] = False
        with _ctrl_c_blocked():
            future = self._executor.submit(_train_in_worker, job, number)
        self._jobs[job.path] = number, job, future
        return future

    def stop(self, job: Job) -> None:
        """Let a training end soon."""
        if job.path in self._jobs:
            self._flags[self._jobs[job.path][0]] = True

    def progress(self) -> list[Progress]:
        """The new val losses, from the records that a training writes at every evaluation."""
        found = []
        for path, (_, job, future) in list(self._jobs.items()):
            is_done = future.done()  # before its losses are read
            if future.running() or is_done:
                found += self._new_losses(job)
            if is_done:
                del self._jobs[path]
                self._seen.pop(path, None)
        return found

    def _new_losses(self, job: Job) -> list[Progress]:
        file = job.path / "metrics.jsonl"
        size = file.stat().st_size if file.exists() else 0
        last_size, last_step = self._seen.get(job.path, (0, 0))
        if size == last_size:
            return []
        records = [(record["step"], record["val_nats"]) for record in Run(job.path).metrics() if "val_nats" in record]
        new = [Progress(job, step, nats) for step, nats in records if step > last_step]
        self._seen[job.path] = size, new[-1].step if new else last_step
        return new

    def news(self) -> list[str]:
        """Nothing happens to the processes that the caller need know."""
        return []

    def place(self, job: Job) -> str:
        """All places are alike."""
        return ""

    def close(self) -> None:
        """Stop and save all trainings."""
        self._flags[0] = True
        self._executor.shutdown(wait=True, cancel_futures=True)


_flags: list[Flags] = []
"""In a worker process: the flags of its pool."""

_training = threading.Lock()
"""Held while a worker process trains."""


@contextlib.contextmanager
def _ctrl_c_blocked() -> Iterator[None]:
    """Processes that are started in this block never see Ctrl-C, which a terminal sends to all processes."""
    if not hasattr(signal, "pthread_sigmask"):  # not on Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker(flags: Flags) -> None:
    """Prepare a worker process: one thread; Ctrl-C is handled by the parent (see `_ctrl_c_blocked`)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    set_threads(1)
    keep_freed_memory()
    _flags.append(flags)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _train_in_worker(job: Job, number: int) -> Result | None:
    """Train a job in a worker process; None if it was told to stop before the end."""
    flags = _flags[0]
    with _training:
        return train_until(job, lambda: flags[0] or flags[number])


def _exit_with_parent() -> None:
    """End this process if its parent is killed and cannot end it; a training is stopped and saved first."""
    if parent := multiprocessing.parent_process():
        parent.join()
    _flags[0][0] = True
    with _training:
        os._exit(0)
