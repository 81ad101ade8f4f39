"""Finds the distinct beginnings of the lines of a batch.

Shapes: L lines, B positions of all lines.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.nn.prefix_plan import PrefixPlan

ROWS = 8
"""The rows of a step are padded to a multiple of this: torch keeps memory for every shape of a product."""


def prefix_plan(
    first: NDArray[np.integer], tokens: NDArray[np.integer], starts: NDArray[np.int64], lengths: NDArray[np.integer]
) -> PrefixPlan:
    """Find the distinct beginnings of some lines.

    Line i has `lengths[i]` positions, at least one. Before its first position is the token `first[i]`, before the next
    one also `tokens[starts[i]]`, and so on.

    >>> tokens, start = np.array([1, 2, 1, 0, 1, 2, 0, 1, 3, 0]), np.zeros(3, np.int64)
    >>> plan = prefix_plan(start, tokens, np.array([0, 4, 7]), np.array([4, 3, 3]))
    >>> plan.sizes, plan.inverse.tolist()
    ((3, 3, 3, 3), [0, 3, 6, 9, 0, 3, 6, 0, 3, 7])
    >>> plan.tokens[plan.inverse].tolist()
    [0, 1, 2, 1, 0, 1, 2, 0, 1, 3]
    """
    order = np.argsort(-lengths, kind="stable")  # the longest first
    begin, starts = first[order].astype(np.int64), starts[order]
    offsets = (np.cumsum(lengths) - lengths)[order]
    reaching = len(lengths) - np.cumsum(np.bincount(lengths))[:-1]  # the lines that have a position at each step
    inverse = np.empty(int(lengths.sum()), np.int64)
    tokens_of, parents = list[NDArray[np.int64]](), list[Tensor | None]()  # by step
    row, base, all_differ = np.zeros(len(lengths), np.int64), 0, False
    for step, count in enumerate(reaching.tolist()):
        last = begin if step == 0 else tokens[starts[:count] + (step - 1)].astype(np.int64)
        parent, row = row[:count], row[:count]
        if all_differ:
            parents.append(None)
        else:
            stride = int(last.max()) + 1
            distinct, row = np.unique(parent * stride + last, return_inverse=True)
            all_differ = len(distinct) == count
            if all_differ:  # from here on, the rows are the lines in their order
                row = np.arange(count)
            else:
                parent, last = distinct // stride, distinct % stride
            parents.append(torch.from_numpy(_padded(parent, len(lengths))))
        inverse[offsets[:count] + step] = base + row
        tokens_of.append(_padded(last, len(lengths)))
        base += len(tokens_of[-1])
    flat, sizes = np.concatenate(tokens_of), tuple(map(len, tokens_of))
    return PrefixPlan(torch.from_numpy(flat), sizes, tuple(parents[1:]), torch.from_numpy(inverse))


def _padded(rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Add zeros up to a multiple of `ROWS`, or up to `most` rows."""
    padded = np.zeros(min(-(-len(rows) // ROWS) * ROWS, most), np.int64)
    padded[: len(rows)] = rows
    return padded
