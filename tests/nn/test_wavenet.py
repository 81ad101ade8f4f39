"""A WaveNet's fused training path gives the values and gradients of the plain one."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from wavemore.nn.model import _ForwardDecoder
from wavemore.nn.models import build
from wavemore.nn.norms import RMSNorm
from wavemore.nn.wavenet import Block, WaveNet, WaveNetConfig, is_fusable
from wavemore.nn.wavenet_decoder import WaveNetDecoder

SMALL = WaveNetConfig(channels=6, dilations=(1, 2, 4), skip_channels=5)
CONFIGS = [
    SMALL,
    replace(SMALL, kernel_size=1, dilations=(1,)),
    replace(SMALL, kernel_size=3, dilations=(1, 30, 2)),
    replace(SMALL, norm="layer", dilations=(1, 5)),
    replace(SMALL, norm="none", kernel_size=3, dilations=(2,)),
    replace(SMALL, gate="swiglu", norm="none", kernel_size=4, dilations=(3, 30)),
]


def random_model(config: WaveNetConfig) -> WaveNet:
    model = build("wavenet", 9, config, seed=1).double()
    assert isinstance(model, WaveNet)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


def reference(model: WaveNet, tokens: Tensor) -> Tensor:
    """Figure 4 of the paper, by functions of torch alone."""
    x = model.embedding(tokens)
    total: Tensor | float = 0.0
    for block in model.blocks:
        assert isinstance(block, Block)
        h = x
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
def test_values_and_gradients_are_those_of_the_reference(config: WaveNetConfig, lines: int, length: int) -> None:
    model = random_model(config)
    tokens = torch.randint(9, (lines, length), generator=torch.Generator().manual_seed(3))
    weights = torch.randn(lines, length, 9, dtype=torch.float64)
    expected = reference(model, tokens)
    parameters = dict(model.named_parameters())
    expected_gradients = torch.autograd.grad((expected * weights).sum(), list(parameters.values()))
    for forward in (model, model.layer_by_layer):
        logits = forward(tokens)
        torch.testing.assert_close(logits, expected, rtol=1e-11, atol=1e-11)
        gradients = torch.autograd.grad((logits * weights).sum(), list(parameters.values()))
        for name, gradient, other in zip(parameters, gradients, expected_gradients, strict=True):
            assert torch.allclose(gradient, other, rtol=1e-10, atol=1e-10), name


@pytest.mark.parametrize("config", [SMALL, replace(SMALL, gate="swiglu")], ids=["fused", "plain"])
def test_logits_to_keep_are_the_last_positions(config: WaveNetConfig) -> None:
    model, tokens = random_model(config), torch.randint(9, (3, 11))
    torch.testing.assert_close(model(tokens, logits_to_keep=4), model(tokens)[:, -4:])


def test_frozen_weights_get_no_gradient_and_the_others_the_same_one() -> None:
    model, tokens = random_model(SMALL), torch.randint(9, (3, 11))
    model(tokens).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    model.zero_grad()
    model.embedding.requires_grad_(False)
    model.blocks[0].requires_grad_(False)
    model(tokens).square().sum().backward()
    for name, parameter in model.named_parameters():
        expected = None if name.startswith(("embedding", "blocks.0.")) else gradients[name]
        assert parameter.grad is expected or torch.allclose(parameter.grad, expected), name  # type: ignore[arg-type]


def test_dropout_acts_in_training_mode_only() -> None:
    model = random_model(replace(SMALL, dropout=0.5))
    tokens = torch.randint(9, (3, 11))
    torch.testing.assert_close(model.eval()(tokens), reference(model, tokens))
    assert not torch.allclose(model.train()(tokens), reference(model, tokens))


def test_hooks_on_every_layer_are_called() -> None:
    model = random_model(SMALL).eval()
    leaves = {path: layer for path, layer in model.named_modules() if not list(layer.children())}
    calls: list[str] = []
    handles = [
        layer.register_forward_hook(lambda layer, x, y, path=path: calls.append(path)) for path, layer in leaves.items()
    ]
    model(torch.randint(9, (3, 11)))
    assert sorted(calls) == sorted(leaves)
    assert isinstance(model.decoder(3), _ForwardDecoder)
    for handle in handles:
        handle.remove()
    assert all(is_fusable(block) for block in model.blocks)
    assert isinstance(model.decoder(3), WaveNetDecoder)


class Doubled(RMSNorm):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_subclass_of_a_layer_is_obeyed_in_training_and_in_generation() -> None:
    model, tokens = random_model(SMALL).eval(), torch.randint(9, (3, 11))
    tokens[:, 0] = 0
    changed, norm = random_model(SMALL).eval(), Doubled(6).double()
    norm.load_state_dict(changed.get_submodule("blocks.1.norm").state_dict())
    changed.get_submodule("blocks.1").norm = norm
    with torch.no_grad():
        model.get_parameter("blocks.1.norm.weight").mul_(2)
        torch.testing.assert_close(changed(tokens), model(tokens))
        decoder = changed.decoder(3)
        decoder.prefill(tokens[:, 1:])
        torch.testing.assert_close(decoder.logits, model(tokens)[:, -1])
