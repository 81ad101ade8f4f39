"""Settings of the whole process: threads and freed memory."""

import ctypes

import numpy as np  # noqa: F401 (threadpoolctl can only limit a BLAS library that is loaded)
import torch
from threadpoolctl import threadpool_limits

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MMAP_THRESHOLDS = (1 << 30, 32 << 20)
"""The size from which malloc maps a block on its own; older versions of glibc refuse more than 32 MiB."""


def set_threads(count: int) -> None:
    """Set the number of threads that torch and numpy's BLAS use in this process."""
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


def keep_freed_memory() -> None:
    """Let malloc keep large freed blocks for reuse; without glibc, this does nothing.

    Tensors of the same size are allocated and freed at every step. By default glibc returns each to the system, and
    the page faults when it is allocated again take a third of the time of generation.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for threshold in MMAP_THRESHOLDS:
        if mallopt(M_MMAP_THRESHOLD, threshold):
            mallopt(M_TRIM_THRESHOLD, 1 << 30)  # alone it would make things worse: glibc then never adapts the other
            return
