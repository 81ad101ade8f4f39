"""The blocks that the models are built from, written out by hand and interchangeable with torch's.

Names, constructor order, parameter names and state_dict keys are torch's own; the layout is (batch, time,
channel) everywhere. The normalisations and the activations have files of their own and are named here too.
Fresh weights come from torch's global random generator. After Karpathy, "Building makemore Part 5: Building
a WaveNet": https://www.youtube.com/watch?v=t3YJ5hKiMQ0

Shapes: B batch, T time, C channels, K kernel size.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError
from wavemore.nn.activations import ACTIVATIONS, GATES, GELU, GatedTanh, ReLU, SiLU, SwiGLU, Tanh
from wavemore.nn.norms import NORMS, BatchNorm1d, BatchNorm1dPerPosition, LayerNorm, RMSNorm, require_channels

__all__ = [
    "ACTIVATIONS",
    "GATES",
    "GELU",
    "NORMS",
    "BatchNorm1d",
    "BatchNorm1dPerPosition",
    "CausalConv1d",
    "Dropout",
    "Embedding",
    "FlattenConsecutive",
    "GatedTanh",
    "LayerNorm",
    "Linear",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "SwiGLU",
    "Tanh",
    "side_by_side",
]


class Linear(nn.Module):
    """Mix the channels of every row: x @ weight.T + bias.

    Fresh weights are normal with standard deviation 1 / sqrt(in_features), so that unit variance stays unit
    variance. Shapes: (..., in_features) -> (..., out_features); weight (out_features, in_features). Raises
    a ModelError for another number of channels.

    >>> Linear(48, 128)(torch.randn(32, 4, 48)).shape
    torch.Size([32, 4, 128])
    """

    bias: nn.Parameter | None

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / math.sqrt(in_features))
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_features)) if bias else None)

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` (..., in_features) to (..., out_features)."""
        require_channels(self, x, self.in_features)
        if self.bias is None:
            return x @ self.weight.T
        if x.ndim == 2:
            return torch.addmm(self.bias, x, self.weight.T)  # one pass over the rows instead of two
        return x @ self.weight.T + self.bias

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.in_features}, {self.out_features}, bias={self.bias is not None}"


class Embedding(nn.Module):
    """Look up the row of `weight` that belongs to each token.

    Shapes: integers (...) -> (..., embedding_dim). A token outside [0, num_embeddings) is an IndexError.

    >>> Embedding(27, 24)(torch.zeros(32, 8, dtype=torch.int64)).shape
    torch.Size([32, 8, 24])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.weight = nn.Parameter(torch.randn(num_embeddings, embedding_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `tokens` (...) to their vectors (..., embedding_dim)."""
        # The same as weight[tokens], with a backward pass that is twice as fast on a CPU.
        rows = self.weight.index_select(0, tokens.flatten())
        return rows.view(*tokens.shape, self.embedding_dim)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(nn.Module):
    """In training mode set a share `p` of the values to 0 and scale the rest by 1 / (1 - p).

    Shapes: (...) -> (...). Raises a UsageError for p outside [0, 1).

    >>> Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])

    Paper: https://jmlr.org/papers/v15/srivastava14a.html
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise UsageError(f"dropout is a share of at least 0 and below 1, not {p}")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of `x` when in training mode."""
        if not self.training or self.p == 0:
            return x
        keep = torch.empty_like(x).bernoulli_(1 - self.p)
        return x * keep.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"p={self.p}"


