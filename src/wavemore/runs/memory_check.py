"""Whether a training fits into the memory of this machine."""

import os

from wavemore.errors import UsageError
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import parameter_count

COPIES = 7
"""Values per weight in training: itself, its gradient, two moments, the best one, and two while a state is written."""


def check_fits(model: str, vocabulary_size: int, config: ModelConfig) -> None:
    """Raise `UsageError` for a model whose training needs more memory than this machine has.

    Call it before the model is built: a machine that swaps or kills the process gives no useful message.
    """
    if 4 * COPIES * parameter_count(model, vocabulary_size, config) > memory_bytes():
        raise UsageError(f"a model with {config.describe()} does not fit into memory: reduce its settings")


def check_soft_targets_fit(targets: int, vocabulary_size: int) -> None:
    """Raise `UsageError` if the teachers' probabilities would take more than half of this machine's memory.

    >>> check_soft_targets_fit(10**12, 27)
    Traceback (most recent call last):
    wavemore.errors.UsageError: the teachers' probabilities of 27 characters at 1,000,000,000,000 positions take 108,...
    """
    size = 4 * targets * vocabulary_size
    if size > memory_bytes() / 2:
        raise UsageError(
            f"the teachers' probabilities of {vocabulary_size:,} characters at {targets:,} positions take "
            f"{size / 1e9:,.0f} GB, more than half of this machine's memory: train without teachers, or on less data"
        )


def memory_bytes() -> float:
    """The memory of this machine; infinite if it is not known."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not every system reports its memory
        return float("inf")
