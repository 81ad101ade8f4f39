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
from torch import Tensor, nn

from wavemore.nn.config import WaveNetConfig
from wavemore.nn.layers import GATES, NORMS, CausalConv1d, Dropout, Embedding, Linear, Sequential, SiLU
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
        self.model = model
        self.blocks = [_BlockStream(block) for block in model.blocks]
        self.skips = torch.cat([block.skip for block in self.blocks], dim=1).T  # (blocks x C, S)
        self.lines = lines
        self.logits = self.step(torch.zeros(lines, dtype=torch.int64, device=model.device))

    def step(self, tokens: Tensor) -> Tensor:
        """Take one more character a line, (B,), and predict the next: (B, V)."""
        x: Tensor = self.model.embedding(tokens)  # (B, C)
        said = []
        for block in self.blocks:
            x, u = block.step(x)
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
            block.keep(rows)


class _BlockStream:
    """One position of a block at a time."""

    def __init__(self, block: nn.Module) -> None:
        assert isinstance(block, Block)
        conv = block.conv
        self.norm, self.gate, self.skip = block.norm, block.gate, block.skip.weight
        self.bias = conv.bias
        self.taps = [conv.weight[:, :, tap].T for tap in range(conv.kernel_size)]  # (C, 2C) each, the oldest first
        self.residual = None if block.residual is None else block.residual.weight.T
        # One ring of (K - 1) d inputs, of which every d-th is looked at. Empty: the line has not begun.
        self.ring: list[Tensor] = []
        self.size, self.dilation, self.place = conv.reach, conv.dilation, 0
        self.first: Tensor | None = None  # what all positions before the line are: one boundary's

    def step(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take the input of one position (B, C); return that of the next block, and what the gate lets pass."""
        h: Tensor = self.norm(x)
        if self.first is None:
            self.first = h[:1]
        z = torch.addmm(self.bias, h, self.taps[-1]) if self.bias is not None else h @ self.taps[-1]
        for back, tap in enumerate(reversed(self.taps[:-1]), start=1):
            z = _added(z, self._ago(back * self.dilation), tap)
        if self.size:
            if len(self.ring) < self.size:
                self.ring.append(h)
            else:
                self.ring[self.place] = h
                self.place = (self.place + 1) % self.size
        u: Tensor = self.gate(z)
        return x if self.residual is None else torch.addmm(x, u, self.residual), u

    def _ago(self, steps: int) -> Tensor:
        """The input of so many steps ago: (B, C), or (1, C) before the line."""
        if steps > len(self.ring):
            assert self.first is not None
            return self.first
        return self.ring[(self.place + len(self.ring) - steps) % len(self.ring)]

    def keep(self, rows: Tensor) -> None:
        self.ring = [h.index_select(0, rows) for h in self.ring]


def _added(z: Tensor, h: Tensor, tap: Tensor) -> Tensor:
    return torch.addmm(z, h, tap) if len(h) == len(z) else z + h @ tap
