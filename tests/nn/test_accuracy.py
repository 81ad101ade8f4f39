"""Values and gradients are accurate at every size of their inputs, in every dtype, and not only around 1."""

from math import log10

import numpy as np
import pytest
import torch
from torch import Tensor

from wavemore.engine.batcher import nats_of
from wavemore.nn.activations import GatedTanh, Tanh
from wavemore.nn.models import build
from wavemore.nn.wavenet import Block, WaveNetConfig

DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def magnitudes(dtype: torch.dtype) -> Tensor:
    """Return numbers of both signs from 1e-30 to 80."""
    positive = torch.logspace(-30, log10(80), 20_001, dtype=torch.float64)
    return torch.cat([positive, -positive]).to(dtype)


def units(y: Tensor, exact: np.ndarray[tuple[int, ...], np.dtype[np.longdouble]]) -> float:
    """Return the largest error in units in the last place."""
    numbers = torch.finfo(y.dtype)
    sizes = np.maximum(np.abs(exact), numbers.tiny)
    unit = np.exp2(np.floor(np.log2(sizes))) * np.longdouble(numbers.eps)
    return float((np.abs(y.detach().double().numpy() - exact) / unit).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_exact_to_two_units(dtype: torch.dtype) -> None:
    x = magnitudes(dtype).requires_grad_()
    y = Tanh()(x)
    exact = np.tanh(x.detach().double().numpy().astype(np.longdouble))
    assert units(y, exact) <= 2
    [gradient] = torch.autograd.grad(y.sum(), x)
    small = x.detach().abs() < 0.1  # near 1, 1 - tanh^2 has the error of tanh
    assert units(gradient[small], (1 - exact**2)[small.numpy()]) <= 2


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_gate_of_a_wavenet_is_exact_to_three_units(
    dtype: torch.dtype, traced: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if traced:
        monkeypatch.setattr("wavemore.nn.activations.needs_plain", lambda: True)
    a = magnitudes(dtype)
    b = a[torch.randperm(len(a))]
    exact_a, exact_b = (x.double().numpy().astype(np.longdouble) for x in (a, b))
    exact = np.tanh(exact_a) / (1 + np.exp(-exact_b))
    assert units(GatedTanh()(torch.stack([a, b], dim=1))[:, 0], exact) <= 3  # a product of two


@pytest.mark.parametrize("size", [1e-6, 1e-3, 1.0])
@torch.no_grad()
def test_a_block_of_a_wavenet_is_as_accurate_in_float32_for_small_inputs(size: float) -> None:
    model = build("wavenet", 5, WaveNetConfig(channels=8, skip_channels=8, dilations=(1, 2)), seed=0)
    block = model.get_submodule("blocks.0")
    assert isinstance(block, Block)
    block.norm.get_parameter("weight").mul_(size)
    x, skips = torch.randn(6, 3, 8), torch.zeros(6, 3, 8)
    _, expected = block.double()(x.double().transpose(0, 1))
    expected = expected.transpose(0, 1)
    _, computed = block.float().fused(x, skips)
    assert float((computed - expected).abs().max() / expected.abs().max()) < 1e-5


def test_the_nats_of_a_likely_character_are_accurate_for_large_logits() -> None:
    logits = torch.tensor([[1000.0, 990.0, 991.0]], dtype=torch.float64)
    exact = nats_of(logits, torch.tensor([0]))
    torch.testing.assert_close(nats_of(logits.float(), torch.tensor([0])).double(), exact, rtol=1e-3, atol=0)
