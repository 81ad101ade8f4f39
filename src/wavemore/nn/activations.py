"""The activations: modules without parameters that map every value on its own, whatever the shape."""

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
    """tanh(x) = 2 sigmoid(2x) - 1: on a CPU torch computes sigmoid several times faster than tanh."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return tanh(x), to within the last digit of 1."""
        y: Tensor = (2 * x).sigmoid_().mul_(2).sub_(1)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """dx = dy * (1 - tanh(x)^2)."""
        y: Tensor = ctx.saved_tensors[0]
        return cast(Tensor, torch.ops.aten.tanh_backward(gradients[0], y))  # torch's own, in one pass


class ReLU(nn.Module):
    """Replace negative values by 0.

    >>> ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return torch.relu(x)


class GELU(nn.Module):
    """Weigh every value by the standard normal probability of a smaller one: x * Phi(x).

    >>> GELU()(torch.tensor([-10.0, 0.0, 10.0])).round(decimals=3)
    tensor([-0.,  0., 10.])

    Paper: https://arxiv.org/abs/1606.08415
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return F.gelu(x)  # by hand, x * (1 + erf(x / sqrt 2)) / 2, it takes three times as long


class SiLU(nn.Module):
    """Weigh every value by its own sigmoid: x * sigmoid(x).

    >>> SiLU()(torch.tensor([0.0, 100.0]))
    tensor([  0., 100.])

    Paper: https://arxiv.org/abs/1702.03118
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` of any shape, value by value."""
        return F.silu(x)  # by hand, x * torch.sigmoid(x), it takes twice as long


class GatedTanh(nn.Module):
    """Let a sigmoid decide how much of a tanh passes, channel by channel: tanh(a) * sigmoid(b), the WaveNet's unit.

    Shapes: (..., 2C) -> (..., C); a are the first C channels, b the others.

    >>> GatedTanh()(torch.tensor([100.0, 100.0, 100.0, -100.0]))
    tensor([1., 0.])

    Paper: https://arxiv.org/abs/1606.05328, equation 2
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` (..., 2C) to (..., C)."""
        return cast(Tensor, _GatedTanh.apply(x))  # type: ignore[no-untyped-call]


class _GatedTanh(torch.autograd.Function):
    """With tanh(x) = 2 sigmoid(2x) - 1, as in `_Tanh`, both halves are one pass of sigmoids."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """Return tanh(a) * sigmoid(b)."""
        c = x.shape[-1] // 2
        factors = x.new_ones(2 * c)
        factors[:c] = 2
        both = (x * factors).sigmoid_()  # a sigmoid of one half alone, a row at a time, would take longer than of all
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
        of_tanh, of_gate = dx[..., :c], dx[..., c:]
        torch.mul(dy, gate, out=of_tanh)
        torch.mul(of_tanh, tanh, out=of_gate)  # dy * gate * tanh
        of_tanh.addcmul_(of_gate, tanh, value=-1)
        of_gate.addcmul_(of_gate, gate, value=-1)
        return dx


class SwiGLU(nn.Module):
    """Let a SiLU decide how much of the other half passes, channel by channel: a * SiLU(b).

    Shapes: (..., 2C) -> (..., C); a are the first C channels, b the others.

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
