"""One stack of layers, executed in three ways that differ only in what they do at a `FlattenConsecutive(n)`.

- `run_windows` fuses as the lecture does: one context in, one prediction out;
- `run_dilated` fuses at every position of a line, which makes the stack a dilated causal convolution;
- `run_unique` computes every distinct n-gram of a batch once in each place that it takes in a fusion, and fuses by
  picking children by index.

The same weights give the same logits in all three (dilated: in eval mode). Every other layer maps each
position by itself; BatchNorm1d, which averages over positions, is told in `unique` how often each row
occurs. Positions before the first character hold the boundary token, id 0, in the tokens themselves:
nothing is padded in here. The lecture calls the dilated execution "a fast implementation detail, not a
different modelling approach": https://www.youtube.com/watch?v=t3YJ5hKiMQ0

Shapes: B batch, T time, C channels, V vocabulary, U_l unique rows at level l (level 0: characters, level
l: after l fusions, level L: whole contexts), n_l the size of fusion l.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wavemore.errors import ModelError
from wavemore.nn.layers import BatchNorm1d, FlattenConsecutive, Linear, side_by_side


def run_windows(layers: Iterable[nn.Module], tokens: Tensor) -> Tensor:
    """Predict what follows each of B contexts: int64 (B, T) -> logits (B, V).

    Raises a ModelError unless the fusions turn T positions into exactly one.

    >>> from wavemore.nn.layers import Embedding, Linear
    >>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), FlattenConsecutive(3), Linear(15, 9)]
    >>> run_windows(layers, torch.zeros(5, 6, dtype=torch.int64)).shape
    torch.Size([5, 9])
    """
    x = tokens  # (B, T)
    for layer in layers:
        x = layer(x)  # (B, T, C), and (B, T/n, n*C) after a fusion
    if x.shape[1] != 1:
        raise ModelError(
            f"{tokens.shape[1]} positions were fused into {x.shape[1]}, not 1: the sizes of the fusions "
            "must multiply to the length of the context"
        )
    return x.squeeze(1)  # (B, V)


def run_dilated(layers: Iterable[nn.Module], tokens: Tensor) -> Tensor:
    """Predict at every position that has a whole context: int64 (B, T) -> logits (B, T - context + 1, V).

    In eval mode no prediction depends on a later token; in training mode BatchNorm1d takes its statistics
    over all positions of the lines, so they do, and differ from those of `run_windows`. Raises a ModelError
    when T is below the context.

    >>> from wavemore.nn.layers import Embedding, Linear
    >>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), FlattenConsecutive(3), Linear(15, 9)]
    >>> run_dilated(layers, torch.zeros(5, 100, dtype=torch.int64)).shape
    torch.Size([5, 95, 9])
    """
    layers = list(layers)
    context = math.prod(fusion_sizes(layers))
    if tokens.shape[1] < context:
        raise ModelError(
            f"a line of {tokens.shape[1]} positions is shorter than the context of {context}: "
            "put boundary tokens (id 0) before it"
        )
    x = tokens  # (B, T)
    dilation = 1  # the product of the fusion sizes below
    for layer in layers:
        if isinstance(layer, FlattenConsecutive):
            x = side_by_side(x, layer.n, dilation)  # (B, T - (n-1) dilation, n*C)
            dilation *= layer.n
        else:
            x = layer(x)
    return x


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


def run_unique(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each of the B contexts of a plan: logits (B, V).

    In training mode the statistics of BatchNorm1d and all gradients are those of `run_windows`; Dropout
    draws one mask a distinct row. Raises a ModelError when the plan was made for other fusions.

    >>> from wavemore.nn.layers import Embedding, Linear
    >>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), FlattenConsecutive(3), Linear(15, 9)]
    >>> run_unique(layers, plan_of(torch.zeros(5, 6, dtype=torch.int64), fuse=(2, 3))).shape
    torch.Size([5, 9])
    """
    return unique_logits(layers, plan).index_select(0, plan.inverse)  # (B, V)


