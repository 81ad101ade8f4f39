"""Normalisations, written out by hand and interchangeable with torch's by `load_state_dict`.

Shapes: B batch, T time, C channels, U unique rows, R rows of any kind (B, B x T or U).
"""

import math
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError


def require_channels(layer: nn.Module, x: Tensor, channels: int) -> None:
    """Raise a ModelError unless the last dimension of `x` is `channels`.

    >>> require_channels(LayerNorm(4), torch.zeros(2, 5), 4)
    Traceback (most recent call last):
    wavemore.errors.ModelError: LayerNorm takes 4 channels in the last dimension, but was given (2, 5)
    """
    if x.shape[-1] != channels:
        raise ModelError(
            f"{type(layer).__name__} takes {channels} channels in the last dimension, but was given {tuple(x.shape)}"
        )


class BatchNorm1d(nn.Module):
    """Give every channel mean 0 and variance 1 over the batch, then scale and shift it.

    In training mode the statistics are those of the batch, over all dimensions but the last, so positions
    and examples see each other: a model with this layer is causal in eval mode only. The batch is
    normalised with the biased variance, and the running variance tracks the unbiased one, as in torch. The
    layout is channels last: torch's own layer reads three dimensions as (B, C, T).

    Shapes: (B, C) -> (B, C), (B, T, C) -> (B, T, C). With `counts` (R,), row i weighs as `counts[i]` equal
    rows. Raises a ModelError in training mode when there is one row in all, and in eval mode when the layer
    never saw a batch.

    >>> norm = BatchNorm1d(3)
    >>> norm(torch.randn(32, 4, 3)).mean((0, 1)).abs().max() < 1e-5
    tensor(True)
    >>> norm.running_mean.shape
    torch.Size([3])

    Paper: https://arxiv.org/abs/1502.03167
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
        """Normalise `x`; `counts` matter in training mode only."""
        require_channels(self, x, self.num_features)
        if not self.training:
            self.require_statistics()
            scale = self.weight * (self.running_var + self.eps).rsqrt()  # (C,)
            return torch.addcmul(self.bias - self.running_mean * scale, x, scale)
        rows = x.reshape(-1, self.num_features)  # (R, C)
        share, n = self.weigh(x.shape, rows.new_ones(len(rows)) if counts is None else counts.to(x.dtype))
        y, mean, var = _BatchNorm.apply(  # type: ignore[no-untyped-call]
            rows, share, self.weight, self.bias, self.eps
        )
        self.track(mean, var, n)
        return cast(Tensor, y.view(x.shape))

    def weigh(self, shape: Sequence[int], counts: Tensor) -> tuple[Tensor, Tensor]:
        """Return the share of each of the R rows in a batch of this shape, (R,), and the number of rows in all, ().

        Raises a ModelError where that is below two.
        """
        if counts.shape != (math.prod(shape[:-1]),):
            raise ModelError(f"{math.prod(shape[:-1])} rows need as many counts, but there are {tuple(counts.shape)}")
        if len(counts) < 2:
            self.require_rows(int(counts.sum()), shape)
        n = counts.sum()
        return counts / n, n

    def require_rows(self, n: int, shape: Sequence[int]) -> None:
        """Raise a ModelError where a batch, of this shape, has fewer than two rows in all: they have no variance."""
        if n < 2:
            raise ModelError(
                f"BatchNorm1d in training mode needs two rows or more, but was given {tuple(shape)}: "
                "use a larger batch, or eval mode"
            )

    def track(self, mean: Tensor, var: Tensor, n: Tensor | int) -> None:
        """Move the running statistics towards those of a batch of `n` rows: mean and biased variance, (C,)."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (n / (n - 1)), self.momentum)
        self.num_batches_tracked.add_(1)

    def require_statistics(self) -> None:
        """Raise a ModelError where no batch was ever seen: the statistics would be made up."""
        # Reading one number costs a microsecond; a graph being compiled or exported has none to read.
        if not torch.compiler.is_compiling() and self.num_batches_tracked.item() == 0:
            raise ModelError("BatchNorm1d is in eval mode but has no running statistics: train first, or load weights")

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


