"""WaveNet: blocks of dilated causal convolution with gates, joined by a residual and a skip path.

After van den Oord et al., "WaveNet: A Generative Model for Raw Audio", https://arxiv.org/abs/1609.03499, for
characters instead of audio samples. From the characters to the prediction, with the figures of the paper:

    tokens        (B, T)
    Embedding     (B, T, C)   the paper's first causal convolution of one-hot vectors, with a kernel of one position
    block 1       (B, T, C)   dilation 1: sees 2 characters (figure 3, from the bottom up)
    block 2       (B, T, C)   dilation 2: sees 4
    block 3       (B, T, C)   dilation 4: sees 8
    ...                       and all again from dilation 1 for every further cycle (section 2.1)
    skip sum      (B, T, S)   the sum of the skip outputs of all blocks (figure 4)
    head          (B, T, V)   SiLU, Linear, SiLU, Linear; the paper has ReLU and 1 x 1 convolutions (figure 4)

A block is that of figure 4, after a normalisation, without which deep stacks learn slowly:

    norm          (B, T, C)
    CausalConv1d  (B, T, 2C)  the filter and the gate of equation 2, side by side
    gate          (B, T, C)   tanh x sigmoid
    skip          (B, T, S)   a Linear, which is a 1 x 1 convolution: goes to the skip sum
    residual      (B, T, C)   a second Linear: its output plus the block's input goes to the next block

A tree with fusions 2 2 2 sees the same 8 characters as dilations 1 2 4, in the same pattern. A WaveNet differs by its
gates, its residual and skip paths, and by the number of channels, which no block changes.

Shapes: B lines, T time, C channels, S skip channels, V vocabulary, K kernel size, L blocks.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.errors import UsageError, require_kind, require_types
from wavemore.nn.activations import GATES, GatedTanh, SiLU
from wavemore.nn.config import DROPOUT_HELP, MAX_LAYERS, ModelConfig, setting
from wavemore.nn.kernels.gated_block import GatedBlock
from wavemore.nn.kernels.torch_internals import is_bare, needs_plain, runs_as
from wavemore.nn.layers import CausalConv1d, Dropout, Embedding, Linear, Sequential
from wavemore.nn.model import Decoder, Model, last_positions
from wavemore.nn.norms import NORMS, LayerNorm, RMSNorm
from wavemore.nn.wavenet_decoder import StackedWeights, WaveNetDecoder

GateName: TypeAlias = Literal["glu", "swiglu"]
RowNormName: TypeAlias = Literal["layer", "rms", "none"]
MAX_RECEPTIVE_FIELD = 2**20


@dataclass(frozen=True)
class WaveNetConfig(ModelConfig):
    """The settings of a WaveNet: cycles of blocks whose dilations grow."""

    channels: int = setting(64, "channels of the residual path")
    dilations: tuple[int, ...] = setting((1, 2, 4, 8), "distance between the positions that each block of a cycle sees")
    cycles: int = setting(1, "how many times the dilations are repeated")
    kernel_size: int = setting(2, "number of positions that each block sees")
    skip_channels: int = setting(64, "channels of the skip path, from every block to the head")
    gate: GateName = setting("glu", "glu (tanh x sigmoid, as in the paper) or swiglu")
    norm: RowNormName = setting("rms", "normalisation before each block")
    dropout: float = setting(0.0, DROPOUT_HELP)
    width_settings = ("channels", "skip_channels")

    def __post_init__(self) -> None:
        require_types(self)
        self.require_sizes("channels", "cycles", "kernel_size", "skip_channels")
        if not self.dilations or min(self.dilations) < 1:
            dilations = " ".join(map(str, self.dilations)) or "empty"
            raise UsageError(f"`dilations` is {dilations}; it must be one or more numbers of at least 1, such as 1 2 4")
        if len(self.dilations) * self.cycles > MAX_LAYERS:
            blocks = f"{len(self.dilations)} `dilations` x {self.cycles:,} `cycles`"
            raise UsageError(f"{blocks} are too many blocks: at most {MAX_LAYERS:,}")
        self.require_at_most("receptive_field", MAX_RECEPTIVE_FIELD)
        self.require_one_of("gate", GateName)
        self.require_one_of("norm", RowNormName)
        self.require_fraction("dropout")

    @property
    def receptive_field(self) -> int:
        """The characters that the last block sees through all those below it."""
        return 1 + (self.kernel_size - 1) * self.cycles * sum(self.dilations)

    @property
    def label(self) -> str:
        """Receptive field, blocks and channels, such as "16 (4 blocks) 64/64"."""
        times = f"x{self.cycles}" if self.cycles > 1 else ""
        return f"{self.receptive_field} ({len(self.dilations)}{times} blocks) {self.channels}/{self.skip_channels}"


class Block(nn.Module):
    """One dilated convolution with its gate: (B, T, C) -> the next block's input (B, T, C), the skip output (B, T, S).

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
        """Return the input of the next block (B, T, C) and the skip output (B, T, S)."""
        h = self.norm(x)
        # The first position of a line is a boundary or its label, and so are all positions before it.
        before = h[:, :1].expand(-1, self.conv.reach, -1)
        u = self.drop(self.gate(self.conv(h, before)))
        return x if self.residual is None else x + self.residual(u), self.skip(u)

    def fused(self, x: Tensor, skips: Tensor) -> tuple[Tensor, Tensor]:
        """Run a block that `is_fusable` accepts, with time first: (T, B, C), and the skip sum so far (T, B, S).

        Returns the input of the next block, and the skip sum, which is changed in place.
        """
        assert isinstance(self.norm, RMSNorm)
        assert self.conv.bias is not None
        eps = torch.finfo(x.dtype).eps if self.norm.eps is None else self.norm.eps
        taps = self.conv.weight.permute(2, 1, 0).flip(0) * self.norm.weight[:, None]  # the latest first
        residual = None if self.residual is None else self.residual.weight.T
        out, skips = GatedBlock.apply(  # type: ignore[no-untyped-call]
            x, skips, taps, self.conv.bias, residual, self.skip.weight.T, self.conv.dilation, eps
        )
        return x if out is None else out, skips


