"""A layer of an LSTM over lines of any lengths, as one autograd function.

torch's layer needs lines of one length, is no faster in bfloat16, and adds up the gradient of the recurrent weight step
by step. Here that gradient is one large product at the end, the input of the first layer is a row of a table, as each
character has one, and a step computes only the lines that have not ended.

Shapes: B lines, N positions of all lines, V characters, H channels of the state. The positions are ordered by time:
first those of all lines at step 0, then those at step 1 of all lines that go on, and so on, the longest line first.
`sizes` has the number of lines at each step, which never grows.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from wavemore.nn.precision import rounds_to_bfloat16

_aten = torch.ops.aten


class LstmState(NamedTuple):
    """The state of each line: (B, H) each."""

    hidden: Tensor
    cell: Tensor


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
    inputs: Tensor, rows: Tensor | None, weight: Tensor, sizes: Sequence[int], before: LstmState | None
) -> tuple[Tensor, LstmState]:
    """Run a layer from the state `before`, or from zeros: the hidden states (N, H), and the state at the last step.

    `inputs` are products with the input weight, both biases added: those of all positions, (N, 4H), or those of V
    characters, (V, 4H), with the character of each position in `rows`, (N,). `weight` is the recurrent one, (4H, H).
    The gates are in torch's order: input, forget, cell, output.

    No gradient goes to or comes from a state. It has no second derivatives.
    """
    dtype = product_dtype(weight)
    if torch.is_grad_enabled() and (inputs.requires_grad or weight.requires_grad):
        arguments = inputs, rows, weight, sizes, before, dtype
        hidden, cell = cast(tuple[Tensor, Tensor], _Lstm.apply(*arguments))  # type: ignore[no-untyped-call]
    else:
        hidden, [_, cells, *_] = _forward(inputs, rows, weight.to(dtype), sizes, before, keep=False)
        cell = cells[: sizes[-1]]
    return hidden, LstmState(hidden.detach()[len(hidden) - sizes[-1] :], cell)


def _forward(
    inputs: Tensor, rows: Tensor | None, weight: Tensor, sizes: Sequence[int], before: LstmState | None, keep: bool
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Return the hidden states, and of each position (with `keep`; otherwise of the last step) what `backward` needs:

    the gates (N, 4H), the cells, their tanh, and the hidden states in the precision of the weight (N, H).
    """
    channels, length = weight.shape[1], sum(sizes) if keep else sizes[0]
    gates = inputs.new_empty(length, 4 * channels)
    cells, tanhs, hiddens = (inputs.new_empty(size, channels) for size in (length, length, sum(sizes)))
    exact = weight.dtype == inputs.dtype
    rounded = hiddens if exact else weight.new_empty(length, channels)
    product = weight.new_empty(sizes[0], 4 * channels)
    last, last_cell = (None, None) if before is None else (before.hidden.to(weight.dtype), before.cell)
    steps = zip(
        sizes,
        (inputs if rows is None else rows).split_with_sizes(sizes),
        hiddens.split_with_sizes(sizes),
        hiddens.split_with_sizes(sizes) if exact else _steps(rounded, sizes, keep),
        *(_steps(x, sizes, keep) for x in (gates, gates[:, : 2 * channels], cells, tanhs)),
        strict=True,
    )
    with np.errstate(all="ignore"):  # as in torch, an overflow is infinite
        for n, source, hidden, low, gate, input_forget, cell, tanh in steps:
            i, f, g, o = gate.chunk(4, dim=1)
            if rows is None:
                gate.copy_(source)
            else:
                torch.index_select(inputs, 0, source, out=gate)
            if last is not None:
                if exact:
                    gate.addmm_(last[:n], weight.T)
                else:
                    gate += torch.mm(last[:n], weight.T, out=product[:n])
            torch.sigmoid(input_forget, out=input_forget)
            np.tanh(g.numpy(), out=g.numpy())  # a sixth of the time of torch's
            torch.sigmoid(o, out=o)
            if last_cell is None:
                torch.mul(i, g, out=cell)
            else:
                torch.mul(f, last_cell[:n], out=cell).addcmul_(i, g)
            np.tanh(cell.numpy(), out=tanh.numpy())
            torch.mul(o, tanh, out=hidden)
            if not exact:
                low.copy_(hidden)
            last, last_cell = low, cell
    return hiddens, (gates, cells, tanhs, rounded)


