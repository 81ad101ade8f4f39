"""A WaveNet block as one autograd function, for blocks with RMSNorm, the tanh x sigmoid gate and no dropout.

It makes fewer passes over memory than autograd does. With time as the first dimension, a shift in time is a contiguous
block of memory, so the convolution copies no input. The plain path is `Block.forward` in nn/wavenet.py.

Shapes: T time, B lines, C channels, S skip channels, K kernel size.
"""

from typing import Any

import torch
from torch import Tensor

from wavemore.nn.kernels.tanh import gate_backward, tanh_and_sigmoid
from wavemore.nn.kernels.torch_internals import first_derivative


class GatedBlock(torch.autograd.Function):
    """Normalise, convolve, gate, and add to the residual and the skip path; it has no second derivatives.

    n = x s with s = 1 / sqrt(mean(x^2) + eps); the norm's gain is a factor of `taps`. u = t q, with t the tanh of the
    first half of conv(n), and q the sigmoid of the second.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        skips: Tensor,
        taps: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        skip: Tensor,
        dilation: int,
        eps: float,
    ) -> tuple[Tensor | None, Tensor]:
        """Return x + u @ residual, (T, B, C), and skips + u @ skip, (T, B, S), in the memory of skips.

        Shapes: x (T, B, C), skips (T, B, S), taps (K, C, 2C), bias (2C,), residual (C, C), skip (C, S).
        """
        x, taps = x.contiguous(), taps.contiguous()
        scale = (x * x).mean(-1, keepdim=True).add_(eps).rsqrt_()  # (T, B, 1)
        normal = x * scale
        t, q = tanh_and_sigmoid(convolve(normal, taps, bias, dilation).flatten(0, 1))  # (T * B, C) each
        u = t * q
        ctx.save_for_backward(normal, scale, t, q, u, taps, skip, residual)
        ctx.dilation = dilation
        skips.flatten(0, 1).addmm_(u, skip)
        ctx.mark_dirty(skips)
        return None if residual is None else torch.addmm(x.flatten(0, 1), u, residual).view_as(x), skips

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Turn the gradients of both outputs into those of x, skips and the weights."""
        normal, scale, t, q, u, taps, skip, residual = ctx.saved_tensors
        dy, dskips = gradients[0], gradients[1].flatten(0, 1)
        du = dskips @ skip.T
        dskip, dresidual = u.T @ dskips, None
        if residual is not None:
            du.addmm_(dy.flatten(0, 1), residual.T)
            dresidual = u.T @ dy.flatten(0, 1)
        dz = gate_backward(du, du * u, t, q).view(*normal.shape[:2], -1)  # (T, B, 2C)
        dnormal, dtaps = convolve_backward(normal, taps, ctx.dilation, dz)
        dnormal.addcmul_(normal, (dnormal * normal).mean(-1, keepdim=True), value=-1)
        dx = dnormal.mul_(scale) if residual is None else torch.addcmul(dy, dnormal, scale)
        return dx, gradients[1], dtaps, dz.sum((0, 1)), dresidual, dskip, None, None


def convolve(x: Tensor, taps: Tensor, bias: Tensor, dilation: int) -> Tensor:
    """y[t] = bias + sum over k of x[t - k dilation] @ taps[k]; before the first position, x is x[0].

    Shapes: x (T, B, C), taps (K, C, out), bias (out,) -> (T, B, out). Autograd does not see this function.
    """
    rows = x.flatten(0, 1)
    y = torch.addmm(bias, rows, taps[0]).view(*x.shape[:2], -1)
    for back, tap in enumerate(taps[1:], start=1):
        shift = min(back * dilation, len(x))
        y[shift:].flatten(0, 1).addmm_(x[: len(x) - shift].flatten(0, 1), tap)
        y[:shift] += x[0] @ tap
    return y


def convolve_backward(x: Tensor, taps: Tensor, dilation: int, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the gradient of y, contiguous, into those of x and of the taps."""
    rows, transposed = dy.flatten(0, 1), taps.mT.contiguous()
    dx = (rows @ transposed[0]).view_as(x)
    dtaps = torch.empty_like(taps)
    torch.mm(x.flatten(0, 1).T, rows, out=dtaps[0])
    for back, tap in enumerate(transposed[1:], start=1):
        shift = min(back * dilation, len(x))
        earlier, later = x[: len(x) - shift].flatten(0, 1), dy[shift:].flatten(0, 1)
        first = dy[:shift].sum(0)  # (B, out): from the positions that see x[0] in place of one before the line
        dx[: len(x) - shift].flatten(0, 1).addmm_(later, tap)
        dx[0].addmm_(first, tap)
        torch.mm(earlier.T, later, out=dtaps[back])
        dtaps[back].addmm_(x[0].T, first)
    return dx, dtaps
