"""A layer of an LSTM over lines of any lengths, as one autograd function.

torch's layer needs lines of one length, is no faster in bfloat16, and adds up the gradient of the recurrent weight step
by step. Here that gradient is one large product at the end, the input of the first layer is a row of a table, as each
character has one, and a step computes only the lines that have not ended.

Shapes: B lines, N positions of all lines, V characters, H channels of the state. The positions are ordered by time:
first those of all lines at step 0, then those at step 1 of all lines that go on, and so on, the longest line first.
`sizes` has the number of lines at each step, which never grows.
"""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from wavemore.nn.precision import rounds_to_bfloat16

_aten = torch.ops.aten


def project(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Multiply rows with an input weight: (R, I), (4H, I), (4H,) -> (R, 4H)."""
    dtype = product_dtype(x)
    if dtype == x.dtype:
        return torch.addmm(bias, x, weight.T)
    return (x.to(dtype) @ weight.to(dtype).T).to(x.dtype) + bias


def product_dtype(x: Tensor) -> torch.dtype:
    """The precision in which the matrix products of `x` are computed."""
    return torch.bfloat16 if x.dtype == torch.float32 and rounds_to_bfloat16() else x.dtype


def lstm(inputs: Tensor, rows: Tensor | None, weight: Tensor, sizes: Sequence[int]) -> Tensor:
    """Run a layer: the hidden states (N, H).

    `inputs` are products with the input weight, both biases added: those of all positions, (N, 4H), or those of V
    characters, (V, 4H), with the character of each position in `rows`, (N,). `weight` is the recurrent one, (4H, H).
    The gates are in torch's order: input, forget, cell, output. It has no second derivatives.
    """
    return cast(Tensor, _Lstm.apply(inputs, rows, weight, sizes))  # type: ignore[no-untyped-call]


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
    def forward(ctx: Any, inputs: Tensor, rows: Tensor | None, weight: Tensor, sizes: Sequence[int]) -> Tensor:
        weight = weight.to(product_dtype(weight))
        channels, count, exact = weight.shape[1], sum(sizes), weight.dtype == inputs.dtype
        gates = inputs.new_empty(count, 4 * channels)
        cells, tanhs, hiddens = inputs.new_empty(3, count, channels).unbind()
        rounded = hiddens if exact else weight.new_empty(count, channels)  # for the products
        product = weight.new_empty(sizes[0], 4 * channels)
        last, last_cell = None, None
        each = (x.split_with_sizes(sizes) for x in (gates, cells, tanhs, hiddens, rounded))
        with np.errstate(all="ignore"):
            for n, source, gate, cell, tanh, hidden, low in zip(
                sizes, (inputs if rows is None else rows).split_with_sizes(sizes), *each, strict=True
            ):
                if rows is None:
                    gate.copy_(source)
                else:
                    torch.index_select(inputs, 0, source, out=gate)
                if last is not None:
                    if exact:
                        gate.addmm_(last[:n], weight.T)
                    else:
                        gate += torch.mm(last[:n], weight.T, out=product[:n])
                _activate(gate, None if last_cell is None else last_cell[:n], cell, tanh, hidden)
                if not exact:
                    low.copy_(hidden)
                last, last_cell = low, cell
        ctx.save_for_backward(weight, rows, gates, cells, tanhs, rounded)
        ctx.sizes, ctx.shape = sizes, inputs.shape
        return hiddens

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, rows, gates, cells, tanhs, rounded = ctx.saved_tensors
        sizes, dhiddens, channels = ctx.sizes, gradients[0], cells.shape[1]
        lines, exact = sizes[0], weight.dtype == dhiddens.dtype
        dinputs = dhiddens.new_zeros(ctx.shape)
        dgates = weight.new_empty(len(gates), 4 * channels)
        dgate_rows = dhiddens.new_empty(lines, 4 * channels)
        dhidden_rows, products, dcells = dhiddens.new_zeros(3, lines, channels).unbind()
        back = weight.new_zeros(lines, channels)  # what comes from the step after
        each = (x.split_with_sizes(sizes)[::-1] for x in (dhiddens, dgates, gates, tanhs))
        for n, target, last_cell, dhidden, low, gate, tanh in zip(
            sizes[::-1],
            (dinputs if rows is None else rows).split_with_sizes(sizes)[::-1],
            (None, *cells.split_with_sizes(sizes)[:-1])[::-1],
            *each,
            strict=True,
        ):
            dgate = low if exact else dgate_rows[:n]
            dcell = dcells[:n]
            dhidden = torch.add(dhidden, back[:n], out=dhidden_rows[:n])
            _activate_backward(dgate, gate, dhidden, dcell, last_cell, tanh, products[:n])
            if not exact:
                low.copy_(dgate)
            if rows is None:
                target.copy_(dgate)
            else:
                dinputs.index_add_(0, target, dgate)
            if last_cell is not None:
                torch.mm(low, weight, out=back[:n])
        dweight = torch.mm(dgates[lines:].T, _before_each(rounded, sizes)).to(dhiddens.dtype)
        return dinputs, None, dweight, None


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
    _aten.sigmoid_backward(do, o, grad_input=do)
    torch.mul(dhidden, o, out=product)
    dcell += _aten.tanh_backward(product, tanh, grad_input=product)
    torch.mul(dcell, g, out=di)
    if last_cell is None:
        df.zero_()
    else:
        torch.mul(dcell, last_cell[: len(dcell)], out=df)
    input_forget, dinput_forget = (x[:, : 2 * i.shape[1]] for x in (gate, dgate))
    _aten.sigmoid_backward(dinput_forget, input_forget, grad_input=dinput_forget)
    torch.mul(dcell, i, out=dg)
    _aten.tanh_backward(dg, g, grad_input=dg)
    dcell *= f


def _before_each(hidden: Tensor, sizes: Sequence[int]) -> Tensor:
    """Return the hidden state before each position of step 1 and later ones."""
    if sizes[0] == sizes[-1]:
        return hidden[: len(hidden) - sizes[-1]]
    states = hidden.split_with_sizes(sizes)[:-1]
    return torch.cat([state[:n] for state, n in zip(states, sizes[1:], strict=True)])
