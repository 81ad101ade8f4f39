"""The `unique` execution with its gradient by hand: a Linear after a fusion, and a whole tree in training.

Both multiply rows before they are picked. A Linear of n things side by side is the sum of a Linear of each: first
children are multiplied by the first columns of the weight, second ones by the next, and so on. So each row is
multiplied once for each place that it takes: the first halves of 670 eight-grams are some 150 four-grams, and 150 rows
are multiplied instead of 670.

What is left of a step is as much overhead as arithmetic. So the usual tree (Embedding; for every fusion Linear,
BatchNorm1d and activation; Linear) is one function in training: autograd has one node to visit instead of dozens, and
results overwrite each other where autograd would keep them. There are no second derivatives. Other stacks are run
layer by layer by fusion.py, which gives the same numbers.

Shapes: C channels below, H channels above, U rows above, U_below rows below: `parts` of them are first children of
the rows above, second children, and so on, in this order; n numbers. V vocabulary.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple, TypeGuard, TypeVar, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from wavemore.nn.layers import GELU, BatchNorm1d, Embedding, FlattenConsecutive, Linear, ReLU, SiLU, Tanh
from wavemore.nn.unique_plan import UniquePlan

M = TypeVar("M", bound=nn.Module)
Matrix = Any  # a tensor of two dimensions, or the same memory as an array of numpy


def mix(x: Tensor, children: Tensor, parts: Sequence[int], linear: Linear) -> Tensor:
    """Do what `linear` does to the children of every row side by side: (U_below, C), (n, U) -> (U, H).

    >>> linear = Linear(2, 1, bias=False)
    >>> _ = linear.load_state_dict({"weight": torch.tensor([[1.0, 10.0]])})
    >>> mix(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0, 1], [2, 2]]), (2, 1), linear).tolist()
    [[31.0], [32.0]]
    """
    y = cast(Tensor, _Mix.apply(x, linear.weight, children, parts))  # type: ignore[no-untyped-call]
    return y if linear.bias is None else y + linear.bias


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
        ctx.save_for_backward(x, weight, children)
        ctx.parts = parts
        return _mixed(x.detach(), weight, children, parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, children = ctx.saved_tensors
        return *_mix_gradients(gradients[0], x.detach(), weight, children, ctx.parts), None, None


def is_usual(layers: Iterable[nn.Module]) -> bool:
    """Whether the layers are what `whole_tree` runs: a tree as the lecture builds it, in training.

    A layer with hooks wants to be called, so it is not.
    """
    layers = list(layers)
    if len(layers) < 6 or len(layers) % 4 != 2:
        return False
    first, *blocks, head = layers
    kinds = zip(blocks[::4], blocks[1::4], blocks[2::4], blocks[3::4], strict=True)
    if not is_bare(first, Embedding) or not is_bare(head, Linear):
        return False
    channels = first.embedding_dim
    for fusion, linear, norm, activation in kinds:
        if not (is_bare(fusion, FlattenConsecutive) and is_bare(linear, Linear) and is_bare(norm, BatchNorm1d)):
            return False
        if linear.bias is not None or not norm.training or not is_bare(activation, type(activation)):
            return False
        if type(activation) not in _ACTIVATIONS or linear.in_features != fusion.n * channels:
            return False
        channels = norm.num_features
        if channels != linear.out_features:
            return False
    return channels == head.in_features


def is_bare(layer: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Whether a layer is just that, and nobody wants to know when it is called."""
    if type(layer) is not kind:
        return False
    return not (layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks or layer._backward_pre_hooks)


