"""Every layer against its torch twin, values and gradients in float64, in two and three dimensions."""

import math

import pytest
import torch
from torch import Tensor, nn

from wavemore.errors import ModelError, UsageError
from wavemore.nn.activations import ACTIVATIONS, GATES
from wavemore.nn.kernels.gated_block import convolve, convolve_backward
from wavemore.nn.layers import CausalConv1d, Dropout, Embedding, FlattenConsecutive, Linear, Sequential

TORCH_ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU}


def randn(*shape: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, requires_grad=True)


def assert_same(ours_y: Tensor, twin_y: Tensor, inputs: list[Tensor], twin_inputs: list[Tensor]) -> None:
    torch.testing.assert_close(ours_y, twin_y)
    direction = torch.randn_like(twin_y)
    ours_grads = torch.autograd.grad(ours_y, inputs, direction)
    twin_grads = torch.autograd.grad(twin_y, twin_inputs, direction)
    torch.testing.assert_close(ours_grads, twin_grads)


@pytest.mark.parametrize("shape", [(5, 6), (5, 3, 6), (0, 6)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_torchs(shape: tuple[int, ...], bias: bool) -> None:
    ours, twin = Linear(6, 4, bias).double(), nn.Linear(6, 4, bias).double()
    twin.load_state_dict(ours.state_dict())
    x = randn(*shape)
    assert_same(ours(x), twin(x), [x, *ours.parameters()], [x, *twin.parameters()])


@pytest.mark.parametrize("shape", [(9,), (5, 8), (2, 3, 4)])
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
def test_embedding_is_torchs(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    ours, twin = Embedding(7, 3).double(), nn.Embedding(7, 3).double()
    twin.load_state_dict(ours.state_dict())
    tokens = torch.randint(7, shape, dtype=dtype)
    assert_same(ours(tokens), twin(tokens), [*ours.parameters()], [*twin.parameters()])


def test_embedding_refuses_a_token_outside_its_rows() -> None:
    with pytest.raises(IndexError):
        Embedding(7, 3)(torch.tensor([7]))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_torchs(name: str) -> None:
    x = torch.cat([torch.zeros(1, dtype=torch.float64), torch.linspace(-20, 20, 99, dtype=torch.float64)])
    x.requires_grad_()
    assert_same(ACTIVATIONS[name]()(x), TORCH_ACTIVATIONS[name]()(x), [x], [x])


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 5])
@pytest.mark.parametrize("bias", [True, False])
def test_causal_conv_is_torchs_on_a_padded_line(kernel_size: int, dilation: int, bias: bool) -> None:
    ours = CausalConv1d(3, 4, kernel_size, dilation, bias).double()
    twin = nn.Conv1d(3, 4, kernel_size, dilation=dilation, bias=bias).double()
    twin.load_state_dict(ours.state_dict())
    x = randn(2, 7, 3)
    padded = nn.functional.pad(x.transpose(1, 2), ((kernel_size - 1) * dilation, 0))
    twin_y = twin(padded).transpose(1, 2)
    assert_same(ours(x), twin_y, [x, *ours.parameters()], [x, *twin.parameters()])
    torch.testing.assert_close(ours(x[0]), twin_y[0])


@pytest.mark.parametrize("kernel_size", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 5, 9])
def test_the_convolution_with_time_first_is_the_layer(kernel_size: int, dilation: int) -> None:
    layer = CausalConv1d(3, 4, kernel_size, dilation).double()
    x = randn(2, 7, 3)
    expected = layer(x, x[:, :1].expand(-1, layer.reach, -1))  # before the first position are copies of it
    time_first, taps = x.detach().transpose(0, 1), layer.weight.detach().permute(2, 1, 0).flip(0)
    y = convolve(time_first, taps, layer.get_parameter("bias"), dilation)
    torch.testing.assert_close(y.transpose(0, 1), expected)

    direction = torch.randn_like(y)
    dx, dtaps = convolve_backward(time_first, taps.contiguous(), dilation, direction)
    expected_dx, expected_dweight = torch.autograd.grad(expected, [x, layer.weight], direction.transpose(0, 1))
    torch.testing.assert_close(dx.transpose(0, 1), expected_dx)
    torch.testing.assert_close(dtaps.flip(0).permute(2, 1, 0), expected_dweight)


def test_causal_conv_never_looks_ahead() -> None:
    conv = CausalConv1d(3, 4, kernel_size=3, dilation=2)
    x = torch.randn(1, 9, 3)
    changed = x.clone()
    changed[:, 5] += 1
    moved = (conv(x) != conv(changed)).any(-1).squeeze(0)
    assert moved.tolist() == [t in (5, 7) for t in range(9)]


@pytest.mark.parametrize("layer", [Linear(400, 500), CausalConv1d(100, 500, 4)])
def test_fresh_weights_keep_unit_variance(layer: Linear | CausalConv1d) -> None:
    assert layer.weight.std().item() * math.sqrt(400) == pytest.approx(1, abs=0.01)
    assert layer.bias is not None
    assert not layer.bias.any()


