"""A WaveNet's next characters, one step at a time, in the same time for each however much has been read.

Each block keeps what its convolution will still look at, the last (K - 1) * dilation inputs (B, C), in a ring: so a
step is one position of every block, whatever the receptive field and whatever the length. Paine et al., "Fast Wavenet
Generation Algorithm", https://arxiv.org/abs/1611.09482.

A position is so little work that the number of operations is what costs. So

- all rings are one tensor, and what all blocks look back at is gathered and multiplied at once, before the first block;
- the norm's gain is multiplied into the taps; a LayerNorm is an RMSNorm of rows whose mean is 0, and such are all rows
  where the means are taken out of the embedding and of the residual paths;
- tanh and sigmoid are one pass, as sigmoid(x) = (1 + tanh(x / 2)) / 2, whose factors are in the weights;
- few lines on a CPU are computed by numpy, where a small operation takes less than half of the time it takes in torch.

Shapes: B lines, C channels, S skip channels, V vocabulary, K kernel size, L blocks, R rows of the rings.
"""

from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from wavemore.nn.layers import GatedTanh, LayerNorm, RMSNorm
from wavemore.nn.model import are_all
from wavemore.nn.wavenet import Block, WaveNet

FEW = 256
"""Lines up to which numpy is the faster one on one thread; with more, torch's threads are worth more."""
SHORT = 16
"""Positions that a ring has room for at first: lines may end long before it would be full."""


class WaveNetStream:
    """B lines that grow by a character a step; before the first one stand boundary tokens.

    The logits are those of a full pass; the model must be in eval mode, and its weights must stay as they are.

    >>> from wavemore.nn.config import WaveNetConfig
    >>> stream = WaveNetStream(WaveNet(27, WaveNetConfig()).eval(), lines=5)
    >>> stream.logits.shape, stream.step(torch.tensor([1, 2, 3, 4, 5])).shape
    (torch.Size([5, 27]), torch.Size([5, 27]))
    """

    @torch.no_grad()
    def __init__(self, model: WaveNet, lines: int) -> None:
        assert not model.training, "dropout makes no sense one character at a time"
        self.lines, self.time = lines, 0
        self._weights = _Weights.of(model)
        self._steps: dict[bool, _Few | _Many] = {}
        kernel_size, dilations = model.config.kernel_size, model.config.dilations * model.config.cycles
        self._back = np.arange(kernel_size - 1, 0, -1) * np.array(dilations)[:, None]  # (L, K - 1), the oldest first
        self._reach = np.array(dilations) * (kernel_size - 1)  # (L,)
        self._begin_rings(min(SHORT, int(self._reach.max())))
        # All rings, one after the other; in front of them a row for each block, which is all that it saw before a line.
        first = self._weights.before_a_line().expand(-1, lines, -1)
        self._rings = torch.cat([first, first.new_zeros(int(self._sizes.sum()), *first.shape[1:])])  # (R, B, C)
        self.logits = self.step(torch.zeros(lines, dtype=torch.int64, device=model.device))

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        if self.time == self._room < self._reach.max():
            self._grow()
        known = self.time >= self._back
        read = np.where(known, self._starts + (self.time - self._back) % self._sizes, self._blocks)  # (L, K - 1) rows
        write = self._starts + self.time % self._sizes  # (L, 1)
        few = self.lines <= FEW and self._rings.device.type == "cpu"
        if few not in self._steps:
            self._steps[few] = (_Few if few else _Many)(self._weights)
        self.logits = self._steps[few](tokens, self._rings, read.ravel(), write.ravel())
        self.time += 1
        return self.logits

    @torch.no_grad()
    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        if are_all(rows, self.lines):
            return
        self.lines = len(rows)
        self.logits = self.logits.index_select(0, rows)
        self._rings = self._rings.index_select(1, rows)

    def _begin_rings(self, room: int) -> None:
        """Say where rings of so many positions at most lie: their sizes and first rows, (L, 1)."""
        self._room = room
        self._sizes = np.clip(self._reach, 1, max(1, room))[:, None]
        self._blocks = np.arange(len(self._sizes))[:, None]
        self._starts = len(self._sizes) + self._sizes.cumsum()[:, None] - self._sizes

    def _grow(self) -> None:
        """Make room for twice as many positions. What is longer than the old room has not come round yet."""
        before = self._sizes
        first, *rings = torch.split(self._rings, [len(before), *before.ravel().tolist()])
        self._begin_rings(2 * self._room)
        added = (self._sizes - before).ravel().tolist()
        self._rings = torch.cat(
            [first, *(F.pad(ring, (0, 0, 0, 0, 0, n)) for ring, n in zip(rings, added, strict=True))]
        )


