"""What the process does with freed memory."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of malloc.h
MMAP_THRESHOLDS = (1 << 30, 32 << 20)
"""The size from which malloc maps a block on its own; older versions of glibc refuse more than 32 MiB."""


def keep_freed_memory() -> None:
    """Let malloc keep large freed blocks for reuse from now on; without glibc, this does nothing.

    Tensors of the same size are allocated and freed at every step. By default glibc returns each to the system, and
    the page faults when it is allocated again take a third of the time of generation. What was freed before, such as
    the many small blocks of reading a large file, is returned.
    """
    return_freed_memory()
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    for threshold in MMAP_THRESHOLDS:
        if mallopt(M_MMAP_THRESHOLD, threshold):
            mallopt(M_TRIM_THRESHOLD, 1 << 30)  # alone it would make things worse: glibc then never adapts the other
            return


def return_freed_memory() -> None:
    """Return freed memory to the system, between phases that need blocks of other sizes; without glibc, do nothing."""
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
