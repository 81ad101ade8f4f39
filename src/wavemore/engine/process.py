"""The process: its threads and its memory.

Torch and numpy's BLAS have threads of their own, so both are set.
"""

import ctypes

import numpy as np  # noqa: F401 (its BLAS can be told only once it is loaded)
import torch
from threadpoolctl import threadpool_limits


def set_threads(count: int) -> None:
    """Let torch and numpy compute with so many threads from now on, in this process.

    >>> before = torch.get_num_threads()
    >>> set_threads(1)
    >>> torch.get_num_threads()
    1
    >>> set_threads(before)
    """
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def keep_freed_memory() -> None:
    """Ask glibc to keep large blocks that are freed, for this process: tensors of one size come and go all the time.

    Otherwise each goes back to the system and costs page faults when it is wanted again, a third of the time of
    generation. Elsewhere than with glibc this does nothing.
    """
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for what in (trim_threshold, mmap_threshold):
        mallopt(what, 1 << 30)
