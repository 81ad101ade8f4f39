"""A WaveNet's next character, one step at a time: the time of a step does not depend on how much came before.

The convolution of a block looks back at most (K - 1) * dilation positions, so the block keeps its inputs at these
positions in a ring, and a step computes one position of every block. Paine et al., "Fast Wavenet Generation Algorithm",
https://arxiv.org/abs/1611.09482.

The arithmetic of a step is so small that its cost is the number of operations:

- all rings are one tensor, and what the blocks look back at is multiplied at once, before the first block;
- norms and constant factors are part of the weights (see `StackedWeights`);
- on a CPU, the same code runs on numpy arrays that share the tensors' memory: a small operation of numpy takes less
  than half the time of torch's.

Shapes: B lines, C channels, S skip channels, V vocabulary, K kernel size, L blocks, R rows of the rings.
"""

from math import sqrt
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wavemore.nn.model import Decoder

FIRST_RING_SIZE = 16
"""Positions that a ring holds at first; it grows with the lines, which may end early."""

Array: TypeAlias = Any  # a tensor, or a numpy array that shares its memory


class StackedWeights(NamedTuple):
    """The weights of all blocks of a WaveNet, ready for `WaveNetDecoder`.

    The gain and the bias of a norm are multiplied into the layer after it. On a CPU sigmoids are computed as
    sigmoid(x) = (1 + tanh(x / 2)) / 2: the weights before them are halved, and those after a gate with a sigmoid too.
    The error of a sigmoid is one unit in the last place of 1, which is that of the sums that it goes into.
    """

    dilations: tuple[int, ...]  # one per block
    glu: bool  # whether the gate is tanh x sigmoid; otherwise it is SwiGLU
    eps: float | None  # of the norm; None without a norm
    before: Array  # (L, 1 or B, C): the normalised input of each block at all positions before a line
    embedding: Array  # (V, C)
    earlier: Array  # (L, (K - 1) C, 2C): of the convolutions, for the positions looked back at, the earliest first
    latest: Array  # (L, C, 2C): of the convolutions, for the latest position
    bias: Array  # (L, 1, 2C)
    residual: Array  # (L - 1, C, C), as the last block has none
    skip: Array  # (L C, S)
    hidden: Array  # (S, S): the first Linear of the head
    hidden_bias: Array  # (S,)
    output: Array  # (S, V): the second Linear of the head
    output_bias: Array  # (V,)


