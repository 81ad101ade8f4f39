"""A WaveNet one character at a time, in numpy and in torch."""

import pytest
import torch

from wavemore.nn.models import build
from wavemore.nn.wavenet import WaveNet, WaveNetConfig
from wavemore.nn.wavenet_decoder import WaveNetDecoder

CONFIGS = [
    WaveNetConfig(channels=6, dilations=(1, 2, 4), skip_channels=5, gate=gate, norm=norm, kernel_size=kernel_size)
    for gate in ("glu", "swiglu")
    for norm in ("rms", "layer", "none")
    for kernel_size in (1, 2, 3)
] + [
    WaveNetConfig(channels=3, dilations=(5,), kernel_size=4),
    WaveNetConfig(channels=3, dilations=(1, 20, 7, 60), cycles=2),  # rings that fill up at different times
]


def random_model(config: WaveNetConfig) -> WaveNet:
    model = build("wavenet", 9, config, seed=1).double().eval()
    assert isinstance(model, WaveNet)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


def decoder_for(model: WaveNet, lines: int, with_numpy: bool = True) -> WaveNetDecoder:
    return WaveNetDecoder(model.stacked_weights(), torch.zeros(lines, dtype=torch.int64), with_numpy)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("with_numpy", [True, False], ids=["numpy", "torch"])
@torch.no_grad()
def test_each_step_gives_the_logits_of_a_full_pass(config: WaveNetConfig, with_numpy: bool) -> None:
    model = random_model(config)
    random = torch.Generator().manual_seed(3)
    tokens = torch.zeros(1, 1, dtype=torch.int64)
    decoder = decoder_for(model, 1, with_numpy)
    for t in range(1, 150):
        lines = {10: 2, 11: 5, 40: 1, 100: 4}.get(t)
        if lines:
            rows = torch.randint(len(tokens), (lines,), generator=random)
            decoder.select(rows)
            tokens = tokens[rows]
        tokens = torch.cat([tokens, torch.randint(9, (len(tokens), 1), generator=random)], dim=1)
        logits = decoder.step(tokens[:, -1])
        torch.testing.assert_close(logits, model(tokens)[:, -1], rtol=1e-11, atol=1e-11)
        assert logits is decoder.logits


@pytest.mark.parametrize("with_numpy", [True, False], ids=["numpy", "torch"])
@torch.no_grad()
def test_a_step_does_not_change_earlier_logits(with_numpy: bool) -> None:
    decoder = decoder_for(random_model(WaveNetConfig(channels=4)), 2, with_numpy)
    first = decoder.logits
    copy = first.clone()
    decoder.step(torch.tensor([1, 2]))
    assert torch.equal(first, copy)
    assert not torch.equal(first, decoder.logits)


@torch.no_grad()
def test_rings_grow_with_the_lines() -> None:
    decoder = decoder_for(random_model(WaveNetConfig(channels=4, dilations=(1, 100_000))), lines=3)
    for _ in range(40):
        decoder.step(torch.tensor([1, 2, 3]))
    assert decoder._rings.numel() < 100 * 3 * 4


@pytest.mark.parametrize("with_numpy", [True, False], ids=["numpy", "torch"])
@torch.no_grad()
def test_a_token_outside_the_vocabulary_is_an_error(with_numpy: bool) -> None:
    with pytest.raises(IndexError):
        decoder_for(random_model(WaveNetConfig(channels=4)), 1, with_numpy).step(torch.tensor([9]))


def test_bfloat16_weights_which_numpy_does_not_have() -> None:
    model = random_model(WaveNetConfig(channels=4)).bfloat16()
    decoder = model.decoder(2)
    tokens = torch.tensor([[0, 1, 2, 3], [0, 4, 5, 6]])
    decoder.prefill(tokens[:, 1:])
    torch.testing.assert_close(decoder.logits, model(tokens)[:, -1], rtol=0.1, atol=0.1)
