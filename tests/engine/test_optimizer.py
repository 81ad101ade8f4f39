"""The optimizers against those of torch, which parameters each one trains, and resuming from a state."""

import copy
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any

import pytest
import torch
from torch import Tensor

from wavemore.engine import optimizer as module
from wavemore.engine.optimizer import SGD, AdamW, Muon, Optimizers, hidden_matrices, orthogonal
from wavemore.engine.recipe import Recipe
from wavemore.nn.tree import Tree, TreeConfig

KINDS: list[Any] = ["muon", "adamw", "sgd"]
STEADY = Recipe(steps=100, learning_rate=0.1, adamw_learning_rate=0.03, schedule="constant", warmup_fraction=0.0)


@pytest.fixture
def model(lively: Callable[..., Tree]) -> Tree:
    return lively(TreeConfig(fuse=(2, 2), embedding=4, hidden=8))


def give_gradients(parameters: Sequence[Tensor], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.grad = torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)


def parameters_of(model: Tree) -> list[Tensor]:
    return list(model.parameters())


def some_parameters() -> tuple[list[Tensor], list[Tensor]]:
    ours = [torch.randn(shape, dtype=torch.float64) for shape in ((5, 3), (7,), (3, 5), (3, 5))]
    return ours, [tensor.clone() for tensor in ours]


SCALES = (1.0, 0.3, 0.7, 0.01, 1.0)


def compare(ours: Muon | AdamW | SGD, twin: torch.optim.Optimizer, lr: float, atol: float) -> None:
    """Take the same steps with both, on parameters that began equal."""
    own = ours.parameters
    other = [parameter for group in twin.param_groups for parameter in group["params"]]
    for seed, scale in enumerate(SCALES):
        give_gradients(own, seed)
        give_gradients(other, seed)
        ours.step(scale)
        for group in twin.param_groups:
            group["lr"] = lr * scale
        twin.step()
        for one, two in zip(own, other, strict=True):
            torch.testing.assert_close(one, two, rtol=0, atol=atol)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_adamw_is_torchs(decay: float) -> None:
    own, other = some_parameters()
    twin = torch.optim.AdamW(other, lr=0.05, betas=(0.9, 0.99), weight_decay=decay)
    compare(AdamW(own, 0.05, decay), twin, 0.05, atol=1e-12)


@pytest.mark.parametrize("decay", [0.0, 0.2])
def test_sgd_is_torchs(decay: float) -> None:
    own, other = some_parameters()
    compare(SGD(own, 0.05, decay), torch.optim.SGD(other, lr=0.05, weight_decay=decay), 0.05, atol=1e-12)


@pytest.mark.parametrize("fast_bfloat16", [True, False])
def test_muon_is_torchs(fast_bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda: fast_bfloat16)
    own, other = ([tensor for tensor in tensors if tensor.ndim == 2] for tensors in some_parameters())
    twin = torch.optim.Muon(other, lr=0.05, weight_decay=0.2)
    monkeypatch.setattr(module, "NEWTON_SCHULZ", 5 * ((3.4445, -4.7750, 2.0315),))  # torch's
    monkeypatch.setattr(module, "MARGIN", 1.0)
    compare(Muon(own, 0.05, 0.2), twin, 0.05, atol=0.1 * 0.05)  # torch works in bfloat16: some percent of a step


@pytest.mark.parametrize("shape", [(4, 9), (9, 4), (6, 6), (1, 5), (4, 16), (16, 4)])
def test_orthogonal_moves_every_singular_value_to_about_one(shape: tuple[int, int]) -> None:
    matrices = [1e3 * torch.randn(shape), torch.randn(3, 8), 1e-3 * torch.randn(shape)]
    for matrix, result in zip(matrices, orthogonal(matrices), strict=True):
        u, _, v = torch.linalg.svd(matrix, full_matrices=False)
        moved = u.T @ result @ v.T  # diagonal: the singular vectors stay
        assert result.shape == matrix.shape
        assert moved.diagonal().min() > 0.5
        assert moved.diagonal().max() < 1.3
        assert (moved - moved.diagonal().diag()).abs().max() < 0.03


@pytest.mark.parametrize("columns", [9, 12, 40])
def test_orthogonal_is_newton_schulz_in_the_type_of_the_weights(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda: False)  # as on a CPU without bfloat16
    matrix = torch.randn(4, columns, dtype=torch.float64)
    x = matrix / (module.MARGIN * matrix.norm())
    for linear, cubic, quintic in module.NEWTON_SCHULZ:
        gram = x @ x.T
        x = linear * x + (cubic * gram + quintic * gram @ gram) @ x
    torch.testing.assert_close(orthogonal([matrix])[0], x, rtol=0, atol=1e-12)
    torch.testing.assert_close(orthogonal([matrix.T])[0], x.T, rtol=0, atol=1e-12)
    torch.testing.assert_close(orthogonal([matrix, matrix])[1], x, rtol=0, atol=1e-12)


def test_no_other_polynomials_bring_the_singular_values_closer_to_one() -> None:
    least, most = 0.01, 1.0
    for linear, cubic, quintic in module.NEWTON_SCHULZ:
        x = torch.linspace(least, most, 100_001, dtype=torch.float64)
        error = linear * x + cubic * x**3 + quintic * x**5 - 1
        largest = error.abs().max()
        inner = error[1:-1][(error[2:] - error[1:-1]) * (error[1:-1] - error[:-2]) <= 0]
        extremes = torch.stack([error[0], *inner, error[-1]])
        # Chebyshev: a polynomial of three terms is the best one if its error is largest four times, by turns.
        signs = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
        torch.testing.assert_close(extremes, largest * signs, rtol=0.01, atol=0)  # four digits are written down
        least, most = float(1 - largest), float(1 + largest)
    assert least == pytest.approx(0.73, abs=0.005)
    assert most == pytest.approx(1.27, abs=0.005)


