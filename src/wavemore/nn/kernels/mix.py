"""A fusion and its Linear over the distinct n-grams of a batch: multiply each row first, then pick and add.

A Linear of n children side by side is the sum of a Linear of each: first children are multiplied by the first columns
of the weight, second children by the next ones, and so on. So each row below is multiplied once, however many rows
above it is a child of: the 670 eight-grams of a batch may begin with only 150 different four-grams.

Shapes: C channels below, H channels above, U rows above, n children of each, U_below rows below. `parts` are n numbers:
the rows below are first children, second children, and so on, in this order.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from wavemore.nn.kernels.torch_internals import first_derivative
from wavemore.nn.layers import Linear
from wavemore.nn.precision import is_exact
from wavemore.nn.threads import most_threads

Matrix: TypeAlias = Any  # a tensor of two dimensions, or a numpy array that shares its memory


def mix(x: Tensor, children: Tensor, parts: Sequence[int], linear: Linear) -> Tensor:
    """Apply a Linear to the children of every row, side by side: (U_below, C), (n, U) -> (U, H).

    It has no second derivatives.
    """
    y = cast(Tensor, _Mix.apply(x, linear.weight, children, parts))  # type: ignore[no-untyped-call]
    return y if linear.bias is None else y + linear.bias


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
        ctx.save_for_backward(x, weight, children)
        ctx.parts = parts
        return mix_forward(x, weight, children, parts)

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, children = ctx.saved_tensors
        return *mix_backward(gradients[0], x, weight, children, ctx.parts), None, None


def mix_forward(x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]) -> Tensor:
    """Multiply each part by its columns of the weight, then add up the children: (U_below, C), (H, n * C) -> (U, H)."""
    products = x.new_empty(len(x), len(weight))
    for rows, columns, out in zip(_rows(x, parts), _columns(weight, len(parts)), _rows(products, parts), strict=True):
        multiply(rows, columns.T, out)
    first, *others = children.unbind()
    y = products.index_select(0, first)
    for child in others:
        y += products.index_select(0, child)
    return y


def mix_backward(
    dy: Tensor, x: Tensor, weight: Tensor, children: Tensor, parts: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Add up the gradients of all rows that a row below is a child of, then multiply: those of x and weight."""
    dproducts = dy.new_zeros(len(x), len(weight))
    for child in children:
        dproducts.index_add_(0, child, dy)
    dx, dweight = torch.empty_like(x), torch.empty_like(weight)
    by_rows = (_rows(rows, parts) for rows in (x, dx, dproducts))
    by_columns = (_columns(columns, len(parts)) for columns in (weight, dweight))
    for rows, drows, dout, columns, dcolumns in zip(*by_rows, *by_columns, strict=True):
        multiply(dout, columns, drows)
        multiply(dout.T, rows, dcolumns)
    return dx, dweight


def multiply(a: Matrix, b: Matrix, out: Matrix) -> None:
    """Multiply two matrices: (R, K), (K, C) -> `out` (R, C); all three are results of `as_matrix`."""
    if isinstance(out, np.ndarray):
        with np.errstate(all="ignore"):  # as in torch, an overflow is infinite
            np.matmul(a, b, out=out)
    else:
        torch.mm(a, b, out=out)


def as_matrix(x: Tensor) -> Matrix:
    """Return `x`, or where one CPU thread is allowed and with full precision a numpy array that shares its memory.

    A call of numpy takes half the time of torch's, and its BLAS is faster for few rows and, on AMD processors, for
    many. Where more threads are allowed, the two libraries' threads would compete.
    """
    single = most_threads() == 1 and x.is_cpu
    fits = single and x.dtype in (torch.float32, torch.float64) and is_exact()  # numpy has no lower precision
    return x.detach().numpy() if fits else x


def _rows(x: Tensor, parts: Sequence[int]) -> list[Matrix]:
    """Split the rows into first children, second children, and so on."""
    matrix = as_matrix(x)
    return [matrix[end - count : end] for count, end in zip(parts, accumulate(parts), strict=True)]


def _columns(weight: Tensor, n: int) -> list[Matrix]:
    """Split the columns into those for first children, second children, and so on."""
    matrix, count = as_matrix(weight), weight.shape[1] // n
    return [matrix[:, end - count : end] for end in range(count, n * count + 1, count)]
