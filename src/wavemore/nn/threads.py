"""The most threads that torch uses in this process; how many at a moment, `engine/threads.py` decides."""

import torch

_most = 0


def most_threads() -> int:
    """Return the most threads of this process. What depends on it gives the same bits with fewer at a moment."""
    return _most or torch.get_num_threads()


def set_most_threads(count: int) -> None:
    """Set the number that `most_threads` returns; 0: that of torch."""
    global _most
    _most = count
