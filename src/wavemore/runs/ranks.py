"""The processes of a training: how they find each other, and the run folder, which only rank 0 has.

The other ranks train in temporary folders with copies of its files, so that all run the same code and only one is kept.
"""

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist

from wavemore.engine.devices import usable_device
from wavemore.engine.ranks import compare
from wavemore.errors import RankError, UsageError, WavemoreError
from wavemore.nn.ranks import ALONE, TIMEOUT, Ranks, current_ranks
from wavemore.runs.run import Run
from wavemore.runs.transfer import read_files, write_files

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""Environment variables that torchrun sets in each process; all are needed."""


def rank_of_environment() -> int:
    """The rank that torchrun gave this process; 0 without it."""
    rank = os.environ.get("RANK", "")
    return int(rank) if are_several() and rank.isascii() and rank.isdigit() else 0


def are_several() -> bool:
    """Whether torchrun started this process as one of several."""
    return all(name in os.environ for name in VARIABLES) and os.environ["WORLD_SIZE"] != "1"


@contextmanager
def joined(device: str | None) -> Iterator[Ranks]:
    """Join the other processes that torchrun started; without it, yield `ALONE`.

    Without a `device`, it is not known yet: a GPU if there is one, else the CPU.
    Raises `UsageError` for a device that the processes cannot share, and `RankError` if the others are not reached.
    """
    if not are_several():
        yield ALONE
        return
    backend = "gloo" if _own_device(device) == "cpu" else "cpu:gloo,cuda:nccl"
    try:
        dist.init_process_group(backend, timeout=TIMEOUT)
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise RankError(f"the other processes of this training were not reached: {reason}") from None
    try:
        ranks = current_ranks()
        hosts = ranks.gather(platform.node())
        ranks.local_size = hosts.count(hosts[ranks.rank])
        yield ranks
    finally:
        dist.destroy_process_group()


def _own_device(device: str | None) -> str:
    """Choose the GPU of this process, and return the type of its device."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device is None else usable_device(device)
    if name not in ("cpu", "cuda"):
        raise UsageError(f"`device` is {name}; for several processes it must be cpu or cuda, one GPU for each")
    if name == "cuda":
        number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if number >= count and device is not None:
            raise UsageError(f"there are {count} GPUs here, too few for these processes: start one for each GPU")
        torch.cuda.set_device(number % count)
    return name


@contextmanager
def together(ranks: Ranks) -> Iterator[dict[str, Any]]:
    """Prepare a training on all ranks: an error of any ends all, and all must find the same facts.

    The block puts the facts into the dictionary that this yields. A rank raises its own error, or a `RankError` that
    names the rank.
    """
    facts: dict[str, Any] = {}
    problem: WavemoreError | None = None
    try:
        yield facts
    except WavemoreError as error:
        problem = error
        if ranks.size == 1:
            raise
    problems = ranks.gather("" if problem is None else str(problem))
    if problem is not None:
        raise problem
    for rank, message in enumerate(problems):
        if message:
            raise RankError(f"process {rank}: {message}")
    if ranks.size > 1:
        compare(ranks, facts)


def send_run(ranks: Ranks, run: Run) -> None:
    """Send the files of a run from rank 0 to the others, which wait in `received_run`."""
    if ranks.size > 1 and ranks.rank == 0:
        ranks.send(read_files(run.path))


@contextmanager
def received_run(ranks: Ranks) -> Iterator[Run]:
    """Yield a run with the files of that of rank 0, in a temporary folder."""
    with TemporaryDirectory(prefix="wavemore-") as folder:
        write_files(Path(folder), ranks.send(None))
        yield Run(folder)