class _Weights(NamedTuple):
    """A WaveNet's weights, those of all blocks together."""

    embedding: Tensor
    """(V, C)"""
    eps: float | None
    """Of the norm; None where there is none."""
    before: Tensor
    """The taps on the positions before, from the oldest on: (L, (K - 1) C, 2C)."""
    now: Tensor
    """The last tap: (L, C, 2C)."""
    bias: Tensor
    """(L, 1, 2C)"""
    glu: bool
    """The gate: tanh x sigmoid or SwiGLU."""
    residual: Tensor
    """(L - 1, C, C): the last block has none."""
    skip: Tensor
    """(L C, S)"""
    head: tuple[Tensor, Tensor, Tensor, Tensor]
    """Weight and bias of two linear layers: (S, S), (S,), (S, V), (V,)."""

    @classmethod
    def of(cls, model: WaveNet) -> "_Weights":
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        taps = torch.stack([block.conv.weight for block in blocks]).permute(0, 3, 2, 1)  # (L, K, C, 2C)
        bias = torch.stack([block.conv.get_parameter("bias") for block in blocks])  # (L, 2C)
        skip = torch.cat([block.skip.weight.T for block in blocks])
        embedding = model.embedding.weight.detach()
        residual = taps.new_zeros(0, *taps.shape[2:3] * 2)
        if len(blocks) > 1:
            residual = torch.stack([block.get_parameter("residual.weight").T for block in blocks[:-1]])
        norm, eps = blocks[0].norm, None
        if isinstance(norm, RMSNorm | LayerNorm):
            eps = torch.finfo(taps.dtype).eps if norm.eps is None else norm.eps
            if isinstance(norm, LayerNorm):
                bias = bias + torch.einsum(
                    "lc,lkco->lo", torch.stack([block.norm.get_parameter("bias") for block in blocks]), taps
                )
                embedding, residual = (rows - rows.mean(-1, keepdim=True) for rows in (embedding, residual))
            taps = taps * torch.stack([block.norm.get_parameter("weight") for block in blocks])[:, None, :, None]
        hidden, hidden_bias, last, last_bias = model.head.parameters()
        head = (hidden.T, hidden_bias, last.T, last_bias)
        before, now = taps[:, :-1].flatten(1, 2), taps[:, -1]
        return cls(
            embedding, eps, before, now, bias[:, None], isinstance(blocks[0].gate, GatedTanh), residual, skip, head
        )

    def scaled(self, a: float, b: float, u: float) -> "_Weights":
        """With the two inputs of the gate, and what is done with its output, multiplied by these."""
        c = self.now.shape[1]
        factors = torch.cat([self.now.new_full((c,), a), self.now.new_full((c,), b)])
        return self._replace(
            before=self.before * factors,
            now=self.now * factors,
            bias=self.bias * factors,
            residual=self.residual * u,
            skip=self.skip * u,
        )

    def normal(self, x: Tensor) -> Tensor:
        """The norm without its gain."""
        return x if self.eps is None else F.rms_norm(x, x.shape[-1:], None, self.eps)

    def before_a_line(self) -> Tensor:
        """What each block's convolution sees where boundaries stand alone: (L, 1, C)."""
        x, seen = self.embedding[:1], []
        taps = self.now + self.before.view(len(self.now), -1, *self.now.shape[1:]).sum(1)
        for number, bias in enumerate(self.bias):
            seen.append(self.normal(x))
            a, b = torch.addmm(bias, seen[-1], taps[number]).chunk(2, dim=1)
            if number < len(self.residual):
                x = x + (a.tanh() * b.sigmoid() if self.glu else a * F.silu(b)) @ self.residual[number]
        return torch.stack(seen)


