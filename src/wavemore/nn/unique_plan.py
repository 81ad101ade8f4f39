"""The distinct n-grams of a batch of contexts: the rows that the `unique` execution computes at each level of a tree.

Shapes: B batch, T time, U_l distinct rows at level l (level 0: characters, level l: after l fusions, level L: whole
contexts), n_l the size of fusion l.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from wavemore.errors import ModelError


@dataclass(frozen=True, eq=False)
class UniquePlan:
    """The distinct n-grams of a batch of contexts, each made of n smaller ones.

    Row i of level l is the fusion of the rows `children[l - 1][:, i]` of level l - 1. An n-gram that is the first child
    in some fusions and the second in others is two rows, as the two are multiplied by different weights. All first
    children come first, then all second children, and so on.
    """

    leaves: Tensor
    """(U_0,) integers: the tokens of the rows of level 0."""
    children: tuple[Tensor, ...]
    """(n_l, U_l) integers for each fusion: rows of the level below."""
    parts: tuple[tuple[int, ...], ...]
    """n_l numbers for each fusion: how many rows of the level below are first children, second children, ..."""
    counts: tuple[Tensor, ...]
    """(U_l,) floats for each level from 0 to L: how often each row occurs."""
    inverse: Tensor
    """(B,) integers: the row of each context at level L."""

    @cached_property
    def totals(self) -> tuple[int, ...]:
        """For each fusion, the number of rows after it in the whole batch, repetitions included."""
        sizes = [len(children) for children in self.children]
        return tuple(len(self.inverse) * math.prod(sizes[level:]) for level in range(1, len(sizes) + 1))


def plan_of(windows: Tensor, fuse: Sequence[int]) -> UniquePlan:
    """Find the distinct n-grams of any contexts, int64 (B, T), by sorting; T is the product of `fuse`.

    Raises a ModelError if it is not.

    >>> plan = plan_of(torch.tensor([[0, 0, 0, 1], [0, 1, 0, 1]]), fuse=(2, 2))
    >>> plan.parts[1], plan.counts[1].tolist(), plan.totals
    ((2, 1), [1.0, 1.0, 2.0], (4, 2))
    """
    if windows.shape[1] != math.prod(fuse):
        raise ModelError(
            f"contexts of {windows.shape[1]} positions do not fit fusions of {' '.join(map(str, fuse))}, "
            f"which need {math.prod(fuse)}"
        )
    grams = windows.unsqueeze(-1)  # (B, T, 1): the row of the level below, or several, at each position
    levels, parts, counts = [], [], []
    for n in (*fuse, 1):
        child = torch.arange(grams.shape[1], device=grams.device).remainder(n).expand(grams.shape[:2])
        keys = torch.cat([child.unsqueeze(-1), grams], dim=-1).flatten(0, 1)
        distinct, rows, occurrences = torch.unique(keys, dim=0, return_inverse=True, return_counts=True)
        levels.append(distinct[:, 1:].T.contiguous())
        parts.append(tuple(torch.bincount(distinct[:, 0], minlength=n).tolist()))
        counts.append(occurrences.float())
        grams = rows.view(len(windows), -1, n)
    return UniquePlan(levels[0][0], tuple(levels[1:]), tuple(parts[:-1]), tuple(counts), inverse=rows)
