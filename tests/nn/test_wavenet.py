"""A WaveNet's fast training form says what the plain form says, and moves its weights the same way."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from wavemore.nn.config import WaveNetConfig
from wavemore.nn.models import build
from wavemore.nn.wavenet import Block, WaveNet

SMALL = WaveNetConfig(channels=6, dilations=(1, 2, 4), skip_channels=5)
CONFIGS = [
    SMALL,
    replace(SMALL, kernel_size=1, dilations=(1,)),
    replace(SMALL, kernel_size=3, dilations=(1, 30, 2)),
    replace(SMALL, norm="layer", dilations=(1, 5)),
    replace(SMALL, norm="none", kernel_size=3, dilations=(2,)),
    replace(SMALL, gate="swiglu"),
    replace(SMALL, gate="swiglu", norm="layer", kernel_size=1, dilations=(1, 2)),
    replace(SMALL, gate="swiglu", norm="none", kernel_size=4, dilations=(3, 30)),
]


def ready(config: WaveNetConfig) -> WaveNet:
    model = build("wavenet", 9, config, seed=1).double()
    assert isinstance(model, WaveNet)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


def plain(model: WaveNet, tokens: Tensor) -> Tensor:
    """As figure 4 of the paper has it, with time in the middle and every step in a line of its own."""
    x = model.embedding(tokens)
    total: Tensor | float = 0.0
    for block in model.blocks:
        assert isinstance(block, Block)
        h = block.norm(x)
        if model.config.norm != "none":
            twin = nn.RMSNorm(x.shape[-1]) if model.config.norm == "rms" else nn.LayerNorm(x.shape[-1])
            h = torch.func.functional_call(twin.double(), dict(block.norm.named_parameters()), (x,))
        padded = torch.cat([h[:, :1].expand(-1, block.conv.reach, -1), h], dim=1)
        z = nn.functional.conv1d(padded.mT, block.conv.weight, block.conv.bias, dilation=block.conv.dilation).mT
        a, b = z.chunk(2, dim=-1)
        u = a.tanh() * b.sigmoid() if model.config.gate == "glu" else a * nn.functional.silu(b)
        total = total + block.skip(u)
        x = x if block.residual is None else x + block.residual(u)
    logits: Tensor = model.head(total)
    return logits


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize(("lines", "length"), [(3, 11), (1, 1), (2, 70)])
def test_values_and_gradients_are_those_of_the_plain_form(config: WaveNetConfig, lines: int, length: int) -> None:
    model = ready(config)
    tokens = torch.randint(9, (lines, length), generator=torch.Generator().manual_seed(3))
    weights = torch.randn(lines, length, 9, dtype=torch.float64)
    found, expected = model(tokens), plain(model, tokens)
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    parameters = list(model.parameters())
    ours, theirs = (torch.autograd.grad((y * weights).sum(), parameters) for y in (found, expected))
    for (name, _), mine, other in zip(model.named_parameters(), ours, theirs, strict=True):
        assert torch.allclose(mine, other, rtol=1e-10, atol=1e-10), name


def test_the_last_positions_alone_are_the_last_of_all() -> None:
    model, tokens = ready(CONFIGS[0]), torch.randint(9, (3, 11))
    torch.testing.assert_close(model.logits_at_last(tokens, 4), model(tokens)[:, -4:])


def test_frozen_weights_get_no_gradient_and_the_others_theirs() -> None:
    model, tokens = ready(CONFIGS[0]), torch.randint(9, (3, 11))
    model(tokens).square().sum().backward()
    whole = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.embedding.requires_grad_(False)
    model.blocks[0].requires_grad_(False)
    model(tokens).square().sum().backward()
    for name, parameter in model.named_parameters():
        expected = None if name.startswith(("embedding", "blocks.0.")) else whole[name]
        assert parameter.grad is expected or torch.allclose(parameter.grad, expected), name  # type: ignore[arg-type]


def test_dropout_drops_in_training_alone() -> None:
    model = ready(WaveNetConfig(channels=6, dilations=(1, 2), dropout=0.5))
    tokens = torch.randint(9, (3, 11))
    torch.testing.assert_close(model.eval()(tokens), plain(model, tokens))
    assert not torch.allclose(model.train()(tokens), plain(model, tokens))