class _Many:
    """A step of many lines: in torch, whose sigmoid is faster than its tanh."""

    def __init__(self, weights: _Weights) -> None:
        self.weights = weights.scaled(2, 1, 2) if weights.glu else weights

    def __call__(self, tokens: Tensor, rings: Tensor, read: NDArray[np.int64], write: NDArray[np.int64]) -> Tensor:
        """Logits of what follows (B, V), from the rows of the rings that are looked at; put the new ones in them."""
        weights = self.weights
        x = weights.embedding.index_select(0, tokens)
        parts: Tensor | tuple[Tensor, ...] = weights.bias
        if len(read):
            known = rings.index_select(0, torch.from_numpy(read).to(rings.device)).view(len(parts), -1, *x.shape)
            parts = torch.baddbmm(weights.bias, known.transpose(1, 2).flatten(2), weights.before).unbind()
        seen, said = [], []
        for number, part in enumerate(parts):
            h = weights.normal(x)
            a, b = torch.addmm(part, h, weights.now[number]).chunk(2, dim=1)
            u = a.sigmoid().sub_(0.5).mul_(b.sigmoid()) if weights.glu else F.silu(b).mul_(a)
            if number < len(weights.residual):
                x = torch.addmm(x, u, weights.residual[number])
            seen.append(h)
            said.append(u)
        if len(read):
            rings.index_copy_(0, torch.from_numpy(write).to(rings.device), torch.stack(seen))
        hidden, hidden_bias, last, last_bias = weights.head
        total = F.silu(torch.cat(said, dim=1) @ weights.skip)
        return torch.addmm(last_bias, F.silu(torch.addmm(hidden_bias, total, hidden)), last)


class _Few:
    """The same for few lines on a CPU: in numpy, with all results in memory that is there."""

    def __init__(self, weights: _Weights) -> None:
        self.eps, self.glu = weights.eps, weights.glu
        weights = weights.scaled(1, 0.5, 0.5 if weights.glu else 1)
        self.embedding, self.before, self.bias = (x.numpy() for x in (weights.embedding, weights.before, weights.bias))
        self.now, self.residual = list(weights.now.numpy()), [*weights.residual.numpy(), None]
        # In the head too SiLU(2x) = x (1 + tanh(x)), so that both of its inputs are halved.
        hidden, hidden_bias, last, last_bias = weights.head
        head = (weights.skip / 2, hidden / 2, hidden_bias / 2, last, last_bias)
        self.skip, self.hidden, self.hidden_bias, self.last, self.last_bias = (x.contiguous().numpy() for x in head)
        self.lines = -1

    def _make_room(self, lines: int) -> None:
        """Lay out memory for what a step of so many lines computes."""
        blocks, channels = len(self.now), len(self.now[0])
        dtype = self.embedding.dtype
        self.known = np.empty((blocks * (self.before.shape[1] // channels), lines, channels), dtype)
        self.parts = np.empty((blocks, lines, 2 * channels), dtype)
        self.u = np.empty((lines, blocks, channels), dtype)
        self.z, self.x = np.empty((lines, 2 * channels), dtype), np.empty((lines, channels), dtype)
        self.blocks = list(zip(self.parts, self.now, self.residual, self.u.swapaxes(0, 1), strict=True))
        self.lines = lines

    def __call__(self, tokens: Tensor, rings: Tensor, read: NDArray[np.int64], write: NDArray[np.int64]) -> Tensor:
        """Logits of what follows (B, V), from the rows of the rings that are looked at; put the new ones in them."""
        lines, rows = len(tokens), rings.numpy()
        if lines != self.lines:
            self._make_room(lines)
        x = self.embedding.take(tokens.numpy(), axis=0)
        blocks, channels = len(self.now), x.shape[1]
        if len(read):
            rows.take(read, axis=0, out=self.known, mode="clip")
            known = self.known.reshape(blocks, -1, lines, channels).swapaxes(1, 2).reshape(blocks, lines, -1)
            np.matmul(known, self.before, out=self.parts)
            self.parts += self.bias
        else:
            self.parts[:] = self.bias
        z, further, eps = self.z, self.x, self.eps
        a, b = z[:, :channels], z[:, channels:]
        for (part, now, residual, u), row in zip(self.blocks, write.tolist(), strict=True):
            h = rows[row]
            if eps is None:
                h[:] = x
            elif lines == 1:
                np.multiply(x, 1 / sqrt(np.vdot(x, x) / channels + eps), out=h)
            else:
                np.multiply(x, ((np.einsum("bc,bc->b", x, x) / channels + eps) ** -0.5)[:, None], out=h)
            np.dot(h, now, out=z)
            z += part
            if self.glu:
                np.tanh(z, out=z)
                b += 1
                np.multiply(a, b, out=u)
            else:
                np.multiply(a, _silu(b), out=u)
            if residual is not None:
                np.dot(u, residual, out=further)
                x += further
        total = _silu(self.u.reshape(lines, -1) @ self.skip)
        hidden = _silu(total @ self.hidden + self.hidden_bias)
        return torch.from_numpy(hidden @ self.last + self.last_bias)


def _silu(x: NDArray[Any]) -> NDArray[Any]:
    """SiLU(2x)."""
    y: NDArray[Any] = np.tanh(x)
    y += 1
    y *= x
    return y
