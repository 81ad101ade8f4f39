"""Normalisations, written out by hand; their state_dicts are interchangeable with torch's.

Shapes: B batch, T time, C channels, U unique rows, R rows of any kind (B, B x T or U).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor, nn

from wavemore.errors import ModelError
from wavemore.nn.kernels.torch_internals import differentiable, in_transform, is_autocast, needs_plain
from wavemore.nn.ranks import is_sharing, summed

Device: TypeAlias = torch.device | str | None
Dtype: TypeAlias = torch.dtype | None


def require_channels(layer: nn.Module, x: Tensor, channels: int) -> None:
    """Raise a ModelError unless the last dimension of `x` is `channels`."""
    if x.shape[-1] != channels:
        raise ModelError(
            f"{type(layer).__name__} takes {channels} channels in the last dimension, but was given {tuple(x.shape)}"
        )


class _BatchStatistics(nn.Module):
    """The parameters of BatchNorm1d, and running statistics of a given shape."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self, num_features: int, shape: tuple[int, ...], eps: float, momentum: float, device: Device, dtype: Dtype
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(num_features, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(num_features, device=device, dtype=dtype))
        self.register_buffer("running_mean", torch.zeros(shape, device=device, dtype=dtype))
        self.register_buffer("running_var", torch.ones(shape, device=device, dtype=dtype))
        self.register_buffer("num_batches_tracked", torch.tensor(0, device=device))
        self._has_statistics = False  # known to have them: on a GPU, each look waits for the device
        self.register_load_state_dict_post_hook(_look_again)  # type: ignore[no-untyped-call]

    def track(self, mean: Tensor, var: Tensor, n: Tensor | int) -> None:
        """Update the running statistics from a batch of `n` rows: its mean and biased variance."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * (n / (n - 1)), self.momentum)
        self.num_batches_tracked.add_(1)

    def require_rows(self, n: int, shape: Sequence[int]) -> None:
        """Raise a ModelError for fewer than two rows: one row has no variance."""
        if n < 2:
            raise ModelError(
                f"{type(self).__name__} in training mode needs at least two rows, but was given {tuple(shape)}: "
                "use a larger batch, or eval mode"
            )

    def require_statistics(self) -> None:
        """Raise a ModelError before the first batch, when there are no statistics."""
        known = self._has_statistics and not self.num_batches_tracked.is_cpu  # on a CPU, a look takes a microsecond
        unreadable = self.num_batches_tracked.is_meta or torch.compiler.is_compiling() or in_transform()
        if known or unreadable:
            return
        if self.num_batches_tracked.item() == 0:
            raise ModelError(
                f"{type(self).__name__} is in eval mode but has no running statistics: train first, or load weights"
            )
        self._has_statistics = True

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


def _look_again(layer: _BatchStatistics, _: object) -> None:
    """Forget whether a layer has statistics, after others were loaded."""
    layer._has_statistics = False


class BatchNorm1d(_BatchStatistics):
    """Give every channel mean 0 and variance 1 over the batch, then scale and shift it.

    In training mode the statistics are those of the batch, over all dimensions but the last: positions and examples
    influence each other, so a model with this layer is causal in eval mode only. As in torch, the batch is normalised
    with the biased variance, and the running variance tracks the unbiased one. Torch's own layer reads three
    dimensions as (B, C, T). Raises a ModelError in training mode for a single row, and in eval mode before the first
    batch.

    >>> norm = BatchNorm1d(3)
    >>> norm(torch.randn(32, 4, 3)).mean((0, 1)).abs().max() < 1e-5
    tensor(True)

    Paper: https://arxiv.org/abs/1502.03167
    """

    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, device: Device = None, dtype: Dtype = None
    ) -> None:
        super().__init__(num_features, (num_features,), eps, momentum, device, dtype)

    def forward(self, x: Tensor, counts: Tensor | None = None) -> Tensor:
        """Normalise `x`, (B, C) or (B, T, C); in training mode, row i counts as `counts[i]` equal rows, (R,)."""
        require_channels(self, x, self.num_features)
        if is_autocast():  # statistics need the precision of the weights
            with torch.autocast(x.device.type, enabled=False):
                return self._normalised(x.to(self.weight.dtype), counts)
        return self._normalised(x, counts)

    def _normalised(self, x: Tensor, counts: Tensor | None) -> Tensor:
        if not self.training:
            scale, shift = self.affine()
            return torch.addcmul(shift, x, scale)
        rows = x.reshape(-1, self.num_features)  # (R, C)
        counts = rows.new_ones(len(rows)) if counts is None else counts.to(x.dtype)
        if counts.shape != (len(rows),):
            raise ModelError(f"{len(rows)} rows need as many counts, but there are {tuple(counts.shape)}")
        n = summed(counts.sum())
        if len(rows) < 2:
            self.require_rows(int(n), x.shape)
        normalise = _batch_norm if needs_plain() or is_sharing() else _BatchNorm.apply
        y, mean, var, *_ = normalise(rows, counts / n, self.weight, self.bias, self.eps)
        self.track(mean.detach(), var.detach(), n)
        return cast(Tensor, y.view(x.shape))

    def affine(self) -> tuple[Tensor, Tensor]:
        """Return what eval mode does to each channel: a factor and a shift, (C,) each."""
        self.require_statistics()
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        return scale, self.bias - self.running_mean * scale


class BatchNorm1dPerPosition(_BatchStatistics):
    """BatchNorm1d with the bug that the lecture finds and fixes: it averages over the batch, but not over time.

    So every position has its own statistics, from T times fewer numbers. It is here to study what the bug costs. A
    model with this layer depends on a character's position in the context, so it runs in the `windows` execution only.
    Raises a ModelError in training mode for a batch of one, in eval mode before the first batch, and for another T.

    >>> norm = BatchNorm1dPerPosition(3, positions=4)
    >>> norm(torch.randn(32, 4, 3)).shape, norm.running_mean.shape
    (torch.Size([32, 4, 3]), torch.Size([4, 3]))

    Source: the lecture's notebook before "fix the bug in BatchNorm1d", https://www.youtube.com/watch?v=t3YJ5hKiMQ0
    """

    def __init__(self, num_features: int, positions: int, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__(num_features, (positions, num_features), eps, momentum, None, None)
        self.positions = positions

    def forward(self, x: Tensor) -> Tensor:
        """Normalise every position of `x` on its own: (B, T, C), or (B, C) if T is 1."""
        require_channels(self, x, self.num_features)
        rows = x.reshape(x.shape[0], -1, self.num_features).to(self.weight.dtype)  # (B, T, C)
        if rows.shape[1] != self.positions:
            raise ModelError(f"this layer has {self.positions} positions, but was given {tuple(x.shape)}")
        if self.training:
            n = int(summed(rows.new_tensor(len(rows)))) if is_sharing() else len(rows)
            self.require_rows(n, x.shape)
            if is_sharing():
                mean = summed(rows.sum(0)) / n  # (T, C)
                var = summed(((rows - mean) ** 2).sum(0)) / n
            else:
                mean, var = rows.mean(0), rows.var(0, correction=0)  # (T, C); the fix is .mean((0, 1))
            self.track(mean.detach(), var.detach(), n)
        else:
            self.require_statistics()
            mean, var = self.running_mean, self.running_var
        normal = (rows - mean) * (var + self.eps).rsqrt()
        return torch.addcmul(self.bias, normal, self.weight).view(x.shape)

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_features}, positions={self.positions}, eps={self.eps}, momentum={self.momentum}"


def _batch_norm(x: Tensor, share: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
    """Return the normalised rows, the mean, the variance, the centred rows and 1 / std."""
    mean = summed(share @ x)
    centred = x - mean
    var = summed(share @ (centred * centred))
    inverse_std = (var + eps).rsqrt()
    return torch.addcmul(bias, centred, weight * inverse_std), mean, var, centred, inverse_std


class _BatchNorm(torch.autograd.Function):
    """Normalise rows (R, C), of which row i is a fraction `share[i]` of the batch, with a gradient written by hand.

    It takes half the time of autograd's dozen passes over the rows. With x^ the normalised rows (x - mean) / std, s the
    share, and g = weight * dy: dx = (g - s * (sum of g) - s * x^ * (sum of g * x^)) / std, where the sums are over the
    rows, and the dy of a row is already the sum over its occurrences. Karpathy, "Becoming a Backprop Ninja", derives
    the same for equal shares: https://www.youtube.com/watch?v=q8SA3rM6ckI.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, share: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor]:
        y, mean, var, centred, inverse_std = _batch_norm(x, share, weight, bias, eps)
        ctx.save_for_backward(x, bias, centred, share, weight, inverse_std)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, var)
        return y, mean, var

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        dy = gradients[0]
        x, bias, centred, share, weight, inverse_std = ctx.saved_tensors
        if torch.is_grad_enabled():
            of_rows = lambda x, weight, bias: _batch_norm(x, share, weight, bias, ctx.eps)[0]  # noqa: E731
            dx, dweight, dbias = differentiable(of_rows, [x, weight, bias], dy)
            return dx, None, dweight, dbias, None
        dbias, dweight = dy.sum(0), (dy * centred).sum(0) * inverse_std
        shared = torch.addcmul(dbias, centred, dweight * inverse_std)  # (R, C)
        dx = torch.addcmul(dy, shared, share[:, None], value=-1).mul_(weight * inverse_std)
        return dx, None, dweight, dbias, None


