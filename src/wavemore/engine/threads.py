"""How many threads torch and numpy use.

Threads wait for each other hundreds of times in a training step. Beside another busy process they therefore lose far
more than the time that it takes: two threads that share two cores with it can be slower than one. How many are faster
is known only by trying, and it changes while a program runs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np  # noqa: F401 (threadpoolctl can only limit a BLAS library that is loaded)
import torch
from threadpoolctl import threadpool_limits

from wavemore.nn.threads import set_most_threads

TRIAL = 0.2
"""Seconds of work after which its speed is known."""
WORTHWHILE = 1.1
"""Speed of several threads, as a multiple of that of one, from which they are used."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 60.0
"""Seconds until several threads are tried again: doubled each time that they are slower; one trial may be bad luck."""


def set_threads(count: int) -> None:
    """Set the number of threads that torch and numpy's BLAS use in this process from now on."""
    global _balance
    _balance = None
    torch.set_num_threads(count)
    set_most_threads(count)
    threadpool_limits(count, user_api="blas")


def balance_threads(most: int) -> None:
    """Let torch use one thread and, in work that is `measured`, up to `most` while they are faster."""
    global _balance
    set_threads(1)
    set_most_threads(most)
    _balance = _Balance(most) if most > 1 else None


@contextmanager
def measured(work: str, size: float) -> Iterator[None]:
    """Measure a piece of work of some kind and size, and choose the number of threads of the next piece.

    `work` names what has one speed, such as the training of one model.
    """
    if _balance is None:
        yield
        return
    speed = _balance.speeds.setdefault(work, _Speed(_balance.most))
    torch.set_num_threads(speed.threads)
    start = perf_counter()
    try:
        yield
    finally:
        end = perf_counter()
        speed.add(size, end - start, end)
        torch.set_num_threads(1)


@dataclass
class _Speed:
    """How fast one kind of work is with one thread and with the most."""

    most: int
    threads: int = 1
    known: dict[int, float] = field(default_factory=dict)  # number of threads -> size per second
    size: float = 0.0  # done since the speed was last known
    seconds: float = 0.0
    is_first: bool = True
    pause: float = FIRST_PAUSE
    resumes: float = 0.0  # the time at which several threads are tried again

    def add(self, size: float, seconds: float, now: float) -> None:
        """Count a piece of work that ended at the time `now`."""
        if self.is_first:  # slower than those that follow
            self.is_first = False
            return
        self.size, self.seconds = self.size + size, self.seconds + seconds
        if self.seconds < TRIAL:
            return
        self.known[self.threads] = self.size / self.seconds
        self.size = self.seconds = 0.0
        if self.threads == 1:
            if now >= self.resumes:
                self.threads = self.most
        elif self.known[self.most] >= WORTHWHILE * self.known[1]:
            self.pause = FIRST_PAUSE
        else:
            self.threads, self.resumes = 1, now + self.pause
            self.pause = min(2 * self.pause, LONGEST_PAUSE)


@dataclass
class _Balance:
    most: int
    speeds: dict[str, _Speed] = field(default_factory=dict)


_balance: _Balance | None = None
