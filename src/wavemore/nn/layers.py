"""The layers that the models are built from, written out by hand and interchangeable with torch's.

Names, constructor order, parameter names and state_dict keys are torch's own. The layout is always (batch, time,
channel). Fresh weights come from torch's global random generator. The normalisations are in norms.py, the activations
in activations.py. After Karpathy, "Building makemore Part 5: Building a WaveNet":
https://www.youtube.com/watch?v=t3YJ5hKiMQ0

Shapes: B batch, T time, C channels, K kernel size.
"""

import math

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError
from wavemore.nn.norms import Device, Dtype, require_channels


class Linear(nn.Module):
    """Mix the channels of every row: x @ weight.T + bias.

    Fresh weights are normal with standard deviation 1 / sqrt(in_features), which keeps the variance at 1. Raises a
    ModelError for another number of channels.

    >>> Linear(48, 128)(torch.randn(32, 4, 48)).shape
    torch.Size([32, 4, 128])
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, device: Device = None, dtype: Dtype = None
    ) -> None:
        super().__init__()
        self.in_features = in_features
        self.out_features = out_features
        weight = torch.randn(out_features, in_features, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight / math.sqrt(in_features))
        self.bias = nn.Parameter(torch.zeros(out_features, device=device, dtype=dtype)) if bias else None

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
    """Look up each token's row of `weight`. A token outside [0, num_embeddings) is an IndexError.

    >>> Embedding(27, 24)(torch.zeros(32, 8, dtype=torch.int64)).shape
    torch.Size([32, 8, 24])
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, device: Device = None, dtype: Dtype = None) -> None:
        super().__init__()
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.weight = nn.Parameter(torch.randn(num_embeddings, embedding_dim, device=device, dtype=dtype))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map `tokens` (...) to their vectors (..., embedding_dim)."""
        # The same as weight[tokens], with a backward pass that is twice as fast on a CPU.
        return self.weight.index_select(0, tokens.flatten()).view(*tokens.shape, self.embedding_dim)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_embeddings}, {self.embedding_dim}"


class Dropout(nn.Module):
    """In training mode, set a fraction `p` of the values to 0 and scale the rest by 1 / (1 - p).

    Raises a UsageError for p outside [0, 1).

    >>> Dropout(0.5).eval()(torch.ones(3))
    tensor([1., 1., 1.])

    Paper: https://jmlr.org/papers/v15/srivastava14a.html
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise UsageError(f"`p` is {p}; it must be at least 0 and below 1")
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Drop values of `x` in training mode."""
        if not self.training or self.p == 0:
            return x
        mask = torch.empty_like(x).bernoulli_(1 - self.p)
        return x * mask.div_(1 - self.p)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"p={self.p}"


class FlattenConsecutive(nn.Module):
    """Concatenate the channels of every `n` neighbouring positions: the fusion of the lecture.

    A time dimension of 1 is kept. Raises a ModelError if n does not divide T.

    >>> FlattenConsecutive(2)(torch.arange(8).view(1, 4, 2)).tolist()
    [[[0, 1, 2, 3], [4, 5, 6, 7]]]
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        if n < 1:
            raise UsageError(f"`n` is {n}; a fusion joins at least 1 position")
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


def concat_dilated(x: Tensor, n: int, dilation: int) -> Tensor:
    """Concatenate the channels of x[t - (n-1) dilation], ..., x[t - dilation], x[t] at every t that has them all.

    Shapes: (..., T, C) -> (..., T - (n-1) dilation, n * C).

    >>> concat_dilated(torch.tensor([[0], [1], [2], [3]]), n=2, dilation=2).tolist()
    [[0, 2], [1, 3]]
    """
    length = x.shape[-2] - (n - 1) * dilation
    return torch.cat([x.narrow(-2, i * dilation, length) for i in range(n)], dim=-1)


class CausalConv1d(nn.Module):
    """Convolve over time so that y[t] sees the K positions x[t], x[t - dilation], ..., x[t - (K - 1) dilation].

    Before the first position are zeros, as in torch.nn.Conv1d with left padding, unless `before` is given.
    Fresh weights (out, in, K) are normal with standard deviation 1 / sqrt(in_channels * K). Raises a ModelError for
    another number of channels.

    >>> CausalConv1d(24, 128, kernel_size=2, dilation=4)(torch.randn(32, 9, 24)).shape
    torch.Size([32, 9, 128])

    Paper: https://arxiv.org/abs/1609.03499
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
    ) -> None:
        super().__init__()
        if kernel_size < 1 or dilation < 1:
            raise UsageError(f"`kernel_size` and `dilation` are {kernel_size} and {dilation}; both must be at least 1")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.dilation = kernel_size, dilation
        weight = torch.randn(out_channels, in_channels, kernel_size, device=device, dtype=dtype)
        self.weight = nn.Parameter(weight / math.sqrt(in_channels * kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels, device=device, dtype=dtype)) if bias else None

    @property
    def reach(self) -> int:
        """The distance to the earliest position that y[t] sees: (K - 1) * dilation."""
        return (self.kernel_size - 1) * self.dilation

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        """Convolve `x` (..., T, in_channels) into (..., T, out_channels); `before` (..., reach, in_channels)."""
        require_channels(self, x, self.in_channels)
        if before is None:
            before = x.new_zeros(*x.shape[:-2], self.reach, self.in_channels)
        padded = torch.cat([before, x], dim=-2)
        inputs = concat_dilated(padded, self.kernel_size, self.dilation)  # (..., T, K * in)
        out = inputs @ self.weight.permute(2, 1, 0).flatten(0, 1)  # a dilated fusion and a Linear
        return out if self.bias is None else out + self.bias

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, bias={self.bias is not None}"
        )


Sequential = nn.Sequential
"""Calls the layers one after the other; torch's own."""
