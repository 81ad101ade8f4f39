"""Activations: modules without parameters that map each value, or each pair of channels, on its own."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.kernels.tanh import gate_backward, tanh, tanh_and_sigmoid
from wavemore.nn.kernels.torch_internals import differentiable, needs_plain, tanh_backward


class Tanh(nn.Module):
    """Squash every value into (-1, 1).

    >>> Tanh()(torch.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return torch.tanh(x) if needs_plain() else cast(Tensor, _Tanh.apply(x))  # type: ignore[no-untyped-call]


class _Tanh(torch.autograd.Function):
    """With the faster `tanh`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = tanh(x, torch.empty_like(x))
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """dx = dy * (1 - tanh(x)^2)."""
        y: Tensor = ctx.saved_tensors[0]
        return tanh_backward(gradients[0], y)  # one pass over memory


ReLU = nn.ReLU
"""Replaces negative values by 0; torch's own."""

SiLU = nn.SiLU
"""Multiplies every value by its sigmoid, https://arxiv.org/abs/1702.03118; torch's own."""


class GELU(nn.Module):
    """Multiply every value by the probability that a standard normal one is smaller: x * Phi(x).

    >>> GELU()(torch.tensor([-1.0, 0.0, 1.0])).round(decimals=3)
    tensor([-0.1590,  0.0000,  0.8410])

    Paper: https://arxiv.org/abs/1606.08415
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return F.gelu(x)  # x * (1 + erf(x / sqrt 2)) / 2 takes three times as long


class GatedTanh(nn.Module):
    """The gated activation of WaveNet: tanh(a) * sigmoid(b), with a the first C channels and b the other C.

    >>> GatedTanh()(torch.tensor([100.0, 100.0, 100.0, -100.0]))
    tensor([1., 0.])

    Paper: https://arxiv.org/abs/1606.05328, equation 2
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` (..., 2C) to (..., C)."""
        if needs_plain():
            return _gated_tanh(x)
        return cast(Tensor, _GatedTanh.apply(x))  # type: ignore[no-untyped-call]


def _gated_tanh(x: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=-1)
    return a.tanh() * b.sigmoid()


class _GatedTanh(torch.autograd.Function):
    """With the faster `tanh`, and fewer passes over memory than autograd makes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        t, q = tanh_and_sigmoid(x)
        ctx.save_for_backward(x, t, q)
        return t * q

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor | None:
        """Return the gradients of both halves, side by side."""
        x, t, q = ctx.saved_tensors
        dy = gradients[0]
        if torch.is_grad_enabled():
            return differentiable(_gated_tanh, [x], dy)[0]
        return gate_backward(dy, dy * t * q, t, q)


class SwiGLU(nn.Module):
    """A gated activation: a * SiLU(b), with a the first C channels and b the other C.

    >>> SwiGLU()(torch.tensor([3.0, 3.0, 100.0, -100.0])).round()
    tensor([300.,  -0.])

    Paper: https://arxiv.org/abs/2002.05202
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` (..., 2C) to (..., C)."""
        a, b = x.chunk(2, dim=-1)
        return a * F.silu(b)


GATES: dict[str, type[nn.Module]] = {"glu": GatedTanh, "swiglu": SwiGLU}
ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": ReLU, "gelu": GELU, "silu": SiLU}
