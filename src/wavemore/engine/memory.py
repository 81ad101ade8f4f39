"""Whether a training fits into the memory of this machine."""

from wavemore.errors import UsageError
from wavemore.memory import memory_bytes
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
    if not soft_targets_fit(targets, vocabulary_size):
        raise UsageError(
            f"the teachers' probabilities of {vocabulary_size:,} characters at {targets:,} positions take "
            f"{4 * targets * vocabulary_size / 1e9:,.0f} GB, more than half of this machine's memory: train without "
            "teachers, or on less data"
        )


def soft_targets_fit(targets: int, vocabulary_size: int) -> bool:
    """Return whether the teachers' probabilities take at most half of this machine's memory."""
    return 4 * targets * vocabulary_size <= memory_bytes() / 2
