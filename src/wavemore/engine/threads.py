"""How many threads of the processor compute: torch's and those of numpy's BLAS, which are not the same."""

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