class FlattenConsecutive(nn.Module):
    """Lay every `n` neighbouring positions side by side: the fusion of the lecture.

    Shapes: (..., T, C) -> (..., T / n, n * C); a time dimension of 1 stays. Raises a ModelError if n does
    not divide T.

    >>> FlattenConsecutive(2)(torch.arange(8).view(1, 4, 2)).tolist()
    [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        if n < 1:
            raise UsageError(f"a fusion takes 1 position or more, not {n}")
        self.n = n

    def forward(self, x: Tensor) -> Tensor:
        """Fuse `x` (..., T, C) into (..., T / n, n * C)."""
        length = x.shape[-2]
        if length % self.n:
            raise ModelError(f"{length} positions cannot be fused {self.n} at a time: {self.n} must divide {length}")
        return x.reshape(*x.shape[:-2], length // self.n, self.n * x.shape[-1])

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.n}"


def side_by_side(x: Tensor, n: int, dilation: int) -> Tensor:
    """Lay x[t - (n-1) dilation], ..., x[t - dilation], x[t] side by side at every t that has them all.

    Shapes: (..., T, C) -> (..., T - (n-1) dilation, n * C).

    >>> side_by_side(torch.tensor([[0], [1], [2], [3]]), n=2, dilation=2).tolist()
    [[0, 2], [1, 3]]
    """
    length = x.shape[-2] - (n - 1) * dilation
    return torch.cat([x.narrow(-2, i * dilation, length) for i in range(n)], dim=-1)


class CausalConv1d(nn.Module):
    """Convolve over time so that y[t] sees x[t], x[t - dilation], ..., K of them.

    Before the first position stand zeros, as in torch.nn.Conv1d with left padding, or what is given.

    Fresh weights are normal with standard deviation 1 / sqrt(in_channels * K); `weight` (out, in, K) is as in
    torch.nn.Conv1d. Shapes: (..., T, in_channels) -> (..., T, out_channels).
    Raises a ModelError for another number of channels.

    >>> CausalConv1d(24, 128, kernel_size=2, dilation=4)(torch.randn(32, 9, 24)).shape
    torch.Size([32, 9, 128])

    Paper: https://arxiv.org/abs/1609.03499
    """

    bias: nn.Parameter | None

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, bias: bool = True
    ) -> None:
        super().__init__()
        if kernel_size < 1 or dilation < 1:
            raise UsageError(f"kernel_size and dilation are 1 or more, not {kernel_size} and {dilation}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = kernel_size
        self.dilation = dilation
        fan_in = in_channels * kernel_size
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size) / math.sqrt(fan_in))
        self.register_parameter("bias", nn.Parameter(torch.zeros(out_channels)) if bias else None)

    @property
    def reach(self) -> int:
        """How many positions back the farthest one is that y[t] sees: (K - 1) * dilation."""
        return (self.kernel_size - 1) * self.dilation

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Convolve `x` (..., T, in_channels) into (..., T, out_channels); `before` (..., reach, in_channels)."""
        require_channels(self, x, self.in_channels)
        if before is None:
            before = x.new_zeros(*x.shape[:-2], self.reach, self.in_channels)
        padded = torch.cat([before, x], dim=-2)
        taps = side_by_side(padded, self.kernel_size, self.dilation)  # (..., T, K * in)
        out = taps @ self.weight.permute(2, 1, 0).flatten(0, 1)  # a dilated fusion and a Linear
        return out if self.bias is None else out + self.bias

    def time_first(self, x: Tensor) -> Tensor:
        """The same for (T, B, in_channels) -> (T, B, out_channels), where before the first position stand its copies.

        With time first a shift in time is a stretch of memory: no tap is copied, which is half of a layer's time.
        """
        require_channels(self, x, self.in_channels)
        taps = self.taps()
        return cast(Tensor, _ConvTimeFirst.apply(x, taps, self.bias, self.dilation))  # type: ignore[no-untyped-call]

    def taps(self) -> Tensor:
        """The weight as K matrices, that of x[t] first and those further back after it: (K, in, out)."""
        return self.weight.permute(2, 1, 0).flip(0)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, bias={self.bias is not None}"
        )


def earlier_and_now(x: Tensor, taps: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
    """y[t] = bias + sum over k of x[t - k dilation] @ taps[k], with x[0] where that is before the first position.

    Shapes: x (T, B, C), taps (K, C, out), bias (out,) -> (T, B, out). There is no autograd here.
    """
    rows = x.flatten(0, 1)
    y = rows @ taps[0] if bias is None else torch.addmm(bias, rows, taps[0])
    y = y.view(*x.shape[:2], -1)
    for back, tap in enumerate(taps[1:], start=1):
        shift = min(back * dilation, len(x))
        y[shift:].flatten(0, 1).addmm_(x[: len(x) - shift].flatten(0, 1), tap)
        y[:shift] += x[0] @ tap
    return y


def earlier_and_now_backward(x: Tensor, taps: Tensor, dilation: int, dy: Tensor) -> tuple[Tensor, Tensor]:
    """Turn the gradient of y, contiguous, into those of x and of the taps."""
    rows, turned = dy.flatten(0, 1), taps.mT.contiguous()
    dx = (rows @ turned[0]).view_as(x)
    dtaps = torch.empty_like(taps)
    torch.mm(x.flatten(0, 1).T, rows, out=dtaps[0])
    for back, tap in enumerate(turned[1:], start=1):
        shift = min(back * dilation, len(x))
        seen, after = x[: len(x) - shift].flatten(0, 1), dy[shift:].flatten(0, 1)
        first = dy[:shift].sum(0)  # (B, out): what looked back beyond the first position
        dx[: len(x) - shift].flatten(0, 1).addmm_(after, tap)
        dx[0].addmm_(first, tap)
        torch.mm(seen.T, after, out=dtaps[back])
        dtaps[back].addmm_(x[0].T, first)
    return dx, dtaps


class _ConvTimeFirst(torch.autograd.Function):
    """Each tap's product with the whole of x is added to the output where it belongs, and back the same way."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, taps: Tensor, bias: Tensor | None, dilation: int) -> Tensor:
        """(T, B, C), (K, C, out), (out,) -> (T, B, out)."""
        x, taps = x.contiguous(), taps.contiguous()
        ctx.dilation, ctx.has_bias = dilation, bias is not None
        ctx.save_for_backward(x, taps)
        return earlier_and_now(x, taps, bias, dilation)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Turn the gradient of y into those of x, taps and bias."""
        dy = gradients[0].contiguous()
        x, taps = ctx.saved_tensors
        dx, dtaps = earlier_and_now_backward(x, taps, ctx.dilation, dy)
        return dx, dtaps, dy.sum((0, 1)) if ctx.has_bias else None, None


class Sequential(nn.Sequential):
    """Call the layers one after the other.

    >>> model = Sequential(Embedding(27, 4), FlattenConsecutive(2), Linear(8, 27))
    >>> list(model.state_dict())
    ['0.weight', '2.weight', '2.bias']
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Pass `input` through every layer."""
        for layer in self:
            input = layer(input)  # noqa: A001
        return input
