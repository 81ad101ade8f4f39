"""A layer of an LSTM over lines of any lengths, as one autograd function.

torch's layer needs lines of one length, is no faster in bfloat16, and adds up the gradient of the recurrent weight step
by step. Here that gradient is one large product at the end, the input of the first layer is a part of the same
products, as a character is one of few rows of a table, and a step computes only the lines that have not ended. Lines
that begin with the same characters share their rows until they differ.

Shapes: B rows at the first step, N rows of all steps, V characters, H channels of the state. The rows are ordered by
time: first those of step 0, then those of step 1, and so on; `sizes` has their numbers. `parents` has, for each step
after the first, the row of the previous step that each of its rows continues: a tensor, or None if row i continues row
i. The other rows of the previous step have ended.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from wavemore.nn.kernels.torch_internals import first_derivative, sigmoid_backward, tanh_backward
from wavemore.nn.precision import rounds_to_bfloat16

ALIGNED = 32
"""The number of columns of a product is padded to a multiple of this."""


def project(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply rows with an input weight: (R, I), (4H, I), (4H,) -> (R, 4H)."""
    dtype = product_dtype(x)
    if dtype == x.dtype:
        return torch.addmm(bias, x, weight.T)
    return (x.to(dtype) @ weight.to(dtype).T).to(x.dtype) + bias


def product_dtype(x: Tensor) -> torch.dtype:
    """The precision in which the matrix products of `x` are computed."""
    return torch.bfloat16 if x.dtype == torch.float32 and rounds_to_bfloat16() else x.dtype


def lstm(
    inputs: Tensor,
    rows: Tensor | None,
    weight: Tensor,
    sizes: Sequence[int],
    parents: Sequence[Tensor | None],
    before: tuple[Tensor, Tensor] | None = None,
) -> tuple[Tensor, Tensor]:
    """Run a layer: the hidden states (N, H), and the cells of the last step without their gradient.

    `inputs` are products with the input weight, both biases added: those of all positions, (N, 4H), or those of V
    characters, (V, 4H), with the character of each position in `rows`, (N,), for a small V. `weight` is the recurrent
    one, (4H, H). The gates are in torch's order: input, forget, cell, output. `before` is the hidden state and the cell
    before the first step, (B, H) each; they get no gradient. There are no second derivatives.
    """
    first = before or (None, None)
    outputs = _Lstm.apply(inputs, rows, weight, sizes, parents, *first)  # type: ignore[no-untyped-call]
    return cast(tuple[Tensor, Tensor], outputs)