FUSABLE = (Block, RMSNorm, CausalConv1d, GatedTanh, nn.Identity, Linear, Linear)
"""The layers of a block by default; the last block has one Linear less."""


def is_fusable(block: nn.Module) -> TypeGuard[Block]:
    """Whether `Block.fused` can run the block: it has the default layers, and they have no hooks."""
    layers = list(block.modules())
    return len(FUSABLE) - 1 <= len(layers) <= len(FUSABLE) and all(map(is_bare, layers, FUSABLE))


class WaveNet(Model):
    """Predict the next character at every position from the `context` ones before it."""

    def __init__(self, vocabulary_size: int, config: WaveNetConfig, num_labels: int = 0) -> None:
        super().__init__(vocabulary_size, num_labels)
        require_kind(config, "config", WaveNetConfig, "a WaveNetConfig")
        self.config: WaveNetConfig = config
        dilations = config.dilations * config.cycles
        self.embedding = Embedding(vocabulary_size + num_labels, config.channels)
        blocks = [Block(config, d, last=number == len(dilations)) for number, d in enumerate(dilations, start=1)]
        self.blocks = nn.ModuleList(blocks)
        s = config.skip_channels
        last = Linear(s, vocabulary_size)
        self.head = Sequential(SiLU(), Linear(s, s), SiLU(), last)
        with torch.no_grad():
            for block in blocks:
                block.skip.weight.div_(len(dilations) ** 0.5)  # so that the skip sum has unit variance
            last.weight.mul_(0.1)  # logits near 0: the loss starts at ln V
        self._kinds = [type(layer) for layer in self.modules()]

    def forward(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Predict the next token at each position, or at the last ones: (B, T) -> (B, T, V)."""
        blocks = [] if needs_plain() or not tokens.numel() else [block for block in self.blocks if is_fusable(block)]
        if len(blocks) < len(self.blocks):
            return self.layer_by_layer(tokens, logits_to_keep)
        x = self.embedding(tokens.T)  # (T, B, C): see nn/kernels/gated_block.py
        skips = x.new_zeros(*x.shape[:2], self.config.skip_channels)
        for block in blocks:
            x, skips = block.fused(x, skips)
        count = len(skips) if logits_to_keep is None else logits_to_keep
        logits: Tensor = self.head(skips[-count:])
        return logits.transpose(0, 1)

    def layer_by_layer(self, tokens: Tensor, logits_to_keep: int | None = None) -> Tensor:
        """Do the same as `forward` by calling every layer, which takes about 10 % longer."""
        x = self.embedding(tokens)  # (B, T, C)
        skips = x.new_zeros(*tokens.shape, self.config.skip_channels)
        for block in self.blocks:
            x, skip = block(x)
            skips = skips + skip
        logits: Tensor = self.head(last_positions(skips, logits_to_keep))
        return logits

    def decoder(self, lines: int, starts: Tensor | None = None) -> Decoder:
        """Start lines that grow by one character per step, after the tokens `starts`, (B,), or after boundaries.

        If a layer was replaced or has hooks, every step is a whole pass, so that the layer is called.
        """
        layers = list(self.modules())
        if runs_as(self, WaveNet) and len(layers) == len(self._kinds) and all(map(is_bare, layers, self._kinds)):
            return WaveNetDecoder(self.stacked_weights(starts), self.start_tokens(lines, starts))
        return super().decoder(lines, starts)

    @torch.no_grad()
    def stacked_weights(self, starts: Tensor | None = None) -> StackedWeights:
        """Stack the weights of all blocks for the decoder; the model must be in eval mode.

        `starts`, (B,), are the tokens that lines begin with, if these are not boundaries.

        A LayerNorm is an RMSNorm of rows whose mean is 0. All rows are if the means are taken out of the embedding and
        of what the blocks add to it.
        """
        assert not self.training
        blocks = [block for block in self.blocks if isinstance(block, Block)]
        norm, c = blocks[0].norm, self.config.channels
        taps = torch.stack([block.conv.weight for block in blocks]).permute(0, 3, 2, 1)  # (L, K, C, 2C)
        bias = torch.stack([block.conv.get_parameter("bias") for block in blocks])  # (L, 2C)
        embedding = self.embedding.weight.detach()
        residual = taps.new_zeros(len(blocks) - 1, c, c)
        for block, rows in zip(blocks, residual, strict=False):
            rows.copy_(block.get_parameter("residual.weight").T)
        eps = None
        if isinstance(norm, RMSNorm | LayerNorm):
            eps = torch.finfo(taps.dtype).eps if norm.eps is None else norm.eps
            if isinstance(norm, LayerNorm):
                shifts = torch.stack([block.norm.get_parameter("bias") for block in blocks])
                bias = bias + torch.einsum("lc,lkco->lo", shifts, taps)
                embedding, residual = (rows - rows.mean(-1, keepdim=True) for rows in (embedding, residual))
            taps = taps * torch.stack([block.norm.get_parameter("weight") for block in blocks])[:, None, :, None]
        normalise = F.layer_norm if isinstance(norm, LayerNorm) else F.rms_norm
        # Lines of one token: (1, 1, C) or, with `starts`, (B, 1, C).
        before, x = [], embedding[None, :1] if starts is None else embedding[starts.to(self.device)][:, None]
        for block in blocks:
            before.append(x[:, 0] if eps is None else normalise(x[:, 0], (c,), eps=eps))
            x, _ = block(x)
        halves = torch.cat([taps.new_ones(c), taps.new_full((c,), 0.5)])  # of the inputs of a gate
        half = 0.5 if self.config.gate == "glu" else 1.0
        hidden, hidden_bias, output, output_bias = (parameter.detach() for parameter in self.head.parameters())
        return StackedWeights(
            dilations=self.config.dilations * self.config.cycles,
            glu=self.config.gate == "glu",
            eps=eps,
            before=torch.stack(before),
            embedding=embedding,
            earlier=taps[:, :-1].flatten(1, 2) * halves,
            latest=taps[:, -1] * halves,
            bias=bias[:, None] * halves,
            residual=residual * half,
            skip=torch.cat([block.skip.weight.T for block in blocks]) * (half / 2),
            hidden=hidden.T / 2,
            hidden_bias=hidden_bias / 2,
            output=output.T,
            output_bias=output_bias,
        )
