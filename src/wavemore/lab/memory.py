"""Whether a model fits into memory: asked before it is built, as a machine that swaps or kills says nothing useful."""

import os

from wavemore.errors import UsageError
from wavemore.nn.config import TreeConfig

COPIES = 7
"""Of each weight in training: itself, its gradient, two moments, the best one, and two while a state is written."""


def check_fits(vocabulary_size: int, settings: TreeConfig) -> None:
    """Raise `UsageError` for a model whose training needs more memory than this machine has.

    >>> check_fits(27, TreeConfig(hidden=10**9))
    Traceback (most recent call last):
    wavemore.errors.UsageError: hidden 1,000,000,000 and embedding 24 do not fit into memory: take smaller ones
    """
    inputs = [settings.embedding, *[settings.hidden] * (len(settings.fuse) - 1)]
    matrices = sum(n * channels * settings.hidden for n, channels in zip(settings.fuse, inputs, strict=True))
    weights = matrices + vocabulary_size * (settings.embedding + settings.hidden)
    if 4 * COPIES * weights > _memory_bytes():
        raise UsageError(
            f"hidden {settings.hidden:,} and embedding {settings.embedding:,} do not fit into memory: take smaller ones"
        )


def _memory_bytes() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        return float("inf")