def lstm_step(gates: Tensor, weight: Tensor, before: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """Run one step from the inputs of the gates (B, 4H), which are overwritten: the hidden states and the cells.

    `before` are those of the step before, (B, H) each. Without gradients.
    """
    gates, weight = gates.detach(), weight.detach()
    if before is not None:
        gates.addmm_(before[0], weight.T)
    cell, hidden = gates.new_empty(2, len(gates), weight.shape[1]).unbind()
    with np.errstate(all="ignore"):  # as in torch, an overflow is infinite
        _activate(gates, None if before is None else before[1], cell, hidden, hidden)
    return hidden, cell


def _activate(gates: Tensor, last_cell: Tensor | None, cell: Tensor, tanh: Tensor, hidden: Tensor) -> None:
    """Turn the sums of the gates into their values, and fill the cell, its tanh and the hidden state."""
    i, f, g, o = gates.chunk(4, dim=1)
    input_forget = gates[:, : 2 * i.shape[1]]
    torch.sigmoid(input_forget, out=input_forget)
    np.tanh(g.numpy(), out=g.numpy())  # a sixth of the time of torch's
    torch.sigmoid(o, out=o)
    if last_cell is None:
        torch.mul(i, g, out=cell)
    else:
        torch.mul(f, last_cell, out=cell).addcmul_(i, g)
    np.tanh(cell.numpy(), out=tanh.numpy())
    torch.mul(o, tanh, out=hidden)


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        rows: Tensor | None,
        weight: Tensor,
        sizes: Sequence[int],
        parents: Sequence[Tensor | None],
        first_hidden: Tensor | None,
        first_cell: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        dtype, channels, count = product_dtype(weight), weight.shape[1], sum(sizes)
        exact = dtype == inputs.dtype
        # What is multiplied at each position: the state before it and, with a table, its character as a one-hot row.
        columns = channels if rows is None else -(-(channels + len(inputs)) // ALIGNED) * ALIGNED
        factors = weight.new_empty(count, columns, dtype=dtype)
        matrix = weight.to(dtype)  # (4H, columns)
        if rows is not None:
            factors[:, channels:] = 0
            factors.scatter_(1, (channels + rows)[:, None], 1)
            matrix = weight.new_zeros(len(weight), columns, dtype=dtype)
            matrix[:, :channels], matrix[:, channels : channels + len(inputs)] = weight, inputs.T
        factors[: sizes[0], :channels] = 0 if first_hidden is None else first_hidden
        gates = inputs.new_empty(count, 4 * channels)
        cells, tanhs, hiddens = inputs.new_empty(3, count, channels).unbind()
        product = factors.new_empty(max(sizes), 4 * channels)
        last_cell = first_cell
        each = [x.split_with_sizes(sizes) for x in (factors, gates, cells, tanhs, hiddens)]
        sources = [None] * len(sizes) if rows is not None else inputs.split_with_sizes(sizes)
        with np.errstate(all="ignore"):
            for n, source, following, parent, factor, gate, cell, tanh, hidden in zip(
                sizes, sources, (*each[0][1:], None), (*parents, None), *each, strict=True
            ):
                if source is None:
                    torch.mm(factor, matrix.T, out=gate if exact else product[:n])
                    if not exact:
                        gate.copy_(product[:n])
                elif last_cell is None:
                    gate.copy_(source)
                else:
                    torch.add(source, torch.mm(factor, matrix.T, out=product[:n]), out=gate)
                _activate(gate, None if last_cell is None else last_cell[:n], cell, tanh, hidden)
                if following is not None:
                    following[:, :channels] = continued(hidden, parent)[: len(following)]
                last_cell = continued(cell, parent)
        ctx.save_for_backward(matrix, gates, cells, tanhs, factors, first_cell)
        ctx.sizes, ctx.parents, ctx.table = sizes, (None, *parents), None if rows is None else len(inputs)
        ends = cell.clone()
        ctx.mark_non_differentiable(ends)
        return hiddens, ends

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        matrix, gates, cells, tanhs, factors, first_cell = ctx.saved_tensors
        sizes, dhiddens, channels = ctx.sizes, gradients[0], cells.shape[1]
        most, exact = max(sizes), matrix.dtype == dhiddens.dtype
        dgates = matrix.new_empty(gates.shape)
        dgate_rows = dhiddens.new_empty(most, 4 * channels)
        dhidden_rows, products, dcells = dhiddens.new_zeros(3, most, channels).unbind()
        back = mixed = matrix.new_zeros(most, channels)  # what comes from the step after; 0 for rows that have ended
        each = (x.split_with_sizes(sizes)[::-1] for x in (dhiddens, dgates, gates, tanhs))
        for n, parent, before, dhidden, low, gate, tanh in zip(
            sizes[::-1],
            ctx.parents[::-1],
            (first_cell, *cells.split_with_sizes(sizes)[:-1])[::-1],
            *each,
            strict=True,
        ):
            last_cell = None if before is None else continued(before, parent)
            dgate = low if exact else dgate_rows[:n]
            dhidden = torch.add(dhidden, back[:n], out=dhidden_rows[:n])
            _activate_backward(dgate, gate, dhidden, dcells[:n], last_cell, tanh, products[:n])
            if not exact:
                low.copy_(dgate)
            if last_cell is not None:
                torch.mm(low, matrix[:, :channels], out=mixed[:n])
                back = mixed
            if parent is not None:
                back, dcells = (_summed(x[:n], parent, dhidden_rows) for x in (mixed, dcells))
                mixed = torch.zeros_like(mixed)
        dmatrix = torch.mm(dgates.T, factors).to(dhiddens.dtype)
        dinputs = dgates.to(dhiddens.dtype) if ctx.table is None else dmatrix[:, channels : channels + ctx.table].T
        return dinputs, None, dmatrix[:, :channels], None, None, None, None


def continued(states: Tensor, parent: Tensor | None) -> Tensor:
    """Return the states of a step that the rows of the next one continue: row i itself, or the rows `parent`."""
    return states if parent is None else states.index_select(0, parent)


def _summed(gradients: Tensor, parent: Tensor, like: Tensor) -> Tensor:
    """Add up the gradients of the rows that continue one row, in a tensor like another one."""
    return torch.zeros_like(like).index_add_(0, parent, gradients.to(like.dtype))


def _activate_backward(
    dgate: Tensor,
    gate: Tensor,
    dhidden: Tensor,
    dcell: Tensor,
    last_cell: Tensor | None,
    tanh: Tensor,
    product: Tensor,
) -> None:
    """Fill the gradient of the sums of the gates, and turn that of a cell into that of the cell before, in place."""
    i, f, g, o = gate.chunk(4, dim=1)
    di, df, dg, do = dgate.chunk(4, dim=1)
    torch.mul(dhidden, tanh, out=do)
    sigmoid_backward(do, o, grad_input=do)
    torch.mul(dhidden, o, out=product)
    dcell += tanh_backward(product, tanh, grad_input=product)
    torch.mul(dcell, g, out=di)
    if last_cell is None:
        df.zero_()
    else:
        torch.mul(dcell, last_cell[: len(dcell)], out=df)
    input_forget, dinput_forget = (x[:, : 2 * i.shape[1]] for x in (gate, dgate))
    sigmoid_backward(dinput_forget, input_forget, grad_input=dinput_forget)
    torch.mul(dcell, i, out=dg)
    tanh_backward(dg, g, grad_input=dg)
    dcell *= f
