"""Every normalisation against its torch twin: values, gradients and running statistics, in float64."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from wavemore.errors import ModelError
from wavemore.nn.norms import BatchNorm1d, BatchNorm1dPerPosition, LayerNorm, RMSNorm

C = 5
SHAPES = [(7, C), (4, 6, C), (3, 1, C)]


def channels_last(twin: nn.Module, x: Tensor) -> Tensor:
    """Call torch's BatchNorm1d, which reads (B, C, T), on (B, T, C)."""
    y: Tensor = twin(x.transpose(-1, -2)).transpose(-1, -2) if x.ndim == 3 else twin(x)
    return y


def assert_same(ours: nn.Module, twin: nn.Module, x: Tensor, call: Callable[[nn.Module, Tensor], Tensor]) -> None:
    """Compare values, gradients of input and parameters, and every entry of the state dict."""
    ours_x, twin_x = x.clone().requires_grad_(), x.clone().requires_grad_()
    ours_y, twin_y = ours(ours_x), call(twin, twin_x)
    torch.testing.assert_close(ours_y, twin_y)
    direction = torch.randn_like(twin_y)
    torch.autograd.backward([ours_y, twin_y], [direction, direction])
    torch.testing.assert_close(ours_x.grad, twin_x.grad)
    twin_parameters = dict(twin.named_parameters())
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, twin_parameters[name].grad)
    torch.testing.assert_close(ours.state_dict(), twin.state_dict())


def twins(ours: nn.Module, twin: nn.Module) -> tuple[nn.Module, nn.Module]:
    """Give both layers the same random weights in float64."""
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.normal_()
    twin.load_state_dict(ours.state_dict(), strict=True)
    return ours.double(), twin.double()


@pytest.mark.parametrize("shape", SHAPES)
def test_batch_norm_is_torchs(shape: tuple[int, ...]) -> None:
    ours, twin = twins(BatchNorm1d(C, 1e-4, 0.2), nn.BatchNorm1d(C, 1e-4, 0.2))
    for _ in range(3):
        assert_same(ours, twin, 2 + 3 * torch.randn(shape, dtype=torch.float64), channels_last)
    ours.eval(), twin.eval()
    assert_same(ours, twin, torch.randn(shape, dtype=torch.float64), channels_last)
    assert ours.get_buffer("running_mean").shape == (C,)
    assert ours.get_buffer("num_batches_tracked") == 3


@pytest.mark.parametrize("shape", SHAPES)
def test_layer_norm_is_torchs(shape: tuple[int, ...]) -> None:
    ours, twin = twins(LayerNorm(C), nn.LayerNorm(C))
    assert_same(ours, twin, torch.randn(shape, dtype=torch.float64), lambda layer, x: layer(x))


@pytest.mark.parametrize("eps", [None, 1e-3])
@pytest.mark.parametrize("shape", SHAPES)
def test_rms_norm_is_torchs(shape: tuple[int, ...], eps: float | None) -> None:
    ours, twin = twins(RMSNorm(C, eps), nn.RMSNorm(C, eps))
    assert_same(ours, twin, torch.randn(shape, dtype=torch.float64), lambda layer, x: layer(x))


def test_counts_are_the_same_as_repeated_rows() -> None:
    counts = torch.tensor([1, 4, 2])
    weighed, repeated = twins(BatchNorm1d(C), BatchNorm1d(C))
    x = torch.randn(3, C, dtype=torch.float64, requires_grad=True)
    from_counts = weighed(x, counts.float()).repeat_interleave(counts, dim=0)
    from_rows = repeated(x.repeat_interleave(counts, dim=0))
    torch.testing.assert_close(from_counts, from_rows)
    torch.testing.assert_close(weighed.state_dict(), repeated.state_dict())
    direction = torch.randn(7, C, dtype=torch.float64)
    [one] = torch.autograd.grad(from_counts, x, direction)
    [other] = torch.autograd.grad(from_rows, x, direction)
    torch.testing.assert_close(one, other)


def test_one_distinct_row_that_occurs_several_times_is_a_batch() -> None:
    norm = BatchNorm1d(C)
    torch.testing.assert_close(norm(torch.randn(1, C), torch.tensor([9.0])), torch.zeros(1, C))


def test_a_training_step_on_a_constant_channel_stays_finite() -> None:
    x = torch.ones(4, C, requires_grad=True)
    torch.autograd.backward(BatchNorm1d(C)(x).sum())
    assert x.grad is not None
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("x", [torch.zeros(1, C), torch.zeros(1, 1, C), torch.zeros(0, C)])
def test_batch_norm_refuses_to_train_on_one_row(x: Tensor) -> None:
    with pytest.raises(ModelError, match="at least two rows"):
        BatchNorm1d(C)(x)


def test_batch_norm_refuses_one_row_that_occurs_once() -> None:
    with pytest.raises(ModelError, match="at least two rows"):
        BatchNorm1d(C)(torch.zeros(1, C), torch.tensor([1.0]))


def test_batch_norm_refuses_counts_of_other_rows() -> None:
    with pytest.raises(ModelError, match=r"3 rows .* \(2,\)"):
        BatchNorm1d(C)(torch.zeros(3, C), torch.ones(2))


def test_batch_norm_refuses_eval_mode_before_any_training() -> None:
    norm = BatchNorm1d(C).eval()
    with pytest.raises(ModelError, match="no running statistics"):
        norm(torch.zeros(3, C))
    norm.train()(torch.randn(3, C))
    norm.eval()(torch.zeros(1, C))


@pytest.mark.parametrize("layer", [BatchNorm1d(C), LayerNorm(C), RMSNorm(C)])
def test_norms_refuse_other_channels(layer: nn.Module) -> None:
    with pytest.raises(ModelError, match=rf"{type(layer).__name__} takes 5 channels .* \(2, 1\)"):
        layer(torch.zeros(2, 1))


def test_the_lectures_bug_is_a_batch_norm_of_every_position_alone() -> None:
    ours, twin = BatchNorm1dPerPosition(C, positions=3).double(), nn.BatchNorm1d(3 * C).double()
    with torch.no_grad():
        ours.weight.normal_(), ours.bias.normal_()
        twin.weight.copy_(ours.weight.repeat(3)), twin.bias.copy_(ours.bias.repeat(3))
    for training in (True, True, False):
        ours.train(training), twin.train(training)
        x = torch.randn(6, 3, C, dtype=torch.float64)
        torch.testing.assert_close(ours(x), twin(x.flatten(1)).view(6, 3, C))
    torch.testing.assert_close(ours.running_var.flatten(), twin.running_var)
    whole = BatchNorm1d(C).double()
    assert not torch.allclose(ours.train()(x), whole(x))


def test_the_lectures_bug_refuses_other_positions_and_single_rows() -> None:
    norm = BatchNorm1dPerPosition(C, positions=3)
    for x in (torch.zeros(6, 2, C), torch.zeros(1, 3, C), torch.zeros(6, 3, 4)):
        with pytest.raises(ModelError):
            norm(x)
    with pytest.raises(ModelError, match="train first"):
        norm.eval()(torch.zeros(6, 3, C))
    assert "positions=3" in repr(norm)