def unique_logits(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each distinct context of a plan: logits (U_L, V), for a loss that weighs rows.

    Raises a ModelError when the plan was made for other fusions.

    >>> from wavemore.nn.layers import Embedding, Linear
    >>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), FlattenConsecutive(3), Linear(15, 9)]
    >>> unique_logits(layers, plan_of(torch.zeros(5, 6, dtype=torch.int64), fuse=(2, 3))).shape
    torch.Size([1, 9])
    """
    layers = list(layers)
    planned = tuple(len(rows) for rows in plan.children)
    if planned != fusion_sizes(layers):
        raise ModelError(f"a plan for fusions of {planned} does not fit a model with {fusion_sizes(layers)}")
    x = plan.leaves  # (U_0,)
    level = 0
    children: Tensor | None = None  # (n, U_l) of a fusion that waits for its Linear
    for layer in layers:
        if children is not None and type(layer) is Linear and not _has_hooks(layer):
            x, children = pick_and_mix(x, children, plan.parts[level - 1], layer), None  # (U_l, out_features)
            continue
        if children is not None:
            x, children = pick(x, children), None  # (U_l, n*C)
        if isinstance(layer, FlattenConsecutive):
            children = plan.children[level]
            level += 1
        else:
            x = layer(x, plan.counts[level]) if isinstance(layer, BatchNorm1d) else layer(x)
    return x if children is None else pick(x, children)


def _has_hooks(layer: nn.Module) -> bool:
    """Tell whether somebody wants to know when the layer is called."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(hooks)


def pick(x: Tensor, children: Tensor) -> Tensor:
    """Lay the children of every row side by side: (U_below, C), (n, U) -> (U, n*C).

    >>> pick(torch.tensor([[1.0], [2.0]]), torch.tensor([[0, 1, 1], [1, 1, 0]])).tolist()
    [[1.0, 2.0], [2.0, 2.0], [2.0, 1.0]]
    """
    return torch.cat([x.index_select(0, rows) for rows in children], dim=1)


def pick_and_mix(x: Tensor, children: Tensor, parts: Sequence[int], linear: Linear) -> Tensor:
    """Do `linear(pick(x, children))` with fewer multiplications: each row below is multiplied once, then picked.

    A Linear of n things side by side is the sum of a Linear of each: first children are multiplied by the first columns
    of the weight, second ones by the next, and so on. The first halves of 670 eight-grams are some 150 four-grams, so
    150 rows are multiplied instead of 670. There is no second derivative.

    Shapes: (U_below, C), (n, U) -> (U, out_features).
    """
    y = cast(Tensor, _PickAndMix.apply(x, linear.weight, children, list(parts)))  # type: ignore[no-untyped-call]
    return y if linear.bias is None else y + linear.bias


class _PickAndMix(torch.autograd.Function):
    """Multiply each part of the rows by its columns of the weight, then add up the children of every row.

    By hand, as the gradients of the parts can be written where they belong, and need not be put together.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, children: Tensor, parts: list[int]) -> Tensor:
        """(U_below, C), (out_features, n*C) -> (U, out_features)."""
        ctx.save_for_backward(x, weight, children)
        ctx.parts = parts
        mixed = x.new_empty(len(x), len(weight))
        columns = weight.chunk(len(parts), dim=1)  # n of (out_features, C)
        for rows, matrix, out in zip(torch.split(x, parts), columns, torch.split(mixed, parts), strict=True):
            torch.mm(rows, matrix.T, out=out)
        y = mixed.index_select(0, children[0])
        for picked in children[1:]:
            y += mixed.index_select(0, picked)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Add up the gradients of the rows that each row below is a child of, then multiply."""
        (x, weight, children), parts = ctx.saved_tensors, ctx.parts
        dmixed = x.new_zeros(len(x), len(weight))
        for picked in children:
            dmixed.index_add_(0, picked, gradients[0])
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dweight = torch.empty_like(weight) if ctx.needs_input_grad[1] else None
        if dx is not None:
            columns = weight.chunk(len(parts), dim=1)
            for drows, matrix, out in zip(torch.split(dmixed, parts), columns, torch.split(dx, parts), strict=True):
                torch.mm(drows, matrix, out=out)
        if dweight is not None:
            columns = dweight.chunk(len(parts), dim=1)
            for drows, rows, out in zip(torch.split(dmixed, parts), torch.split(x, parts), columns, strict=True):
                torch.mm(drows.T, rows, out=out)
        return dx, dweight, None, None


def fusion_sizes(layers: Iterable[nn.Module]) -> tuple[int, ...]:
    """Return the sizes of the fusions in a stack of layers, from the first up.

    >>> fusion_sizes([FlattenConsecutive(2), nn.Tanh(), FlattenConsecutive(3)])
    (2, 3)
    """
    return tuple(layer.n for layer in layers if isinstance(layer, FlattenConsecutive))
