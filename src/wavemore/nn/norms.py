"""Normalisations, written out by hand and interchangeable with torch's by `load_state_dict`.

Shapes: B batch, T time, C channels, U unique rows, R rows of any kind (B, B x T or U).
"""

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
        if self.training:
            centred, var = self._centre_on_batch(x, counts)
        else:
            self._require_statistics()
            centred, var = x - self.running_mean, self.running_var
        return torch.addcmul(self.bias, centred, self.weight * (var + self.eps).rsqrt())

    def _centre_on_batch(self, x: Tensor, counts: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return x minus the batch mean, and the biased batch variance (C,); track both."""
        rows = x.reshape(-1, self.num_features)  # (R, C): torch.var over several dimensions is many times slower
        if len(rows) == 0 or (len(rows) == 1 and (counts is None or counts.item() <= 1)):
            raise ModelError(
                f"BatchNorm1d in training mode needs two rows or more, but was given {tuple(x.shape)}: "
                "use a larger batch, or eval mode"
            )
        if counts is None:
            n: int | Tensor = len(rows)
            mean = rows.mean(0)
            centred = rows - mean
            var = (centred * centred).mean(0)
        else:
            if counts.shape != (len(rows),):
                raise ModelError(f"{len(rows)} rows need as many counts, but there are {tuple(counts.shape)}")
            counts = counts.to(x.dtype)  # no copy where they agree, as in training
            n = counts.sum()
            share = counts / n  # (R,), sums to 1
            mean = share @ rows
            centred = rows - mean
            var = share @ (centred * centred)
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(var * (n / (n - 1)), self.momentum)
            self.num_batches_tracked += 1
        return centred.view(x.shape), var

    def _require_statistics(self) -> None:
        # Reading one number costs a microsecond; a graph being compiled or exported has none to read.
        if not torch.compiler.is_compiling() and self.num_batches_tracked.item() == 0:
            raise ModelError("BatchNorm1d is in eval mode but has no running statistics: train first, or load weights")

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}"


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

    Shapes: (..., C) -> (..., C). Raises a ModelError for another number of channels.

    >>> RMSNorm(2)(torch.tensor([[3.0, 3.0]])).round(decimals=3)
    tensor([[1., 1.]], grad_fn=<RoundBackward1>)

    Paper: https://arxiv.org/abs/1910.07467
    """

    def __init__(self, normalized_shape: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.normalized_shape = normalized_shape
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(normalized_shape))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` over its last dimension."""
        require_channels(self, x, self.normalized_shape)
        mean_square = (x * x).mean(-1, keepdim=True)
        return x * (mean_square + self.eps).rsqrt() * self.weight

    def extra_repr(self) -> str:
        """Return the settings that `print(layer)` shows."""
        return f"{self.normalized_shape}, eps={self.eps}"


NORMS: dict[str, type[BatchNorm1d | LayerNorm | RMSNorm]] = {
    "batch": BatchNorm1d,
    "layer": LayerNorm,
    "rms": RMSNorm,
}