class _BatchNorm(torch.autograd.Function):
    """Normalise rows (R, C), row i weighing `share[i]` of the whole, with the gradient worked out by hand.

    Autograd would walk through a dozen passes over the rows; by hand it takes half the time. With x^ the normalised
    rows (x - mean) / std, s the share, and g = weight * dy: dx = (g - s * (sum of g) - s * x^ * (sum of g * x^)) / std,
    where the sums are over the rows, each of whose dy is already the sum over its occurrences. Karpathy, "Becoming a
    Backprop Ninja", derives the same for equal shares: https://www.youtube.com/watch?v=q8SA3rM6ckI.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, share: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return the normalised rows (R, C), and the mean and biased variance (C,)."""
        mean = share @ x
        centred = x - mean
        var = share @ (centred * centred)
        inverse_std = (var + eps).rsqrt()
        ctx.save_for_backward(centred, share, weight, inverse_std)
        ctx.mark_non_differentiable(mean, var)
        return torch.addcmul(bias, centred, weight * inverse_std), mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Turn the gradient of the normalised rows into those of x, weight and bias."""
        dy = gradients[0]
        centred, share, weight, inverse_std = ctx.saved_tensors
        dbias, dweight = dy.sum(0), (dy * centred).sum(0) * inverse_std
        shared = torch.addcmul(dbias, centred, dweight * inverse_std)  # (R, C)
        dx = torch.addcmul(dy, shared, share[:, None], value=-1).mul_(weight * inverse_std)
        return dx, None, dweight, dbias, None


class LayerNorm(nn.Module):
    """Give every row mean 0 and variance 1 over its channels, then scale and shift it.

    Shapes: (..., C) -> (..., C). Raises a ModelError for another number of channels.

    >>> LayerNorm(2)(torch.tensor([[1.0, 3.0]])).round(decimals=3)
    tensor([[-1.,  1.]], grad_fn=<RoundBackward1>)

    Paper: https://arxiv.org/abs/1607.06450
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape))
        self.bias = nn.Parameter(torch.zeros(normalized_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` over its last dimension."""
        require_channels(self, x, self.normalized_shape)
        centred = x - x.mean(-1, keepdim=True)
        var = (centred * centred).mean(-1, keepdim=True)
        return torch.addcmul(self.bias, centred * (var + self.eps).rsqrt(), self.weight)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.normalized_shape}, eps={self.eps}"


class RMSNorm(nn.Module):
    """Divide every row by the root of its mean square, then scale it; there is no centre and no bias.

    Shapes: (..., C) -> (..., C). Without an `eps` it is the smallest step of the dtype above 1, as in torch. Raises a
    ModelError for another number of channels.

    >>> RMSNorm(2)(torch.tensor([[3.0, 3.0]])).round(decimals=3)
    tensor([[1., 1.]], grad_fn=<RoundBackward1>)

    Paper: https://arxiv.org/abs/1910.07467
    """

    def __init__(self, normalized_shape: int, eps: float | None = None) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` over its last dimension."""
        require_channels(self, x, self.normalized_shape)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        return cast(Tensor, _RMSNorm.apply(x, self.weight, eps))  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.normalized_shape}, eps={self.eps}"


class _RMSNorm(torch.autograd.Function):
    """With the gradient worked out by hand, in half of the passes over the rows that autograd needs.

    With s = 1 / sqrt(mean(x^2) + eps) and g = weight * dy: dx = s g - x s^3 mean(g x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        """y = s x weight."""
        scale = (x * x).mean(-1, keepdim=True).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Turn the gradient of y into those of x and weight."""
        x, weight, scale = ctx.saved_tensors
        dy, channels = gradients[0], x.shape[-1]
        both = dy * x
        dweight = scale.reshape(-1) @ both.view(-1, channels)
        mean = (both @ weight).unsqueeze(-1).mul_(scale**3).div_(channels)
        dx = (dy * weight).mul_(scale).addcmul_(x, mean, value=-1)
        return dx, dweight, None


class BatchNorm1dPerPosition(nn.Module):
    """BatchNorm1d with the bug that the lecture finds and mends: it averages over the batch only, never over time.

    So every position has statistics of its own, from T times fewer numbers, and the running ones have shape (T, C).
    Kept as a variant to study what the bug costs. A model with it depends on where a character stands in the
    context, so it runs in the `windows` execution only.

    Shapes: (B, C) -> (B, C) where T is 1, (B, T, C) -> (B, T, C). Raises a ModelError in training mode for a batch
    of one, in eval mode when it never saw a batch, and for another T.

    >>> norm = BatchNorm1dPerPosition(3, positions=4)
    >>> norm(torch.randn(32, 4, 3)).shape, norm.running_mean.shape
    (torch.Size([32, 4, 3]), torch.Size([4, 3]))

    Source: the lecture's notebook before "fix the bug in BatchNorm1d", https://www.youtube.com/watch?v=t3YJ5hKiMQ0
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, positions: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.num_features = num_features
        self.positions = positions
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(positions, num_features))
        self.register_buffer("running_var", torch.ones(positions, num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every position of `x` by itself."""
        require_channels(self, x, self.num_features)
        rows = x.reshape(len(x), -1, self.num_features)  # (B, T, C)
        if rows.shape[1] != self.positions:
            raise ModelError(f"this layer was made for {self.positions} positions, but was given {tuple(x.shape)}")
        if self.training:
            if len(rows) < 2:
                raise ModelError("BatchNorm1dPerPosition in training mode needs a batch of two or more")
            mean, var = rows.mean(0), rows.var(0, correction=0)  # (T, C); right would be .mean((0, 1))
            with torch.no_grad():
                self.running_mean.lerp_(mean, self.momentum)
                self.running_var.lerp_(var * (len(rows) / (len(rows) - 1)), self.momentum)
                self.num_batches_tracked += 1
        else:
            if self.num_batches_tracked.item() == 0:
                raise ModelError("BatchNorm1dPerPosition is in eval mode but never saw a batch: train first")
            mean, var = self.running_mean, self.running_var
        normal = (rows - mean) * (var + self.eps).rsqrt()
        return torch.addcmul(self.bias, normal, self.weight).view(x.shape)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_features}, positions={self.positions}, eps={self.eps}, momentum={self.momentum}"


NORMS: dict[str, type[BatchNorm1d | LayerNorm | RMSNorm]] = {
    "batch": BatchNorm1d,
    "layer": LayerNorm,
    "rms": RMSNorm,
}