def whole_tree(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Run layers that `is_usual` accepts: what follows each distinct context of the plan, logits (U_L, V).

    Raises a ModelError where a level has fewer than two rows in all.

    >>> from wavemore.nn.unique_plan import plan_of
    >>> from wavemore.nn.tree import Tree, TreeConfig
    >>> tree = Tree(27, TreeConfig(fuse=(2, 2)))
    >>> whole_tree(tree.layers, plan_of(torch.tensor([[0, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 1]]), fuse=(2, 2))).shape
    torch.Size([2, 27])
    """
    first, *blocks, head = layers
    linears, norms = cast(list[Linear], blocks[1::4]), cast(list[BatchNorm1d], blocks[2::4])
    weights = [first.weight]
    n = len(plan.inverse) * math.prod(map(len, plan.children))  # positions of a level in the batch
    for children, linear, norm in zip(plan.children, linears, norms, strict=True):
        n //= len(children)
        norm.require_rows(n, (children.shape[1], norm.num_features))
        weights += [linear.weight, norm.weight, norm.bias]
    weights += [head.weight, head.bias]
    return cast(Tensor, _WholeTree.apply(plan, norms, blocks[3::4], *weights))  # type: ignore[no-untyped-call]


class _Level(NamedTuple):
    """What the way back needs of a level: see `_WholeTree.forward`."""

    x: Tensor
    centred: Tensor
    share: Tensor
    inverse_std: Tensor
    scale: Tensor
    z: Tensor
    y: Tensor


class _WholeTree(torch.autograd.Function):
    """Level by level `_Mix`, then `_BatchNorm` of norms.py, which explains its gradient, then the activation."""

    @staticmethod
    def forward(
        ctx: Any, plan: UniquePlan, norms: Sequence[BatchNorm1d], activations: Sequence[nn.Module], *weights: Tensor
    ) -> Tensor:
        table, *blocks, head, bias = weights
        x = table.index_select(0, plan.leaves)
        n = len(plan.inverse) * math.prod(map(len, plan.children))
        levels = []
        for level, (children, parts, norm, activation) in enumerate(
            zip(plan.children, plan.parts, norms, activations, strict=True)
        ):
            weight, gamma, beta = blocks[3 * level : 3 * level + 3]
            n //= len(children)
            share = plan.counts[level + 1].to(x.dtype) / n
            centred = _mixed(x, weight, children, parts)  # not yet
            mean = torch.mv(centred.T, share)
            centred -= mean
            z = centred * centred
            var = torch.mv(z.T, share)
            norm.track(mean, var, n)
            inverse_std = (var + norm.eps).rsqrt_()
            scale = gamma * inverse_std
            torch.addcmul(beta, centred, scale, out=z)
            y = _ACTIVATIONS[type(activation)].forward(z)
            levels.append(_Level(x, centred, share, inverse_std, scale, z, y))
            x = y
        logits = x.new_empty(len(x), len(head))
        _multiply(_matrix(x), _matrix(head.detach()).T, _matrix(logits))
        if bias is not None:
            logits += bias
        ctx.save_for_backward(*weights, *(tensor for level in levels for tensor in level))
        ctx.plan, ctx.activations = plan, activations
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: UniquePlan = ctx.plan
        saved, size = ctx.saved_tensors, len(_Level._fields)
        count = len(saved) - size * len(plan.children)  # of weights
        table, *blocks, head, bias = saved[:count]
        levels = [_Level(*saved[first : first + size]) for first in range(count, len(saved), size)]
        dlogits = gradients[0]
        dhead, dy = torch.empty_like(head), torch.empty_like(levels[-1].y)
        _multiply(_matrix(dlogits).T, _matrix(levels[-1].y), _matrix(dhead))
        _multiply(_matrix(dlogits), _matrix(head.detach()), _matrix(dy))
        found = [None if bias is None else dlogits.sum(0), dhead]  # from the last to the first
        steps = zip(levels, plan.children, plan.parts, ctx.activations, blocks[::3], strict=True)
        for (x, centred, share, inverse_std, scale, z, y), children, parts, activation, weight in reversed(list(steps)):
            dz = _ACTIVATIONS[type(activation)].backward(dy, z, y)
            products = dz * centred
            dbeta, dgamma = dz.sum(0), products.sum(0).mul_(inverse_std)
            torch.addcmul(dbeta, centred, dgamma * inverse_std, out=products)
            dmixed = dz.addcmul_(products, share[:, None], value=-1).mul_(scale)
            dy, dweight = _mix_gradients(dmixed, x, weight, children, parts)
            found += [dbeta, dgamma, dweight]
        found.append(torch.zeros_like(table).index_add_(0, plan.leaves, dy))
        return None, None, None, *reversed(found)


class _Activation(NamedTuple):
    forward: Callable[[Tensor], Tensor]
    """y of z; it may overwrite z where `backward` does not need it."""
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]
    """dz of dy, z and y; it overwrites dy."""


def _tanh(z: Tensor) -> Tensor:
    if _is_numpys(z):
        np.tanh(z.numpy(), out=z.numpy())
        return z
    return z.mul_(2).sigmoid_().mul_(2).sub_(1)


_aten = torch.ops.aten
_ACTIVATIONS: dict[type[nn.Module], _Activation] = {
    Tanh: _Activation(_tanh, lambda dy, z, y: _aten.tanh_backward.grad_input(dy, y, grad_input=dy)),
    ReLU: _Activation(torch.relu_, lambda dy, z, y: _aten.threshold_backward.grad_input(dy, y, 0, grad_input=dy)),
    GELU: _Activation(F.gelu, lambda dy, z, y: _aten.gelu_backward.grad_input(dy, z, grad_input=dy)),
    SiLU: _Activation(F.silu, lambda dy, z, y: _aten.silu_backward.grad_input(dy, z, grad_input=dy)),
}


def _mixed(x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
    """Multiply each part by its columns of the weight, then add up the children: (U_below, C), (H, n*C) -> (U, H)."""
    products = x.new_empty(len(x), len(weight))
    places = zip(_rows(x, parts), _columns(weight, len(parts)), _rows(products, parts), strict=True)
    for rows, columns, out in places:
        _multiply(rows, columns.T, out)
    first, *others = children.unbind()
    y = products.index_select(0, first)
    for picked in others:
        y += products.index_select(0, picked)
    return y


def _mix_gradients(
    dy: Tensor, x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Add up the gradients of all rows that a row below is a child of, then multiply: those of x and weight."""
    dproducts = dy.new_zeros(len(x), len(weight))
    for picked in children:
        dproducts.index_add_(0, picked, dy)
    dx, dweight = torch.empty_like(x), torch.empty_like(weight)
    by_rows = (_rows(rows, parts) for rows in (x, dx, dproducts))
    by_columns = (_columns(columns, len(parts)) for columns in (weight, dweight))
    for rows, drows, dout, columns, dcolumns in zip(*by_rows, *by_columns, strict=True):
        _multiply(dout, columns, drows)
        _multiply(dout.T, rows, dcolumns)
    return dx, dweight


def _rows(x: Tensor, parts: Sequence[int]) -> list[Matrix]:
    """Cut the rows into what belongs to each place: so many, so many, ..."""
    matrix = _matrix(x)
    return [matrix[end - count : end] for count, end in zip(parts, accumulate(parts), strict=True)]


def _columns(weight: Tensor, n: int) -> list[Matrix]:
    """Cut the columns into what belongs to each of n places."""
    matrix, count = _matrix(weight.detach()), weight.shape[1] // n
    return [matrix[:, end - count : end] for end in range(count, n * count + 1, count)]


def _multiply(a: Matrix, b: Matrix, out: Matrix) -> None:
    """Multiply two matrices: (R, K), (K, C) -> `out` (R, C)."""
    if isinstance(out, np.ndarray):
        with np.errstate(all="ignore"):  # an overflow is infinite, as in torch, and whoever trains looks at the loss
            np.matmul(a, b, out=out)
    else:
        torch.mm(a, b, out=out)


def _matrix(x: Tensor) -> Matrix:
    """As numpy's where that multiplies: on one thread, as threads of two libraries get into each other's way.

    Numpy's BLAS is faster than torch's for few rows and, on processors of AMD, for many; a call takes half the time.
    """
    return x.numpy() if _is_numpys(x) else x


def _is_numpys(x: Tensor) -> bool:
    exact = torch.get_float32_matmul_precision() == "highest"  # numpy knows no other
    return exact and torch.get_num_threads() == 1 and x.is_cpu and x.dtype in (torch.float32, torch.float64)
