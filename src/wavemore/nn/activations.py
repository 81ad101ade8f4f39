"""Activations: modules without parameters that map each value, or each pair of channels, on its own."""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tanh(nn.Module):
    """Squash every value into (-1, 1).

    >>> Tanh()(torch.tensor([0.0, 100.0]))
    tensor([0., 1.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return cast(Tensor, _Tanh.apply(x))  # type: ignore[no-untyped-call]


class _Tanh(torch.autograd.Function):
    """tanh(x) = 2 sigmoid(2x) - 1: on a CPU, torch computes sigmoid several times faster than tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        # The absolute error is at most one unit in the last place of 1.
        y: Tensor = (2 * x).sigmoid_().mul_(2).sub_(1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """dx = dy * (1 - tanh(x)^2)."""
        y: Tensor = ctx.saved_tensors[0]
        return cast(Tensor, torch.ops.aten.tanh_backward(gradients[0], y))  # one pass over memory


ReLU = nn.ReLU
"""Replaces negative values by 0; torch's own."""

SiLU = nn.SiLU
"""Multiplies every value by its sigmoid, https://arxiv.org/abs/1702.03118; torch's own."""


class GELU(nn.Module):
    """Multiply every value by the probability that a standard normal one is smaller: x * Phi(x).

    >>> GELU()(torch.tensor([-10.0, 0.0, 10.0])).round(decimals=3)
    tensor([-0.,  0., 10.])

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
        return cast(Tensor, _GatedTanh.apply(x))  # type: ignore[no-untyped-call]


class _GatedTanh(torch.autograd.Function):
    """With tanh(x) = 2 sigmoid(2x) - 1, as in `_Tanh`, one pass of sigmoids serves both halves."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        c = x.shape[-1] // 2
        factors = x.new_ones(2 * c)
        factors[:c] = 2
        both = (x * factors).sigmoid_()  # faster than the sigmoid of one half, which is not contiguous
        tanh, gate = both[..., :c].mul_(2).sub_(1), both[..., c:]
        ctx.save_for_backward(both)
        return tanh * gate

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """da = dy * gate * (1 - tanh^2), db = dy * tanh * gate * (1 - gate)."""
        [both] = ctx.saved_tensors
        c = both.shape[-1] // 2
        tanh, gate = both[..., :c], both[..., c:]
        dy, dx = gradients[0], torch.empty_like(both)
        da, db = dx[..., :c], dx[..., c:]
        torch.mul(dy, gate, out=da)
        torch.mul(da, tanh, out=db)  # dy * gate * tanh
        da.addcmul_(db, tanh, value=-1)
        db.addcmul_(db, gate, value=-1)
        return dx


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
