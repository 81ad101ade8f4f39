"""WaveNet: blocks of dilated causal convolution with gates, joined by a residual and a skip path.

After van den Oord et al., "WaveNet: A Generative Model for Raw Audio", https://arxiv.org/abs/1609.03499, for
characters instead of audio samples. From the characters to the prediction, with the figures of the paper:

    tokens        (B, T)
    Embedding     (B, T, C)   the paper's first causal convolution of one-hot vectors, with a kernel of one position
    block 1       (B, T, C)   dilation 1: sees 2 characters (figure 3, from the bottom up)
    block 2       (B, T, C)   dilation 2: sees 4
    block 3       (B, T, C)   dilation 4: sees 8
    ...                       and all again from dilation 1 for every further cycle (section 2.1)
    skip sum      (B, T, S)   what every block says, added up (figure 4)
    head          (B, T, V)   SiLU, Linear, SiLU, Linear; the paper has ReLU and 1 x 1 convolutions (figure 4)

A block is figure 4's, with a normalisation before it, as networks have now: without one deep stacks learn slowly.

    norm          (B, T, C)
    CausalConv1d  (B, T, 2C)  the filter and the gate of equation 2, side by side
    gate          (B, T, C)   tanh x sigmoid
    skip          (B, T, S)   a Linear, a 1 x 1 convolution: goes to the sum
    residual      (B, T, C)   another: is added to what came in and goes to the next block

A tree whose fusions are 2 2 2 sees the same 8 characters as dilations 1 2 4, in the same pattern; what differs are
gates, residual and skip paths, and that a block keeps the number of channels.

Shapes: B lines, T time, C channels, S skip channels, V vocabulary, K kernel size.
"""

from typing import Any

import torch
from torch import Tensor, nn

from wavemore.nn.config import WaveNetConfig
from wavemore.nn.layers import (
    GATES,
    NORMS,
    CausalConv1d,
    Dropout,
    Embedding,
    GatedTanh,
    Linear,
    RMSNorm,
    Sequential,
    SiLU,
    earlier_and_now,
    earlier_and_now_backward,
)
from wavemore.nn.model import LineModel, Stream


