"""One stack of layers, executed in three ways that differ only in what they do at a `FlattenConsecutive(n)`.

- `run_windows` fuses as the lecture does: one context in, one prediction out;
- `run_dilated` fuses at every position of a line, which makes the stack a dilated causal convolution;
- `run_unique` computes every distinct n-gram of a batch once, and fuses by picking children by index.

The same weights give the same logits in all three (dilated: in eval mode). Every other layer maps each position on its
own, except BatchNorm1d, which averages over them; in `unique` it gets the number of times that each row occurs. Nothing
is padded here: the tokens themselves begin with boundary tokens, id 0.

Shapes: B batch, T time, C channels, V vocabulary, U_l distinct rows at level l, L the last level.

>>> from wavemore.nn.layers import Embedding, Linear
>>> from wavemore.nn.unique_plan import plan_of
>>> layers = [Embedding(27, 4), FlattenConsecutive(2), Linear(8, 5), FlattenConsecutive(3), Linear(15, 27)]
>>> contexts, lines = torch.zeros(5, 6, dtype=torch.int64), torch.zeros(5, 100, dtype=torch.int64)
>>> run_windows(layers, contexts).shape, run_unique(layers, plan_of(contexts, fuse=(2, 3))).shape
(torch.Size([5, 27]), torch.Size([5, 27]))
>>> run_dilated(layers, lines).shape
torch.Size([5, 95, 27])
"""

import math
from collections import deque
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, a_kind
from wavemore.nn.kernels.mix import mix
from wavemore.nn.kernels.torch_internals import is_bare, needs_plain
from wavemore.nn.kernels.whole_tree import fused_tree, is_fusable
from wavemore.nn.layers import FlattenConsecutive, Linear, concat_dilated
from wavemore.nn.norms import BatchNorm1d, BatchNorm1dPerPosition
from wavemore.nn.unique_plan import UniquePlan


def run_windows(layers: Iterable[nn.Module], tokens: Tensor) -> Tensor:
    """Predict what follows each of B contexts: int64 (B, T) -> logits (B, V).

    Raises a ModelError unless the fusions turn T positions into exactly one.
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

    In training mode, BatchNorm1d averages over all positions of the lines: predictions depend on later tokens too, and
    differ from those of `run_windows`. Raises a ModelError if T is below the context.
    """
    layers = _without_positions(layers)
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
            x = concat_dilated(x, layer.n, dilation)  # (B, T - (n-1) dilation, n*C)
            dilation *= layer.n
        else:
            x = layer(x)
    return x


def run_unique(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each of the B contexts of a plan: logits (B, V).

    In training mode the statistics of BatchNorm1d and all gradients are those of `run_windows`; Dropout draws one mask
    per distinct row. Raises a ModelError if the plan was made for other fusions.
    """
    return unique_logits(layers, plan).index_select(0, plan.inverse)  # (B, V)


def unique_logits(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each distinct context of a plan: logits (U_L, V), for a loss that weights rows.

    Raises a ModelError if the plan was made for other fusions.
    """
    if not isinstance(plan, UniquePlan):
        raise ModelError(f"{a_kind(plan)} is not a plan: make plans by `batches(..., plans=True)`")
    layers = _without_positions(layers)
    planned = tuple(len(children) for children in plan.children)
    if planned != fusion_sizes(layers):
        raise ModelError(f"a plan for fusions of {planned} does not fit a model with {fusion_sizes(layers)}")
    return fused_tree(layers, plan) if is_fusable(layers) else layer_by_layer(layers, plan)


def layer_by_layer(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each distinct context of a plan, with any layers: logits (U_L, V)."""
    x = plan.leaves  # (U_0,)
    level, plain = 0, needs_plain()
    rest = deque(layers)
    while rest:
        layer = rest.popleft()
        if isinstance(layer, FlattenConsecutive):
            children, parts = plan.children[level], plan.parts[level]
            level += 1
            if rest and not plain and is_bare(linear := rest[0], Linear):
                x = mix(x, children, parts, linear)
                rest.popleft()
            else:
                x = pick(x, children)  # (U_l, n*C)
        else:
            x = layer(x, plan.counts[level]) if isinstance(layer, BatchNorm1d) else layer(x)
    return x


def pick(x: Tensor, children: Tensor) -> Tensor:
    """Concatenate the channels of the children of every row: (U_below, C), (n, U) -> (U, n*C).

    >>> pick(torch.tensor([[1.0], [2.0]]), torch.tensor([[0, 1, 1], [1, 1, 0]])).tolist()
    [[1.0, 2.0], [2.0, 2.0], [2.0, 1.0]]
    """
    return torch.cat([x.index_select(0, child) for child in children], dim=1)


def fusion_sizes(layers: Iterable[nn.Module]) -> tuple[int, ...]:
    """Return the sizes of the fusions in a stack of layers, from the first up."""
    return tuple(layer.n for layer in layers if isinstance(layer, FlattenConsecutive))


def is_positional(layers: Iterable[nn.Module]) -> bool:
    """Whether a layer treats each position differently: only `run_windows` can run it."""
    return any(isinstance(layer, BatchNorm1dPerPosition) for layer in layers)


def _without_positions(layers: Iterable[nn.Module]) -> list[nn.Module]:
    layers = list(layers)
    if is_positional(layers):
        raise ModelError("BatchNorm1dPerPosition treats each position differently: it runs in `windows` only")
    return layers
