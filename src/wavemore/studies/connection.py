"""The connection to a Dask cluster: a scheduler at an address, and workers that give the results of this machine."""

import asyncio
import logging
import socket
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from wavemore.errors import RunError, UsageError
from wavemore.studies.job import KilledError
from wavemore.studies.remote import Facts, content, facts

CONNECT_SECONDS = 5.0


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler for the block; what Dask would log of a broken connection is left to the caller.

    Raises `UsageError` without Dask, and `RunError` if no scheduler answers.
    """
    try:
        import distributed
        from distributed.versions import VersionMismatchWarning
    except ImportError:
        raise UsageError("a cluster needs Dask: pip install 'wavemore[cluster]'") from None
    new_client: Any = distributed.Client  # not typed
    with _quiet_logs():
        try:
            with ThreadPoolExecutor(1) as thread:  # a notebook has a loop of its own
                thread.submit(asyncio.run, _find_scheduler(address)).result()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", VersionMismatchWarning)  # what matters here is compared by `Facts`
                client = new_client(address, timeout=CONNECT_SECONDS, set_as_default=False)
        except Exception as error:  # noqa: BLE001 (refused, no host, no address, another protocol or version)
            raise RunError(
                f"no Dask scheduler answers at {address} ({_no_answer(address, error)}): start one by "
                "`dask scheduler`, and give the address that it prints, such as tcp://192.168.0.5:8786"
            ) from None
        try:
            yield client
        finally:
            client.close(CONNECT_SECONDS)


def _no_answer(address: str, error: BaseException) -> str:
    """Return why there was no answer. Dask reports a timeout, whose cause is the real reason."""
    if isinstance(error, MemoryError) or not str(error):  # its first bytes were read as a length, or it sent none
        return "something else listens there"
    cause = error.__cause__
    if isinstance(cause, TimeoutError):  # the last of Dask's attempts had no time left: what do they meet?
        cause = _connection_error(address)
    if cause is None or not str(cause):
        return first_line(error)
    return f"{first_line(error)}: {first_line(cause.__cause__ or cause)}"


def _connection_error(address: str) -> Exception | None:
    """Return the error of a connection to an address, or None if something listens there."""
    from distributed.comm.addressing import parse_address, parse_host_port

    try:
        socket.create_connection(parse_host_port(parse_address(address)[1]), CONNECT_SECONDS).close()
    except OSError as error:
        return error
    return None


async def _find_scheduler(address: str) -> None:
    """Raise an error unless there is a scheduler; `Client` would wait forever for an answer of another server."""
    import distributed
    import distributed.comm.core

    dask: Any = distributed  # not typed

    async def ask() -> Any:
        security = dask.Security().get_connection_args("client")
        comm = await dask.comm.core.connect(address, timeout=CONNECT_SECONDS, **security)
        try:
            await comm.write({"op": "identity", "reply": True})
            return await comm.read()
        finally:
            comm.abort()

    answer = await asyncio.wait_for(ask(), 2 * CONNECT_SECONDS)
    if answer.get("type") != "Scheduler":
        raise RunError(f"this is a {answer.get('type')}")


@contextmanager
def _quiet_logs() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("distributed", "distributed.client", "tornado.application")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def submit(client: Any, function: Any, *arguments: Any, **options: Any) -> Any:
    """Submit a task; its arguments may be large, as they are the files of runs and data."""
    import dask

    with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 TB"}):
        return client.submit(function, *arguments, **options)


def check_workers(client: Any) -> list[str]:
    """Return a line for each worker whose results may have other last bits.

    Raises `RunError` if a worker would give other results, or if the scheduler cannot read what it hands on.
    """
    try:
        client.run_on_scheduler(content, b"")
    except Exception as error:  # noqa: BLE001 (any import may fail there)
        raise RunError(
            f"the scheduler has no wavemore that can train ({first_line(error)}); install the same there as here"
        ) from None
    ours, theirs = facts(), client.run(facts, on_error="return")
    return differing(ours, theirs)


def differing(ours: Facts, theirs: Mapping[str, object]) -> list[str]:
    """Compare the facts of workers, by address, with those of this machine: see `check_workers`."""
    wrong, unlike = [], []
    for worker, found in theirs.items():
        if not isinstance(found, Facts):
            wrong.append(f"{worker} has no wavemore that can train ({first_line(found)})")
        elif differences := ours.differences(found):
            wrong.append(f"{worker} has {differences}")
        elif found.machine != ours.machine:
            machines = f"{worker} computes with {found.machine}, and this machine with {ours.machine}"
            unlike.append(f"{machines}: the last bits of its results may differ")
    if wrong:
        count = f"{len(wrong)} of {len(theirs)} workers would give other results"
        raise RunError(f"{count}: {wrong[0]}{'; ...' if wrong[1:] else ''}; install the same there, or stop them")
    return unlike


def explained(error: Any, address: str) -> Exception:
    """What a user can do about the error of a task; a bug remains what it is."""
    from distributed.scheduler import KilledWorker

    if isinstance(error, KilledWorker):
        return KilledError(
            f"a training has ended {error.allowed_failures + 1} workers of {address}, perhaps because memory ran out; "
            f"`dask worker` logs why, and has --memory-limit; {AGAIN}"
        )
    return error if isinstance(error, Exception) else RuntimeError(repr(error))


AGAIN = "run the same command again, which keeps what is finished"


def first_line(error: object) -> str:
    """The first line of an error, of at most 200 characters."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