class Block(nn.Module):
    """One dilated convolution with its gate: (B, T, C) -> what goes on (B, T, C), and what goes to the skip sum.

    The last block of a network has no residual path: nothing comes after it.
    """

    residual: Linear | None

    def __init__(self, config: WaveNetConfig, dilation: int, last: bool) -> None:
        super().__init__()
        c = config.channels
        self.norm: nn.Module = NORMS[config.norm](c) if config.norm != "none" else nn.Identity()
        self.conv = CausalConv1d(c, 2 * c, config.kernel_size, dilation)
        self.gate = GATES[config.gate]()
        self.drop: nn.Module = Dropout(config.dropout) if config.dropout else nn.Identity()
        self.skip = Linear(c, config.skip_channels, bias=False)
        self.residual = None if last else Linear(c, c, bias=False)

    def forward(self, x: Tensor, skips: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input of the next block (T, B, C) and the skip sum (T, B, S) with this block's part.

        The sum so far is changed in place.
        """
        if isinstance(self.norm, RMSNorm) and isinstance(self.gate, GatedTanh) and isinstance(self.drop, nn.Identity):
            return self.at_once(x, skips)
        # Before a line stand boundaries alone, so each of those positions is as the first one, which is a boundary.
        u = self.drop(self.gate(self.conv.time_first(self.norm(x))))
        skips = torch.addmm(skips.flatten(0, 1), u.flatten(0, 1), self.skip.weight.T).view_as(skips)
        return x if self.residual is None else x + self.residual(u), skips

    def at_once(self, x: Tensor, skips: Tensor) -> tuple[Tensor, Tensor]:
        """The same for the usual norm and gate, in fewer passes over memory; their factors go into the weights."""
        assert isinstance(self.norm, RMSNorm)
        eps = torch.finfo(x.dtype).eps if self.norm.eps is None else self.norm.eps
        factors = x.new_ones(2 * self.conv.in_channels)
        factors[: self.conv.in_channels] = 2
        taps = self.conv.taps() * self.norm.weight[:, None] * factors
        bias, skip = self.conv.get_parameter("bias") * factors, 2 * self.skip.weight.T
        residual = None if self.residual is None else 2 * self.residual.weight.T
        further, skips = _Block.apply(  # type: ignore[no-untyped-call]
            x, skips, taps, bias, residual, skip, self.conv.dilation, eps
        )
        return x if further is None else further, skips


class _Block(torch.autograd.Function):
    """A block with its gradient worked out by hand.

    n = x s with s = 1 / sqrt(mean(x^2) + eps); conv(n) is twice the filter beside the gate; with the sigmoids p and q
    of its halves and t = p - 1/2, u = t q is half of tanh x sigmoid, as tanh(x) = 2 sigmoid(2x) - 1.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        skips: Tensor,
        taps: Tensor,
        bias: Tensor,
        residual: Tensor | None,
        skip: Tensor,
        dilation: int,
        eps: float,
    ) -> tuple[Tensor | None, Tensor]:
        """Return x + u @ residual, and skips + u @ skip in the memory of skips."""
        x, taps = x.contiguous(), taps.contiguous()
        scale = (x * x).mean(-1, keepdim=True).add_(eps).rsqrt_()  # (T, B, 1)
        normal = x * scale
        both = earlier_and_now(normal, taps, bias, dilation).sigmoid_()  # (T, B, 2C)
        t, q = both.flatten(0, 1).chunk(2, dim=1)
        u = t.sub_(0.5) * q
        ctx.save_for_backward(normal, scale, both, u, taps, skip, residual)
        ctx.dilation = dilation
        skips.flatten(0, 1).addmm_(u, skip)
        ctx.mark_dirty(skips)
        return None if residual is None else torch.addmm(x.flatten(0, 1), u, residual).view_as(x), skips

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Turn the gradients of both results into those of all that is not a setting."""
        normal, scale, both, u, taps, skip, residual = ctx.saved_tensors
        onward, dskips = gradients[0], gradients[1].flatten(0, 1)
        t, q = both.flatten(0, 1).chunk(2, dim=1)
        du = dskips @ skip.T
        dskip, dresidual = u.T @ dskips, None
        if residual is not None:
            du.addmm_(onward.flatten(0, 1), residual.T)
            dresidual = u.T @ onward.flatten(0, 1)
        # p' = p (1 - p) = 1/4 - t^2, of which this is four times as much, and q' = q (1 - q).
        dz = torch.empty_like(both)
        dp, dq = dz.flatten(0, 1).chunk(2, dim=1)
        torch.mul(du, u, out=dq)
        torch.mul(du, q, out=dp).addcmul_(dq, t, value=-4)
        dq.addcmul_(dq, q, value=-1)
        quarter = torch.cat([scale.new_full((u.shape[1],), 0.25), scale.new_ones(u.shape[1])])
        dnormal, dtaps = earlier_and_now_backward(normal, taps * quarter, ctx.dilation, dz)
        dnormal.addcmul_(normal, (dnormal * normal).mean(-1, keepdim=True), value=-1)
        dx = dnormal.mul_(scale) if residual is None else torch.addcmul(onward, dnormal, scale)
        return dx, gradients[1], dtaps * quarter, dz.sum((0, 1)) * quarter, dresidual, dskip, None, None


class WaveNet(LineModel):
    """Predict the next character at every position from the `context` ones before it.

    >>> model = WaveNet(27, WaveNetConfig(channels=64, dilations=(1, 2, 4, 8)))
    >>> model(torch.zeros(32, 12, dtype=torch.int64)).shape, model.context
    (torch.Size([32, 12, 27]), 16)
    """

    def __init__(self, vocabulary_size: int, config: WaveNetConfig) -> None:
        super().__init__(vocabulary_size)
        self.config: WaveNetConfig = config
        dilations = config.dilations * config.cycles
        self.embedding = Embedding(vocabulary_size, config.channels)
        blocks = [Block(config, d, last=number == len(dilations)) for number, d in enumerate(dilations, start=1)]
        self.blocks = nn.ModuleList(blocks)
        s = config.skip_channels
        last = Linear(s, vocabulary_size)
        self.head = Sequential(SiLU(), Linear(s, s), SiLU(), last)
        with torch.no_grad():
            for block in blocks:
                block.skip.weight.div_(len(dilations) ** 0.5)  # so that their sum is of the size of one
            last.weight.mul_(0.1)  # no opinion yet: the loss starts at ln V

    def logits_at_every(self, tokens: Tensor) -> Tensor:
        """Predict what follows each position of lines that begin with a boundary: (B, T) -> (B, T, V)."""
        return self.logits_at_last(tokens, tokens.shape[1])

    def logits_at_last(self, tokens: Tensor, count: int) -> Tensor:
        """The same for the last positions alone: (B, T) -> (B, count, V)."""
        x = self.embedding(tokens.T)  # (T, B, C): see CausalConv1d.time_first
        skips = x.new_zeros(*x.shape[:2], self.config.skip_channels)
        for block in self.blocks:
            x, skips = block(x, skips)
        logits: Tensor = self.head(skips[-count:])
        return logits.transpose(0, 1)

    def layer_by_layer(self, tokens: Tensor) -> Tensor:
        """The same as `logits_at_every`, each layer called by itself, for whoever looks at layers: it takes longer."""
        x = self.embedding(tokens)  # (B, T, C)
        skips: Tensor | None = None
        for block in self.blocks:
            assert isinstance(block, Block)
            y = block.norm(x)
            before = y[:, :1].expand(-1, block.conv.reach, -1)  # boundaries, as the first position is one
            y = block.drop(block.gate(block.conv(y, before)))
            said = block.skip(y)
            skips = said if skips is None else skips + said
            if block.residual is not None:
                x = x + block.residual(y)
        logits: Tensor = self.head(skips)
        return logits

    def stream(self, lines: int) -> Stream:
        """Begin lines that grow by a character a step, in the same time for each; see nn/wavenet_stream.py."""
        from wavemore.nn.wavenet_decoder import WaveNetStream

        return WaveNetStream(self, lines)
