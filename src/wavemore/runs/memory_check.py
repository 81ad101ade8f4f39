"""Whether a training fits into the memory of this machine."""

import os

from wavemore.errors import UsageError
from wavemore.nn.config import ModelConfig

COPIES = 7
"""Of each weight in training: itself, its gradient, two moments, the best one, and two while a state is written."""


def check_fits(vocabulary_size: int, settings: ModelConfig) -> None:
    """Raise `UsageError` for a model whose training needs more memory than this machine has.

    It is asked before the model is built, as a machine that swaps or kills says nothing useful.

    >>> from wavemore.nn.config import RecurrentConfig
    >>> check_fits(27, RecurrentConfig(hidden=10**8))
    Traceback (most recent call last):
    wavemore.errors.UsageError: embedding 64, hidden 100000000: these do not fit into memory: take smaller ones
    """
    if 4 * COPIES * settings.weights(vocabulary_size) > _memory_bytes():
        raise UsageError(f"{settings.words}: these do not fit into memory: take smaller ones")


def check_soft_targets_fit(targets: int, vocabulary_size: int) -> None:
    """Raise `UsageError` where the teachers' probabilities would take more than half of this machine's memory.

    >>> check_soft_targets_fit(10**12, 27)
    Traceback (most recent call last):
    wavemore.errors.UsageError: the teachers' probabilities, 27 at 1,000,000,000,000 places, take 108,000 GB, more ...
    """
    size = 4 * targets * vocabulary_size
    if size > _memory_bytes() / 2:
        raise UsageError(
            f"the teachers' probabilities, {vocabulary_size:,} at {targets:,} places, take {size / 1e9:,.0f} GB, more "
            "than half of this machine's memory: train without teachers, or on less data"
        )


def _memory_bytes() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return float("inf")
