"""Settings of the whole process: threads, the precision of matrix products, freed memory."""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np  # noqa: F401 (threadpoolctl can only limit a BLAS library that is loaded)
import torch
from threadpoolctl import threadpool_limits

from wavemore.engine.recipe import Precision


def set_threads(count: int) -> None:
    """Set the number of threads that torch and numpy's BLAS use in this process."""
    torch.set_num_threads(count)
    threadpool_limits(count, user_api="blas")


@contextmanager
def matmul_precision(precision: Precision) -> Iterator[None]:
    """Multiply float32 matrices in `precision`: bfloat16 rounds the factors, and sums are still float32.

    A processor without instructions for bfloat16 uses float32.
    """
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium" if precision == "bfloat16" else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def keep_freed_memory() -> None:
    """Let malloc keep large freed blocks for reuse; without glibc, this does nothing.

    Tensors of the same size are allocated and freed at every step. By default glibc returns each to the system, and
    the page faults when it is allocated again take a third of the time of generation.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for parameter in (-1, -3):  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of malloc.h
        mallopt(parameter, 1 << 30)
