"""The block after a fusion in the `unique` execution, `Linear -> BatchNorm1d -> Tanh`, with its gradient by hand.

What the layers compute one by one is computed here with fewer multiplications and in less memory. A Linear of n things
side by side is the sum of a Linear of each: first children are multiplied by the first columns of the weight, second
ones by the next, and so on. So rows can be multiplied before they are picked, once for each place that they take: the
first halves of 670 eight-grams are some 150 four-grams, and 150 rows are multiplied instead of 670. And where autograd
keeps what goes into each layer, here the steps overwrite each other. There are no second derivatives.

Shapes: C channels below, H channels above, U rows above, U_below rows below: `parts` of them are first children of
the rows above, second children, and so on, in this order; n numbers.
"""

from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from wavemore.nn.layers import Linear
from wavemore.nn.norms import BatchNorm1d, require_channels

_tanh_backward = torch.ops.aten.tanh_backward.default  # torch's own, in one pass


def mix(x: Tensor, children: Tensor, parts: Sequence[int], linear: Linear) -> Tensor:
    """Do what `linear` does to the children of every row side by side: (U_below, C), (n, U) -> (U, H).

    >>> linear = Linear(2, 1, bias=False)
    >>> _ = linear.load_state_dict({"weight": torch.tensor([[1.0, 10.0]])})
    >>> mix(torch.tensor([[1.0], [2.0], [3.0]]), torch.tensor([[0, 1], [2, 2]]), (2, 1), linear).tolist()
    [[31.0], [32.0]]
    """
    y = cast(Tensor, _Mix.apply(x, linear.weight, children, parts))  # type: ignore[no-untyped-call]
    return y if linear.bias is None else y + linear.bias


def mix_and_normalise(
    x: Tensor,
    children: Tensor,
    parts: Sequence[int],
    linear: Linear,
    norm: BatchNorm1d,
    counts: Tensor,
    n: int,
    tanh: bool,
) -> Tensor:
    """Do `mix`, then what `norm` does in training mode, then tanh where asked: (U_below, C), (n, U) -> (U, H).

    Row i above occurs `counts[i]` times, all together `n` times. `linear` is one without a bias, which `norm` would
    take out again.
    """
    require_channels(norm, linear.weight.T, norm.num_features)
    norm.require_rows(n, (children.shape[1], norm.num_features))
    args = (x, linear.weight, norm.weight, norm.bias, children, parts, counts, n, norm, tanh)
    return cast(Tensor, _MixAndNormalise.apply(*args))  # type: ignore[no-untyped-call]


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
        ctx.save_for_backward(x, weight, children)
        ctx.parts = parts
        return _mixed(x, weight, children, parts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return *_mix_gradients(ctx, gradients[0], *ctx.saved_tensors), None, None


class _MixAndNormalise(torch.autograd.Function):
    """`_Mix`, then `_BatchNorm` of norms.py, then `_Tanh` of activations.py, which explain themselves there."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        gamma: Tensor,
        beta: Tensor,
        children: Tensor,
        parts: Sequence[int],
        counts: Tensor,
        n: int,
        norm: BatchNorm1d,
        tanh: bool,
    ) -> Tensor:
        share = counts.to(x.dtype) / n
        centred = _mixed(x, weight, children, parts)  # not yet
        mean = torch.mv(centred.T, share)
        centred -= mean
        var = torch.mv((centred * centred).T, share)
        norm.track(mean, var, n)
        inverse_std = (var + norm.eps).rsqrt_()
        scale = gamma * inverse_std
        if tanh:  # 2 sigmoid(2x) - 1
            y = torch.rsub(torch.addcmul(beta + beta, centred, scale, value=2).sigmoid_(), -1, alpha=-2)  # in one pass
        else:
            y = torch.addcmul(beta, centred, scale)
        ctx.save_for_backward(x, weight, children, centred, share, inverse_std, scale, *([y] if tanh else []))
        ctx.parts = parts
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, children, centred, share, inverse_std, scale, *y = ctx.saved_tensors
        dy = _tanh_backward(gradients[0], y[0]) if y else gradients[0].clone()
        dbeta, dgamma = dy.sum(0), (dy * centred).sum(0).mul_(inverse_std)
        shared = torch.addcmul(dbeta, centred, dgamma * inverse_std)
        dmixed = dy.addcmul_(shared, share[:, None], value=-1).mul_(scale)
        del shared  # its memory is still in the cache, and is used again
        dx, dweight = _mix_gradients(ctx, dmixed, x, weight, children)
        return dx, dweight, dgamma, dbeta, None, None, None, None, None, None


def _mixed(x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
    """Multiply each part by its columns of the weight, then add up the children: (U_below, C), (H, n*C) -> (U, H)."""
    products = x.new_empty(len(x), len(weight))
    for rows, columns, out in _by_place(parts, x, weight, products):
        torch.mm(rows, columns.T, out=out)
    first, *others = children.unbind()
    y = products.index_select(0, first)
    for picked in others:
        y += products.index_select(0, picked)
    return y


def _mix_gradients(
    ctx: Any, dy: Tensor, x: Tensor, weight: Tensor, children: Tensor
) -> tuple[Tensor | None, Tensor | None]:
    """Add up the gradients of all rows that a row below is a child of, then multiply: those of x and weight."""
    dproducts = dy.new_zeros(len(x), len(weight))
    for picked in children:
        dproducts.index_add_(0, picked, dy)
    dx = dweight = None
    if ctx.needs_input_grad[0]:
        dx = torch.empty_like(x)
        for out, columns, drows in _by_place(ctx.parts, dx, weight, dproducts):
            torch.mm(drows, columns, out=out)
    if ctx.needs_input_grad[1]:
        dweight = torch.empty_like(weight)
        for rows, out, drows in _by_place(ctx.parts, x, dweight, dproducts):
            torch.mm(drows.T, rows, out=out)
    return dx, dweight


def _by_place(
    parts: Sequence[int], x: Tensor, weight: Tensor, products: Tensor
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Cut the rows below, the columns of the weight and the products into what belongs to each place."""
    return zip(x.split_with_sizes(parts), weight.chunk(len(parts), 1), products.split_with_sizes(parts), strict=True)