class WaveNetDecoder(Decoder):
    """The decoder of a WaveNet; without `with_numpy` it computes with torch on a CPU too."""

    def __init__(self, weights: StackedWeights, starts: Tensor, with_numpy: bool = True) -> None:
        """Start lines with the tokens `starts`, (B,)."""
        self.time, lines = 0, len(starts)
        blocks, channels, _ = weights.latest.shape
        kernel_size = 1 + weights.earlier.shape[1] // channels
        dilations = np.array(weights.dilations)[:, None]
        self._back = np.arange(kernel_size - 1, 0, -1) * dilations  # (L, K - 1), the earliest first
        self._reach = dilations * (kernel_size - 1)  # (L, 1)
        self._lay_out_rings(min(FIRST_RING_SIZE, int(self._reach.max())))
        # The rings one after the other, and in front of them a row per block: its input at positions before a line.
        rows = blocks + int(self._sizes.sum())
        self._rings = weights.before.new_zeros(rows, lines, channels)  # (R, B, C)
        self._rings[:blocks] = weights.before
        mean = weights.before.new_full((channels, 1), 1 / channels)
        # numpy has no GPU and no bfloat16.
        self._with_numpy = with_numpy and mean.is_cpu and mean.dtype in (torch.float32, torch.float64)
        self._xp: Any = np if self._with_numpy else torch
        self._dot: Any = np.dot if self._with_numpy else torch.mm  # for small matrices np.dot is faster than @
        self._weights, self._mean = weights, mean
        if self._with_numpy:
            tensors = {name: value for name, value in weights._asdict().items() if isinstance(value, Tensor)}
            arrays: dict[str, Any] = {name: tensor.contiguous().numpy() for name, tensor in tensors.items()}
            self._weights, self._mean = weights._replace(**arrays), mean.numpy()
        self._latest, self._residual = list(self._weights.latest), [*self._weights.residual, None]
        self.logits = self.step(starts.to(self._rings.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Append one character to each line, (B,), and predict the next: (B, V)."""
        if self.time == self._ring_size < self._reach.max():
            self._grow()
        is_known = self.time >= self._back
        read = np.where(is_known, self._starts + (self.time - self._back) % self._sizes, self._blocks)  # (L, K - 1)
        write = (self._starts + self.time % self._sizes).ravel().tolist()
        self.time += 1
        embedding, rings = self._weights.embedding, self._rings
        if self._with_numpy:
            rings = rings.numpy()
            x, earlier = embedding.take(tokens.numpy(), axis=0), rings.take(read, axis=0)  # faster than [...]
            self.logits = torch.from_numpy(self._compute(x, earlier, rings, write))
        else:
            self.logits = self._compute(embedding[tokens], rings[torch.from_numpy(read)], rings, write)
        return self.logits

    def select(self, rows: Tensor) -> None:
        """Continue with the lines in `rows` only, (K,) row numbers; a repeated row is a copy."""
        self.logits = self.logits.index_select(0, rows)
        self._rings = self._rings.index_select(1, rows)

    def _compute(self, x: Array, earlier: Array, rings: Array, write: list[int]) -> Array:
        """Compute one position of every block: embedded tokens `x` (B, C), which is changed -> logits (B, V).

        The blocks look back at `earlier` (L, K - 1, B, C); their new inputs are put into the rows `write` of the rings.
        """
        xp, dot, weights, eps = self._xp, self._dot, self._weights, self._weights.eps
        lines, c = x.shape
        earlier = earlier.swapaxes(1, 2).reshape(len(write), lines, -1)  # (L, B, (K - 1) C)
        parts = earlier @ weights.earlier + weights.bias  # (L, B, 2C)
        for row, z, latest, residual in zip(write, parts, self._latest, self._residual, strict=True):
            h = rings[row]  # (B, C)
            if eps is None:
                h[:] = x
            elif self._with_numpy and lines == 1:  # a number in place of a matrix is faster
                xp.multiply(x, 1 / sqrt(xp.vdot(x, x) / c + eps), out=h)
            else:
                xp.multiply(x, ((x * x) @ self._mean + eps) ** -0.5, out=h)
            z += dot(h, latest)
            u = z[:, c:]
            if not weights.glu:
                u[:] = silu_of_double(u)
            elif self._with_numpy:
                np.tanh(z, out=z)
                u += 1
            else:
                z[:, :c].tanh_()
                u.mul_(2).sigmoid_().mul_(2)
            u *= z[:, :c]
            if residual is not None:
                x += dot(u, residual)
        skips = parts[:, :, c:].swapaxes(0, 1).reshape(lines, -1) @ weights.skip
        hidden = silu_of_double(skips) @ weights.hidden + weights.hidden_bias
        return silu_of_double(hidden) @ weights.output + weights.output_bias

    def _lay_out_rings(self, ring_size: int) -> None:
        """Set the size of each ring, at most `ring_size` positions, and its first row: (L, 1)."""
        self._ring_size = ring_size
        self._sizes = np.clip(self._reach, 1, max(1, ring_size))
        self._blocks = np.arange(len(self._sizes))[:, None]
        self._starts = len(self._sizes) + self._sizes.cumsum()[:, None] - self._sizes

    def _grow(self) -> None:
        """Double the rings that need more positions. They are just full, so their first row is the earliest."""
        sizes = self._sizes
        first, *rings = torch.split(self._rings, [len(sizes), *sizes.ravel().tolist()])
        self._lay_out_rings(2 * self._ring_size)
        added = (self._sizes - sizes).ravel().tolist()
        grown = (F.pad(ring, (0, 0, 0, 0, 0, count)) for ring, count in zip(rings, added, strict=True))
        self._rings = torch.cat([first, *grown])


def silu_of_double(x: Array) -> Array:
    """SiLU(2x) = 2x sigmoid(2x) = x (1 + tanh(x))."""
    return F.silu(2 * x) if isinstance(x, Tensor) else (np.tanh(x) + 1) * x
