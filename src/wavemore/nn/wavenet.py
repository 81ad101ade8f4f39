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

import torch
import torch.nn.functional as F
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
)
from wavemore.nn.model import LineModel, are_all


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

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the input of the next block (B, T, C) and this block's part of the skip sum (B, T, S)."""
        h = self.norm(x)
        # Before a line stand boundaries alone, so each of those positions is as the first one, which is a boundary.
        before = h[:, :1].expand(-1, self.conv.reach, -1)
        u = self.drop(self.gate(self.conv(h, before)))
        return x if self.residual is None else x + self.residual(u), self.skip(u)


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
        x = self.embedding(tokens)  # (B, T, C)
        skips = []
        for block in self.blocks:
            x, skip = block(x)
            skips.append(skip)
        total = skips[0]
        for skip in skips[1:]:
            total = total + skip
        logits: Tensor = self.head(total)
        return logits

    def stream(self, lines: int) -> "WaveNetStream":
        """Begin lines that grow by a character a step, in the same time for each, however long they are."""
        return WaveNetStream(self, lines)


class WaveNetStream:
    """B lines that grow by a character a step; before the first one stand boundary tokens.

    Each block keeps what its convolution will still look at, the last (K - 1) * dilation inputs (B, C), in a ring: so
    a step is one position of every block, whatever the receptive field and whatever the length. Paine et al.,
    "Fast Wavenet Generation Algorithm", https://arxiv.org/abs/1611.09482.

    The logits are those of a full pass; the model must be in eval mode, and its weights must stay as they are.

    >>> stream = WaveNet(27, WaveNetConfig()).eval().stream(lines=5)
    >>> stream.logits.shape, stream.step(torch.tensor([1, 2, 3, 4, 5])).shape
    (torch.Size([5, 27]), torch.Size([5, 27]))
    """

    def __init__(self, model: WaveNet, lines: int) -> None:
        assert not model.training, "dropout makes no sense one character at a time"
        self.model, self.lines = model, lines
        self.blocks = [_BlockStream(block) for block in model.blocks]
        # What can be done for all blocks at once: the taps on positions before, which are known, and the skip sum.
        taps, biases = [block.before for block in self.blocks], [block.bias for block in self.blocks]
        self.before, self.biases = torch.stack(taps), torch.stack(biases)[:, None]  # (blocks, (K-1) C, 2C), (.., 1, 2C)
        self.skips = torch.cat([block.skip for block in self.blocks])  # (blocks x C, S)
        boundary = torch.zeros(1, dtype=torch.int64, device=model.device)
        x = model.embedding(boundary)
        for block in self.blocks:
            x = block.begin(x)
        self.logits = self.step(boundary.expand(lines))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        x: Tensor = self.model.embedding(tokens)  # (B, C)
        if self.before.shape[1]:
            known = torch.stack([h for block in self.blocks for h in block.known(self.lines)])
            known = known.view(len(self.blocks), -1, *x.shape).transpose(1, 2).flatten(2)  # (blocks, B, (K-1) C)
            parts = torch.baddbmm(self.biases, known, self.before).unbind()  # (B, 2C) a block
        else:
            parts = self.biases.unbind()
        said = []
        for block, part in zip(self.blocks, parts, strict=True):
            x, u = block.step(x, part)
            said.append(u)
        self.logits = self.model.head(torch.cat(said, dim=1) @ self.skips)
        return self.logits

    def keep(self, rows: Tensor) -> None:
        """Go on with these lines only, or with copies of them: (K,) row numbers."""
        if are_all(rows, self.lines):
            return
        self.lines = len(rows)
        self.logits = self.logits.index_select(0, rows)
        for block in self.blocks:
            block.ring = [h.index_select(0, rows) for h in block.ring]


class _BlockStream:
    """One position of a block at a time.

    The operations are so small that their number is what costs: the norm's gain is multiplied into the taps, and
    tanh(a) sigmoid(b), with tanh(a) = 2 sigmoid(2a) - 1, is one pass of sigmoids, whose factors 2 are in the weights.
    """

    def __init__(self, block: nn.Module) -> None:
        assert isinstance(block, Block)
        conv, norm = block.conv, block.norm
        assert conv.bias is not None
        self.norm = norm
        self.channels, self.glu = (conv.in_channels,), isinstance(block.gate, GatedTanh)
        weight, self.bias = conv.weight.permute(2, 1, 0).clone(), conv.bias.clone()  # (K, C, 2C), (2C,)
        self.skip = block.skip.weight.T  # (C, S)
        self.residual = None if block.residual is None else block.residual.weight.T
        if isinstance(norm, RMSNorm):
            weight *= norm.weight[:, None]
        if self.glu:
            c = conv.in_channels
            weight[..., :c] *= 2
            self.bias[:c] *= 2
            self.skip = 2 * self.skip
            self.residual = None if self.residual is None else 2 * self.residual
        self.now, self.before = weight[-1], weight[:-1].flatten(0, 1)  # (C, 2C), ((K-1) C, 2C) from the oldest on
        # One ring of (K - 1) d inputs (B, C), of which every d-th is looked at. Empty: the line has not begun.
        self.ring: list[Tensor] = []
        self.size, self.dilation, self.place = conv.reach, conv.dilation, 0
        self.first: Tensor

    def begin(self, x: Tensor) -> Tensor:
        """Take the input of all positions before the line, (1, C), where boundaries stand; return the next block's."""
        self.first = self._normal(x)
        taps = self.first.repeat(1, self.before.shape[0] // self.first.shape[1])
        return self._gated(x, torch.addmm(self.bias + taps @ self.before, self.first, self.now))[0]

    def known(self, lines: int) -> list[Tensor]:
        """The inputs of the positions before that are looked at, the oldest first: K - 1 of (B, C)."""
        count = len(self.ring)
        return [
            self.first.expand(lines, -1) if back > count else self.ring[(self.place + count - back) % count]
            for back in range(self.size, 0, -self.dilation)
        ]

    def step(self, x: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
        """Take the input (B, C) and what the other taps give (B, 2C); return the next block's, and what passes."""
        h = self._normal(x)
        if self.size:
            if len(self.ring) < self.size:
                self.ring.append(h)
            else:
                self.ring[self.place] = h
                self.place = (self.place + 1) % self.size
        return self._gated(x, torch.addmm(part, h, self.now))

    def _normal(self, x: Tensor) -> Tensor:
        """The norm without its gain, where that is in the taps."""
        if isinstance(self.norm, RMSNorm):
            return F.rms_norm(x, self.channels, None, self.norm.eps)
        h: Tensor = self.norm(x)
        return h

    def _gated(self, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        if self.glu:
            tanh, gate = z.sigmoid().chunk(2, dim=1)
            u = (tanh - 0.5) * gate
        else:
            a, b = z.chunk(2, dim=1)
            u = a * F.silu(b)
        return x if self.residual is None else torch.addmm(x, u, self.residual), u
