"""Where the trainings of a study or of tuning run: in processes of this machine, or on a Dask cluster."""

from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol

from wavemore.studies.job import Job, KilledError, Progress, Result
from wavemore.studies.processes import Processes


class Pool(Protocol):
    """Runs trainings, each with one thread, several at a time. It is used from one thread, and closed by `open_pool`.

    A job is known by its folder, which no two unfinished jobs share. A run that was stopped or killed in its folder is
    resumed. Everything that a training leaves is in its folder when its future is done.
    """

    @property
    def size(self) -> int:
        """How many trainings it runs at a time; for a cluster the most workers so far, 0 before the first."""

    def submit(self, job: Job) -> Future[Result | None]:
        """Queue a training; the first submitted are the first to start.

        The future's result is None if the training was stopped before its end. A training that fails, for example
        because its loss is not finite, has a result that says so. Its exception is a `WavemoreError` that names what a
        user can do, or `BrokenProcessPool`, which `open_pool` explains.
        """

    def stop(self, job: Job) -> None:
        """Let a training end soon, or not begin at all; what it has learned is saved in its folder.

        Returns at once. Its future's result is then None, or the whole result if it has just finished.
        """

    def progress(self) -> list[Progress]:
        """The val losses that trainings have measured since the last call; for each training the oldest first."""

    def news(self) -> list[str]:
        """What has happened to the workers of a cluster since the last call, in a line each."""

    def place(self, job: Job) -> str:
        """The worker of a cluster on which a training ran last; empty without a cluster."""

    def close(self) -> None:
        """Stop and save all trainings; those that wait do not begin."""


@contextmanager
def open_pool(processes: int, cluster: str = "") -> Iterator[Pool]:
    """Open a pool for the block; at its end, also by an exception, all trainings are stopped and saved.

        with open_pool(processes=2) as pool:
            futures = {pool.submit(job): job for job in jobs}
            while futures:
                done, _ = wait(futures, timeout=0.5, return_when=FIRST_COMPLETED)
                for future in done:
                    job, result = futures.pop(future), future.result()  # None: stopped
                for job, step, val_nats in pool.progress():
                    if hopeless(val_nats):
                        pool.stop(job)

    With the address of a Dask scheduler as `cluster`, the trainings run on its workers, as many at a time as there are
    at that moment; `processes` is ignored then. Where they run does not change their results. Jobs for another device
    than the CPU wait for a worker that offers one: `dask worker --resources GPU=1`.

    The processes never see Ctrl-C, which the caller handles by leaving the block. Raises `KilledError` if a process was
    killed, and `RunError` if no scheduler answers, or if a worker would give other results.
    """
    if cluster:
        from wavemore.studies.cluster import Cluster  # only with the extra `cluster`

        pool: Pool = Cluster(cluster)
    else:
        pool = Processes(processes)
    try:
        yield pool
    except BrokenProcessPool:
        raise KilledError(
            "a training process was killed, perhaps because memory ran out: run the same command again; fewer `jobs` "
            "need less memory"
        ) from None
    finally:
        pool.close()
