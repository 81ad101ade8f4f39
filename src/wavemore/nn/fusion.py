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
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError
from wavemore.nn.layers import BatchNorm1d, BatchNorm1dPerPosition, FlattenConsecutive, Linear, side_by_side
from wavemore.nn.unique import is_bare, is_usual, mix, whole_tree
from wavemore.nn.unique_plan import UniquePlan, plan_of

__all__ = [
    "UniquePlan",
    "fusion_sizes",
    "pick",
    "plan_of",
    "run_dilated",
    "run_unique",
    "run_windows",
    "unique_logits",
]


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
    layers = _of_any_position(layers)
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
    layers = _of_any_position(layers)
    planned = tuple(len(rows) for rows in plan.children)
    if planned != fusion_sizes(layers):
        raise ModelError(f"a plan for fusions of {planned} does not fit a model with {fusion_sizes(layers)}")
    if is_usual(layers):
        return whole_tree(layers, plan)
    x = plan.leaves  # (U_0,)
    level = 0
    children: Tensor | None = None  # (n, U_l) of a fusion that waits for its Linear
    for layer in layers:
        if children is not None and is_bare(layer, Linear):
            x, children = mix(x, children, plan.parts[level - 1], layer), None
            continue
        if children is not None:
            x, children = pick(x, children), None  # (U_l, n*C)
        if isinstance(layer, FlattenConsecutive):
            children = plan.children[level]
            level += 1
        else:
            x = layer(x, plan.counts[level]) if isinstance(layer, BatchNorm1d) else layer(x)
    return x if children is None else pick(x, children)


def _of_any_position(layers: Iterable[nn.Module]) -> list[nn.Module]:
    """The layers as a list; raises a ModelError for one that acts otherwise at another position."""
    layers = list(layers)
    for layer in layers:
        if isinstance(layer, BatchNorm1dPerPosition):
            raise ModelError("BatchNorm1dPerPosition treats each position by itself: it runs in `windows` only")
    return layers


def pick(x: Tensor, children: Tensor) -> Tensor:
    """Lay the children of every row side by side: (U_below, C), (n, U) -> (U, n*C).

    >>> pick(torch.tensor([[1.0], [2.0]]), torch.tensor([[0, 1, 1], [1, 1, 0]])).tolist()
    [[1.0, 2.0], [2.0, 2.0], [2.0, 1.0]]
    """
    return torch.cat([x.index_select(0, rows) for rows in children], dim=1)


def fusion_sizes(layers: Iterable[nn.Module]) -> tuple[int, ...]:
    """Return the sizes of the fusions in a stack of layers, from the first up.

    >>> fusion_sizes([FlattenConsecutive(2), nn.Tanh(), FlattenConsecutive(3)])
    (2, 3)
    """
    return tuple(layer.n for layer in layers if isinstance(layer, FlattenConsecutive))
