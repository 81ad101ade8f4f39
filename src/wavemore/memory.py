"""The memory of the machine."""

import os
from contextlib import suppress
from math import inf
from pathlib import Path

CONTAINER_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells the memory limit of a container, in the two versions of control groups."""


def memory_bytes() -> float:
    """The memory of this machine, or of its container if that is less; infinite if it is not known."""
    memory = inf
    with suppress(AttributeError, ValueError, OSError):  # not every system reports its memory
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for limit in CONTAINER_LIMITS:
        with suppress(ValueError, OSError):  # "max", or no such file
            memory = min(memory, float(limit.read_text(encoding="ascii")))
    return memory
