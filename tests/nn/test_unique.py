"""The whole tree as one function: which layers it can run, and that it gives the same numbers as layer by layer."""

import copy
from collections.abc import Callable, Iterator
from typing import cast, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.engine.recipe import Precision
from wavemore.engine.threads import set_threads
from wavemore.nn.activations import Tanh
from wavemore.nn.config import ActivationName
from wavemore.nn.fusion import layer_by_layer, run_unique
from wavemore.nn.kernels.mix import as_matrix
from wavemore.nn.kernels.whole_tree import fused_tree, is_fusable
from wavemore.nn.layers import Dropout, Embedding, FlattenConsecutive, Linear
from wavemore.nn.norms import BatchNorm1d
from wavemore.nn.precision import matmul_precision
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.nn.unique_plan import UniquePlan, plan_of


def hook(*_: object) -> None:
    """A hook, which asks for its layer to be called."""


@pytest.fixture(params=[1, 2])
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """numpy multiplies on one thread, torch on two."""
    before = torch.get_num_threads()
    set_threads(request.param)
    yield
    set_threads(before)


def tree_and_plan(activation: ActivationName = "tanh", fuse: tuple[int, ...] = (2, 3)) -> tuple[Tree, UniquePlan]:
    tree = Tree(7, TreeConfig(fuse=fuse, embedding=3, hidden=5, activation=activation)).double()
    with torch.no_grad():
        for parameter in tree.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return tree, plan_of(torch.randint(7, (50, tree.context)), fuse)


def backward(tree: Tree, logits: Tensor) -> list[Tensor | None]:
    torch.autograd.backward(F.cross_entropy(logits, torch.arange(len(logits)) % 7))
    return [parameter.grad for parameter in tree.parameters()]


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("activation", get_args(ActivationName))
def test_the_fused_tree_is_layer_by_layer(activation: ActivationName) -> None:
    tree, plan = tree_and_plan(activation)
    twin = copy.deepcopy(tree)
    logits, expected = fused_tree(tree.layers, plan), layer_by_layer(twin.layers, plan)
    torch.testing.assert_close(logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(backward(tree, logits), backward(twin, expected), rtol=0, atol=1e-12)
    torch.testing.assert_close(tree.state_dict(), twin.state_dict(), rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", get_args(ActivationName))
def test_one_thread_gives_the_gradients_of_two(activation: ActivationName) -> None:
    tree, plan = tree_and_plan(activation)
    gradients = []
    for threads in (1, 2):
        set_threads(threads)
        twin = copy.deepcopy(tree).float()
        gradients.append(backward(twin, fused_tree(twin.layers, plan)))
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize(
    ("precision", "threads", "dtype", "by_numpy"),
    [
        ("float32", 1, torch.float32, True),
        ("float32", 1, torch.float64, True),
        ("float32", 1, torch.bfloat16, False),
        ("float32", 2, torch.float32, False),
        ("bfloat16", 1, torch.float32, False),
    ],
)
def test_numpy_multiplies_if_it_gives_the_same(
    precision: Precision, threads: int, dtype: torch.dtype, by_numpy: bool
) -> None:
    set_threads(threads)
    with matmul_precision(bfloat16=precision == "bfloat16"):
        assert isinstance(as_matrix(torch.zeros(2, 2, dtype=dtype)), np.ndarray) == by_numpy


def test_gradients_are_those_of_small_differences() -> None:
    set_threads(1)
    tree = Tree(4, TreeConfig(fuse=(2, 2), embedding=2, hidden=3)).double()
    plan = plan_of(torch.randint(4, (12, 4)), (2, 2))
    names, values = zip(*tree.named_parameters(), strict=True)

    def logits(*parameters: Tensor) -> Tensor:
        return cast(Tensor, torch.func.functional_call(tree, dict(zip(names, parameters, strict=True)), (plan,)))

    tree.forward = tree.unique  # type: ignore[assignment]
    torch.autograd.gradcheck(logits, values)


@pytest.mark.parametrize(
    "change",
    [
        lambda tree: tree.eval(),
        lambda tree: tree.layers[4].register_forward_hook(hook),
        lambda tree: tree.layers[1].register_full_backward_hook(hook),
        lambda tree: tree.layers.insert(5, Dropout(0.1)),
        lambda tree: tree.layers.append(Linear(7, 7)),
        lambda tree: tree.layers.__setitem__(4, nn.Softplus()),
        lambda tree: tree.layers.__setitem__(3, nn.Identity()),
        lambda tree: tree.layers.__setitem__(2, Linear(6, 5)),
        lambda tree: tree.layers.__setitem__(9, nn.Linear(5, 7)),
    ],
)
def test_other_layers_are_not_fused(change: Callable[[Tree], object]) -> None:
    tree, _ = tree_and_plan()
    assert is_fusable(tree.layers)
    change(tree)
    assert not is_fusable(tree.layers)


def test_layers_that_do_not_fit_together_are_not_fused() -> None:
    def layers(inner: int, norm: int, outer: int) -> list[nn.Module]:
        fusion = [FlattenConsecutive(2), Linear(inner, 5, bias=False), BatchNorm1d(norm), Tanh()]
        return [Embedding(7, 3), *fusion, Linear(outer, 7)]

    assert is_fusable(layers(6, 5, 5))
    assert not any(is_fusable(layers(*sizes)) for sizes in [(7, 5, 5), (6, 4, 4), (6, 5, 4)])
    assert not is_fusable([])
    assert not is_fusable([Embedding(7, 3), Linear(3, 7)])


def test_gradients_can_be_taken_twice_if_the_graph_is_retained() -> None:
    tree, plan = tree_and_plan()
    loss = run_unique(tree.layers, plan).square().sum()
    torch.autograd.backward(loss, retain_graph=True)
    once = [parameter.grad.clone() for parameter in tree.parameters() if parameter.grad is not None]
    torch.autograd.backward(loss)
    twice = [parameter.grad for parameter in tree.parameters()]
    torch.testing.assert_close(twice, [2 * gradient for gradient in once])
    with pytest.raises(RuntimeError, match="second time"):
        torch.autograd.backward(loss)


def test_weights_must_not_change_between_forward_and_backward() -> None:
    tree, plan = tree_and_plan()
    loss = run_unique(tree.layers, plan).square().sum()
    with torch.no_grad():
        tree.get_parameter("layers.2.weight").add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.backward(loss)