def _steps(x: Tensor, sizes: Sequence[int], keep: bool) -> Sequence[Tensor]:
    """Return the rows of each step: one step after the other or, without `keep`, the first rows again and again."""
    return x.split_with_sizes(sizes) if keep else [x[:n] for n in sizes]


class _Lstm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        rows: Tensor | None,
        weight: Tensor,
        sizes: Sequence[int],
        before: LstmState | None,
        dtype: torch.dtype,
    ) -> tuple[Tensor, Tensor]:
        weight = weight.to(dtype)
        hidden, saved = _forward(inputs, rows, weight, sizes, before, keep=True)
        ctx.save_for_backward(weight, rows, *saved, *(before or (None, None)))
        ctx.sizes, ctx.shape = sizes, inputs.shape
        cell = saved[1][len(hidden) - sizes[-1] :]
        ctx.mark_non_differentiable(cell)
        ctx.set_materialize_grads(False)
        return hidden, cell

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        weight, rows, gates, cells, tanhs, rounded, before_hidden, before_cell = ctx.saved_tensors
        sizes, dhiddens, channels = ctx.sizes, gradients[0], cells.shape[1]
        lines, exact = sizes[0], weight.dtype == dhiddens.dtype
        dinputs = dhiddens.new_zeros(ctx.shape) if rows is not None else dhiddens.new_empty(ctx.shape)
        dgates = weight.new_empty(len(gates), 4 * channels)
        dgate_rows = dhiddens.new_empty(lines, 4 * channels)
        dh, du, dcells = dhiddens.new_empty(3, lines, channels).unbind()
        dcells.zero_()
        back = weight.new_zeros(lines, channels)  # what comes from the step after
        steps = zip(
            reversed(sizes),
            reversed((dinputs if rows is None else rows).split_with_sizes(sizes)),
            reversed((before_cell, *cells.split_with_sizes(sizes)[:-1])),
            *(reversed(x.split_with_sizes(sizes)) for x in (dhiddens, dgates, gates, gates[:, : 2 * channels], tanhs)),
            strict=True,
        )
        for n, target, last_cell, dhidden, low, gate, input_forget, tanh in steps:
            i, f, g, o = gate.chunk(4, dim=1)
            dgate = low if exact else dgate_rows[:n]
            di, df, dg, do = dgate.chunk(4, dim=1)
            u, dcell = du[:n], dcells[:n]
            dhidden = torch.add(dhidden, back[:n], out=dh[:n])
            torch.mul(dhidden, tanh, out=do)
            _aten.sigmoid_backward(do, o, grad_input=do)
            torch.mul(dhidden, o, out=u)
            dcell += _aten.tanh_backward(u, tanh, grad_input=u)
            torch.mul(dcell, g, out=di)
            if last_cell is None:
                df.zero_()
            else:
                torch.mul(dcell, last_cell[:n], out=df)
            di_and_df = dgate[:, : 2 * channels]
            _aten.sigmoid_backward(di_and_df, input_forget, grad_input=di_and_df)
            torch.mul(dcell, i, out=dg)
            _aten.tanh_backward(dg, g, grad_input=dg)
            if not exact:
                low.copy_(dgate)
            if rows is None:
                target.copy_(dgate)
            else:
                dinputs.index_add_(0, target, dgate)
            if last_cell is not None:
                dcell *= f
                torch.mm(low, weight, out=back[:n])
        earlier = _before_each(rounded, sizes, before_hidden)
        dweight = torch.mm(dgates[len(dgates) - len(earlier) :].T, earlier).to(dhiddens.dtype)
        return dinputs, None, dweight, None, None, None


def _before_each(hidden: Tensor, sizes: Sequence[int], before: Tensor | None) -> Tensor:
    """Return the hidden state before each position; without a state before step 0, from step 1 on."""
    states = list(hidden.split_with_sizes(sizes))[:-1]
    if before is None and sizes[0] == sizes[-1]:
        return hidden[: len(hidden) - sizes[-1]]
    if before is not None:
        states, sizes = [before.to(hidden.dtype), *states], [sizes[0], *sizes]
    return torch.cat([state[:n] for state, n in zip(states, sizes[1:], strict=True)])
