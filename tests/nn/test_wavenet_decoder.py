"""A WaveNet a character at a time: both ways of computing a step, and the change from one to the other."""

import pytest
import torch

from wavemore.nn import wavenet_decoder as wavenet_stream
from wavemore.nn.config import WaveNetConfig
from wavemore.nn.models import build
from wavemore.nn.wavenet import WaveNet

CONFIGS = [
    WaveNetConfig(channels=6, dilations=(1, 2, 4), skip_channels=5, gate=gate, norm=norm, kernel_size=kernel_size)
    for gate in ("glu", "swiglu")
    for norm in ("rms", "layer", "none")
    for kernel_size in (1, 2, 3)
] + [
    WaveNetConfig(channels=3, dilations=(5,), kernel_size=4),
    WaveNetConfig(channels=3, dilations=(1, 20, 7, 60), cycles=2),  # rings that fill up at different times
]


def ready(config: WaveNetConfig) -> WaveNet:
    model = build("wavenet", 9, config, seed=1).double().eval()
    assert isinstance(model, WaveNet)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=random, dtype=torch.float64))
    return model


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("few", [0, 2, 100], ids=["torch", "one after the other", "numpy"])
@torch.no_grad()
def test_each_step_says_what_a_full_pass_says(config: WaveNetConfig, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wavenet_stream, "FEW", few)
    model = ready(config)
    random = torch.Generator().manual_seed(3)
    tokens = torch.zeros(1, 1, dtype=torch.int64)
    stream = model.stream(1)
    for t in range(1, 150):
        lines = {10: 2, 11: 5, 40: 1, 100: 4}.get(t)
        if lines:
            rows = torch.randint(len(tokens), (lines,), generator=random)
            stream.keep(rows)
            tokens = tokens[rows]
        tokens = torch.cat([tokens, torch.randint(9, (len(tokens), 1), generator=random)], dim=1)
        said = stream.step(tokens[:, -1])
        torch.testing.assert_close(said, model(tokens)[:, -1], rtol=1e-11, atol=1e-11)
        assert said is stream.logits


@torch.no_grad()
def test_what_was_said_stays_as_it_is() -> None:
    stream = ready(WaveNetConfig(channels=4)).stream(2)
    first = stream.logits
    copy = first.clone()
    stream.step(torch.tensor([1, 2]))
    assert torch.equal(first, copy)
    assert not torch.equal(first, stream.logits)


@torch.no_grad()
def test_rings_take_no_more_than_lines_need() -> None:
    stream = wavenet_stream.WaveNetStream(ready(WaveNetConfig(channels=4, dilations=(1, 100_000))), lines=3)
    for _ in range(40):
        stream.step(torch.tensor([1, 2, 3]))
    assert stream._rings.numel() < 100 * 3 * 4


@torch.no_grad()
def test_a_token_that_is_none_is_an_error() -> None:
    with pytest.raises(IndexError):
        ready(WaveNetConfig(channels=4)).stream(1).step(torch.tensor([9]))


@pytest.mark.parametrize("more", [{}, {"kernel_size": 3, "cycles": 2}, {"norm": "none", "gate": "swiglu"}])
def test_layer_by_layer_says_the_same(more: dict[str, object]) -> None:
    config = WaveNetConfig(channels=6, skip_channels=5, dilations=(1, 2, 4), **more)  # type: ignore[arg-type]
    model = WaveNet(9, config)
    tokens = torch.randint(1, 9, (3, 11))
    tokens[:, 0] = 0
    torch.testing.assert_close(model.layer_by_layer(tokens), model(tokens))