@pytest.mark.parametrize("fast_bfloat16", [True, False])
def test_a_matrix_of_rank_one_does_not_overshoot(fast_bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda: fast_bfloat16)
    for shape in ((384, 1_536), (64, 64), (1_536, 384)):
        assert torch.linalg.matrix_norm(orthogonal([torch.ones(shape)])[0], ord=2) < 1.3


def test_small_singular_values_of_a_wide_matrix_survive_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "fast_bfloat16", lambda: False)
    u, v = (torch.linalg.qr(torch.randn(size, 64, dtype=torch.float64))[0] for size in (64, 256))
    matrix = u * torch.logspace(0, -6, 64, dtype=torch.float64) @ v.T
    exact = orthogonal([matrix])[0]
    assert (orthogonal([matrix.float()])[0] - exact).abs().max() < 1e-3 * exact.abs().max()


def test_a_matrix_without_a_gradient_to_speak_of_stays_finite() -> None:
    assert orthogonal([torch.zeros(3, 4)])[0].tolist() == torch.zeros(3, 4).tolist()


def test_the_hidden_matrices_are_those_between_embedding_and_output(model: Tree) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert [names[id(matrix)] for matrix in hidden_matrices(model)] == ["layers.2.weight", "layers.6.weight"]


def test_muon_turns_the_hidden_matrices_and_adamw_the_rest(model: Tree) -> None:
    before = copy.deepcopy(model)
    give_gradients(parameters_of(model), seed=0)
    Optimizers(model, Recipe(**vars(STEADY) | {"weight_decay": 0.0})).step(1.0)
    hidden = {id(matrix) for matrix in hidden_matrices(model)}
    for parameter, old in zip(model.parameters(), before.parameters(), strict=True):
        change = (parameter - old).detach()
        if id(parameter) in hidden:
            rows, columns = change.shape
            singular_values = torch.linalg.svdvals(change) / (0.1 * sqrt(max(1, rows / columns)))
            assert singular_values.min() > 0.5
            assert singular_values.max() < 1.3
        else:  # the first step of Adam goes down by the learning rate, whatever the gradient's size
            assert parameter.grad is not None
            torch.testing.assert_close(change, -0.03 * parameter.grad.sign(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_weight_decay_is_for_the_hidden_matrices_only(model: Tree, kind: Any) -> None:
    before = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    Optimizers(model, Recipe(**vars(STEADY) | {"optimizer": kind, "weight_decay": 0.5})).step(1.0)
    hidden = {id(matrix) for matrix in hidden_matrices(model)}
    for parameter, old in zip(model.parameters(), before.parameters(), strict=True):
        factor = 1 - 0.1 * 0.5 if id(parameter) in hidden else 1.0
        torch.testing.assert_close(parameter, old * factor, rtol=0, atol=1e-15)


def test_the_schedule_scales_the_steps(model: Tree) -> None:
    recipe = Recipe(optimizer="sgd", steps=4, learning_rate=0.1, weight_decay=0.0, schedule="step", warmup_fraction=0.0)
    optimizers = Optimizers(model, recipe)
    give_gradients(parameters_of(model), seed=0)
    for step, rate in ((0, 0.1), (2, 0.1), (3, 0.01)):
        before = [parameter.detach().clone() for parameter in model.parameters()]
        optimizers.step(recipe.learning_rate_scale(step))
        for parameter, old in zip(model.parameters(), before, strict=True):
            assert parameter.grad is not None
            torch.testing.assert_close(parameter.detach(), old - rate * parameter.grad, rtol=0, atol=1e-14)


def test_zero_grad_forgets_all_gradients(model: Tree) -> None:
    give_gradients(parameters_of(model), seed=0)
    Optimizers(model, STEADY).zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps_before", [0, 1, 3])
def test_a_resumed_state_gives_the_same_bits(model: Tree, kind: Any, steps_before: int) -> None:
    recipe = Recipe(**vars(STEADY) | {"optimizer": kind})
    model = model.float()
    optimizers = Optimizers(model, recipe)

    def go(model: Tree, optimizers: Optimizers, steps: range) -> None:
        for step in steps:
            give_gradients(parameters_of(model), seed=step)
            optimizers.step(recipe.learning_rate_scale(step))

    go(model, optimizers, range(steps_before))
    twin = copy.deepcopy(model)
    saved = {name: value.clone() for name, value in optimizers.state().items()}
    resumed = Optimizers(twin, recipe)
    resumed.load_state(saved)
    go(model, optimizers, range(steps_before, steps_before + 4))
    go(twin, resumed, range(steps_before, steps_before + 4))
    for one, two in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(one, two)
    for name, value in optimizers.state().items():
        assert torch.equal(value, resumed.state()[name])
    go(twin, resumed, range(9))  # which does not change the saved state
    again = Optimizers(copy.deepcopy(model), recipe)
    again.load_state(saved)
    assert all(torch.equal(value, saved[name]) for name, value in again.state().items())


def test_the_state_of_another_optimizer_is_refused(model: Tree) -> None:
    adamw, muon = (Optimizers(model, Recipe(optimizer=kind)) for kind in ("adamw", "muon"))
    with pytest.raises(KeyError):
        muon.load_state(adamw.state())