class LayerNorm(nn.Module):
    """Give every row mean 0 and variance 1 over its channels, then scale and shift it.

    Raises a ModelError for another number of channels.

    >>> LayerNorm(2)(torch.tensor([[1.0, 3.0]])).round(decimals=3)
    tensor([[-1.,  1.]], grad_fn=<RoundBackward1>)

    Paper: https://arxiv.org/abs/1607.06450
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-5, device: Device = None, dtype: Dtype = None) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.zeros(normalized_shape, device=device, dtype=dtype))

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
    """Divide every row by the root of its mean square, then scale it; no mean is subtracted, and there is no bias.

    As in torch, `eps` defaults to the machine epsilon of the dtype. Raises a ModelError for another number of channels.

    >>> RMSNorm(2)(torch.tensor([[3.0, 3.0]])).round(decimals=3)
    tensor([[1., 1.]], grad_fn=<RoundBackward1>)

    Paper: https://arxiv.org/abs/1910.07467
    """

    def __init__(
        self, normalized_shape: int, eps: float | None = None, device: Device = None, dtype: Dtype = None
    ) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape, device=device, dtype=dtype))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` over its last dimension."""
        require_channels(self, x, self.normalized_shape)
        eps = torch.finfo(x.dtype).eps if self.eps is None else self.eps
        if needs_plain():
            return _rms_norm(x, self.weight, eps)
        return cast(Tensor, _RMSNorm.apply(x, self.weight, eps))  # type: ignore[no-untyped-call]

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.normalized_shape}, eps={self.eps}"


