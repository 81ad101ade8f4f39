"""The distinct n-grams of a batch of contexts: which rows the `unique` execution computes at each level of a tree.

Shapes: B batch, T time, U_l unique rows at level l (level 0: characters, level l: after l fusions, level L: whole
contexts), n_l the size of fusion l.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wavemore.errors import ModelError


@dataclass(frozen=True, eq=False)
class UniquePlan:
    """The distinct n-grams of a batch of contexts, each made of n smaller ones.

    Row i of level l is the fusion of the rows `children[l - 1][:, i]` of level l - 1, and occurs
    `counts[l][i]` times in the batch. Context b of the batch is row `inverse[b]` of the last level.

    An n-gram that is the first child of some fusions and the second one of others is two rows, as the two are
    multiplied by different weights: first come all first children, then all second ones, and so on.
    """

    leaves: Tensor
    """(U_0,) integers: the tokens of the rows of level 0."""
    children: tuple[Tensor, ...]
    """(n_l, U_l) integers for each fusion: rows of the level below."""
    parts: tuple[tuple[int, ...], ...]
    """n_l numbers for each fusion: how many rows of the level below are first children, second ones, ..."""
    counts: tuple[Tensor, ...]
    """(U_l,) floats for each level, 0 to L: how often each row occurs."""
    inverse: Tensor
    """(B,) integers: the row of each context at level L."""

    def to(self, device: torch.device | str) -> "UniquePlan":
        """Return the same plan with its tensors on `device`."""
        return UniquePlan(
            leaves=self.leaves.to(device),
            children=tuple(rows.to(device) for rows in self.children),
            parts=self.parts,
            counts=tuple(counts.to(device) for counts in self.counts),
            inverse=self.inverse.to(device),
        )


def plan_of(windows: Tensor, fuse: Sequence[int]) -> UniquePlan:
    """Find the distinct n-grams of any contexts, int64 (B, T), by sorting; T is the product of `fuse`.

    Raises a ModelError when it is not.

    >>> plan = plan_of(torch.tensor([[0, 0, 0, 1], [0, 1, 0, 1]]), fuse=(2, 2))
    >>> plan.parts[1], plan.counts[1].tolist()
    ((2, 1), [1.0, 1.0, 2.0])
    """
    if windows.shape[1] != math.prod(fuse):
        raise ModelError(
            f"contexts of {windows.shape[1]} positions do not fit fusions of {' '.join(map(str, fuse))}, "
            f"which take {math.prod(fuse)}"
        )
    grams = windows.unsqueeze(-1)  # (B, T, 1): what stands at each position, as a tuple of rows of the level below
    levels, parts, counts = [], [], []
    for n in (*fuse, 1):
        place = torch.arange(grams.shape[1], device=grams.device).remainder(n).expand(grams.shape[:2])  # as a child
        placed = torch.cat([place.unsqueeze(-1), grams], dim=-1).flatten(0, 1)
        distinct, rows, occurrences = torch.unique(placed, dim=0, return_inverse=True, return_counts=True)
        levels.append(distinct[:, 1:].T.contiguous())
        parts.append(tuple(torch.bincount(distinct[:, 0], minlength=n).tolist()))
        counts.append(occurrences.float())
        grams = rows.view(len(windows), -1, n)
    return UniquePlan(levels[0][0], tuple(levels[1:]), tuple(parts[:-1]), tuple(counts), inverse=rows)