def test_fresh_embeddings_have_unit_variance() -> None:
    assert Embedding(500, 100).weight.std().item() == pytest.approx(1, abs=0.02)


def test_flatten_consecutive_concatenates_neighbours() -> None:
    x = torch.randn(4, 8, 10)
    fused = FlattenConsecutive(2)(x)
    torch.testing.assert_close(fused, torch.cat([x[:, ::2], x[:, 1::2]], dim=2), rtol=0, atol=0)
    torch.testing.assert_close(FlattenConsecutive(2)(x[0]), fused[0], rtol=0, atol=0)


@pytest.mark.parametrize(("n", "shape"), [(1, (4, 8, 10)), (2, (4, 4, 20)), (8, (4, 1, 80))])
def test_flatten_consecutive_never_squeezes(n: int, shape: tuple[int, ...]) -> None:
    assert FlattenConsecutive(n)(torch.zeros(4, 8, 10)).shape == shape


def test_flatten_consecutive_names_both_numbers() -> None:
    with pytest.raises(ModelError, match="8 positions cannot be fused 3 at a time"):
        FlattenConsecutive(3)(torch.zeros(4, 8, 10))


@pytest.mark.parametrize("p", [0.0, 0.25, 0.9])
def test_dropout_draws_torchs_mask(p: float) -> None:
    x = randn(50, 4)
    torch.manual_seed(7)
    ours_y = Dropout(p)(x)
    torch.manual_seed(7)
    assert_same(ours_y, nn.Dropout(p)(x), [x], [x])


def test_dropout_keeps_the_mean_and_drops_the_fraction() -> None:
    y = Dropout(0.3)(torch.ones(100_000))
    assert y.mean().item() == pytest.approx(1, abs=0.01)
    assert (y == 0).float().mean().item() == pytest.approx(0.3, abs=0.01)


def test_dropout_does_nothing_in_eval_mode_or_with_p_0() -> None:
    x = torch.randn(5, 4)
    assert Dropout(0.5).eval()(x) is x
    assert Dropout(0.0)(x) is x


@pytest.mark.parametrize("p", [-0.1, 1.0, math.nan])
def test_dropout_refuses_a_p_outside_0_to_1(p: float) -> None:
    with pytest.raises(UsageError, match="at least 0 and below 1"):
        Dropout(p)


def test_sequential_has_torchs_keys_and_order() -> None:
    ours = Sequential(Linear(3, 4), ACTIVATIONS["tanh"](), Linear(4, 2))
    twin = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    twin.load_state_dict(ours.state_dict())
    x = torch.randn(6, 3)
    torch.testing.assert_close(ours(x), twin(x))


@pytest.mark.parametrize("layer", [Linear(3, 4), CausalConv1d(3, 4, 2)])
def test_layers_refuse_other_channels(layer: nn.Module) -> None:
    with pytest.raises(ModelError, match=r"takes 3 channels .* \(2, 5, 4\)"):
        layer(torch.zeros(2, 5, 4))


def test_impossible_sizes_are_refused() -> None:
    with pytest.raises(UsageError, match="`n` is 0"):
        FlattenConsecutive(0)
    with pytest.raises(UsageError, match="are 2 and 0"):
        CausalConv1d(3, 4, kernel_size=2, dilation=0)


@pytest.mark.parametrize(("kernel_size", "dilation"), [(2, 1), (2, 8), (3, 4), (5, 2), (1, 3)])
def test_a_convolution_is_that_of_the_published_tcn(kernel_size: int, dilation: int) -> None:
    """Bai et al., https://arxiv.org/abs/1803.01271: padded on both sides, then cut at the end."""
    reach = (kernel_size - 1) * dilation
    theirs = torch.nn.Conv1d(3, 5, kernel_size, padding=reach, dilation=dilation).double()
    ours = CausalConv1d(3, 5, kernel_size, dilation).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(4, 11, 3, dtype=torch.float64)
    cut = theirs(x.mT)[:, :, : -reach or None].mT
    torch.testing.assert_close(ours(x), cut, rtol=1e-12, atol=1e-12)
    before = torch.randn(4, reach, 3, dtype=torch.float64)  # in place of zeros
    longer = ours(torch.cat([before, x], dim=1))[:, reach:]
    torch.testing.assert_close(ours(x, before), longer, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", GATES)
def test_a_gate_is_its_formula_and_its_gradient_too(name: str) -> None:
    x = torch.randn(3, 4, 10, dtype=torch.float64, requires_grad=True)
    a, b = x.chunk(2, dim=-1)
    expected = torch.tanh(a) * torch.sigmoid(b) if name == "glu" else a * b * torch.sigmoid(b)
    torch.testing.assert_close(GATES[name]()(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(GATES[name](), (x,))