def _rms_scale(x: Tensor, eps: float) -> Tensor:
    return (x * x).mean(-1, keepdim=True).add_(eps).rsqrt_()


def _rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return x * _rms_scale(x, eps) * weight


class _RMSNorm(torch.autograd.Function):
    """With a gradient written by hand, which takes half of autograd's passes over the rows.

    With s = 1 / sqrt(mean(x^2) + eps) and g = weight * dy: dx = s g - x s^3 mean(g x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        scale = _rms_scale(x, eps)
        ctx.save_for_backward(x, weight, scale)
        ctx.eps = eps
        return (x * scale).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, scale = ctx.saved_tensors
        dy, channels = gradients[0], x.shape[-1]
        if torch.is_grad_enabled():
            return *differentiable(partial(_rms_norm, eps=ctx.eps), [x, weight], dy), None
        both = dy * x
        dweight = scale.reshape(-1) @ both.view(-1, channels)
        mean = (both @ weight).unsqueeze(-1).mul_(scale**3).div_(channels)
        dx = (dy * weight).mul_(scale).addcmul_(x, mean, value=-1)
        return dx, dweight, None


NORMS: dict[str, type[BatchNorm1d | LayerNorm | RMSNorm]] = {"batch": BatchNorm1d, "layer": LayerNorm, "rms": RMSNorm}
