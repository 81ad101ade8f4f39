"""One set of weights, three executions, the same numbers."""

import copy
import math
from typing import get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from wavemore.errors import ModelError
from wavemore.nn.activations import Tanh
from wavemore.nn.config import ActivationName, NormName
from wavemore.nn.fusion import pick, run_dilated, run_unique, run_windows, unique_logits
from wavemore.nn.kernels.mix import mix
from wavemore.nn.layers import Embedding, FlattenConsecutive, Linear
from wavemore.nn.norms import BatchNorm1d
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.nn.unique_plan import UniquePlan, plan_of

V = 6
FUSES = [(1,), (3,), (8,), (2, 3), (3, 2), (1, 2, 1), (2, 2, 2), (2, 2, 2, 2)]
NORMS: list[NormName] = ["batch", "layer", "rms", "none"]
EXACT = {torch.float32: 1e-6, torch.float64: 1e-12}


def small_tree(
    fuse: tuple[int, ...], norm: NormName = "batch", vocabulary_size: int = V, activation: ActivationName = "tanh"
) -> Tree:
    """Build a tree whose weights and statistics are no longer the initial ones."""
    config = TreeConfig(fuse=fuse, embedding=3, hidden=5, norm=norm, activation=activation)
    tree = Tree(vocabulary_size, config).double()
    with torch.no_grad():
        for parameter in tree.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    tree.windows(torch.randint(vocabulary_size, (64, tree.context)))  # running statistics
    return tree


def windows_of(lines: Tensor, context: int) -> Tensor:
    """Cut (B, T) lines, after boundary tokens, into (B * T, context) windows that end at each position."""
    padded = nn.functional.pad(lines, (context - 1, 0))
    return padded.unfold(1, context, 1).flatten(0, 1)


@pytest.mark.parametrize("fuse", FUSES)
@pytest.mark.parametrize("length", [1, 4, 21])
@pytest.mark.parametrize("dtype", EXACT)
def test_dilated_is_windows_at_every_position(fuse: tuple[int, ...], length: int, dtype: torch.dtype) -> None:
    tree = small_tree(fuse).to(dtype).eval()
    lines = torch.randint(V, (3, length))
    at_once = run_dilated(tree.layers, nn.functional.pad(lines, (tree.context - 1, 0)))
    one_by_one = run_windows(tree.layers, windows_of(lines, tree.context)).view(3, length, V)
    torch.testing.assert_close(at_once, one_by_one, rtol=EXACT[dtype], atol=EXACT[dtype])


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("fuse", FUSES)
def test_all_three_agree_in_eval_mode(fuse: tuple[int, ...], norm: NormName) -> None:
    tree = small_tree(fuse, norm).eval()
    windows = torch.randint(V, (40, tree.context))
    logits = tree.windows(windows)
    torch.testing.assert_close(tree.unique(plan_of(windows, fuse)), logits, rtol=0, atol=1e-12)
    torch.testing.assert_close(tree.dilated(windows).squeeze(1), logits, rtol=0, atol=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    fuse=st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple),
    batch=st.integers(2, 40),
    vocabulary_size=st.integers(2, 9),
    norm=st.sampled_from(NORMS),
    activation=st.sampled_from(get_args(ActivationName)),
    seed=st.integers(0, 2**32),
)
def test_unique_trains_as_windows_does(
    fuse: tuple[int, ...], batch: int, vocabulary_size: int, norm: NormName, activation: ActivationName, seed: int
) -> None:
    torch.manual_seed(seed)
    tree = small_tree(fuse, norm, vocabulary_size, activation)
    twin = copy.deepcopy(tree)
    windows = torch.randint(vocabulary_size, (batch, tree.context))
    targets = torch.randint(vocabulary_size, (batch,))

    logits, twin_logits = tree.windows(windows), twin.unique(plan_of(windows, fuse))
    torch.autograd.backward(nn.functional.cross_entropy(logits, targets))
    torch.autograd.backward(nn.functional.cross_entropy(twin_logits, targets))

    torch.testing.assert_close(twin_logits, logits, rtol=0, atol=1e-10)
    torch.testing.assert_close(twin.state_dict(), tree.state_dict(), rtol=0, atol=1e-10)
    for parameter, twin_parameter in zip(tree.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(twin_parameter.grad, parameter.grad, rtol=0, atol=1e-10)


@pytest.mark.parametrize("fuse", [(1,), (3,), (2, 2, 2)])
def test_no_prediction_sees_a_later_token(fuse: tuple[int, ...]) -> None:
    tree = small_tree(fuse).eval()
    line = torch.randint(V, (1, 30))
    before = tree.dilated(line)  # prediction i ends at position i + context - 1
    for t in range(30):
        changed = line.clone()
        changed[0, t] = (line[0, t] + 1) % V
        moved = (tree.dilated(changed) != before).any(-1).squeeze(0)
        sees_t = [i <= t < i + tree.context for i in range(len(moved))]
        assert moved.tolist() == sees_t


def test_windows_is_the_lectures_arithmetic() -> None:
    tree = small_tree((2, 2, 2))
    assert isinstance(tree.layers[-1], Linear)
    table, *blocks = [p.detach() for p in tree.parameters()]
    windows = torch.randint(V, (32, 8))

    x = table[windows]  # (32, 8, 3)
    while x.shape[1] > 1:
        weight, gamma, beta, *blocks = blocks
        x = x.view(32, x.shape[1] // 2, -1)  # two neighbours in one row
        x = torch.einsum("btc,hc->bth", x, weight)
        mean = x.mean(dim=(0, 1), keepdim=True)
        var = x.var(dim=(0, 1), keepdim=True, unbiased=False)
        x = torch.tanh(gamma * (x - mean) / torch.sqrt(var + 1e-5) + beta)
    weight, bias = blocks
    logits = x[:, 0] @ weight.T + bias

    torch.testing.assert_close(run_windows(tree.layers, windows), logits, rtol=0, atol=1e-12)


def expand(plan: UniquePlan) -> Tensor:
    """Undo a plan: replace every row by its children down to the tokens."""
    grams = plan.leaves.unsqueeze(1)
    for rows in plan.children:
        grams = grams[rows.T].flatten(1)
    return grams[plan.inverse]


@given(st.data())
@settings(max_examples=40, deadline=None, derandomize=True)
def test_a_plan_holds_the_batch_and_each_gram_once(data: st.DataObject) -> None:
    fuse = tuple(data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    rows = st.lists(st.integers(0, 4), min_size=math.prod(fuse), max_size=math.prod(fuse))
    windows = torch.tensor(data.draw(st.lists(rows, min_size=1, max_size=12)))
    plan = plan_of(windows, fuse)
    assert torch.equal(expand(plan), windows)
    length = math.prod(fuse)
    for n, counts in zip((1, *fuse), plan.counts, strict=True):
        length //= n
        assert counts.sum() == len(windows) * length
        assert counts.min() >= 1
    levels = [plan.leaves.unsqueeze(0), *plan.children]
    tops = [*plan.parts, (plan.children[-1].shape[1],)]
    for grams, sizes in zip(levels, tops, strict=True):
        for part in torch.split(grams, list(sizes), dim=1):  # as each child, every row once
            assert len(set(map(tuple, part.T.tolist()))) == part.shape[1]
    for children, parts in zip(plan.children, plan.parts, strict=True):
        places = torch.arange(len(parts)).repeat_interleave(torch.tensor(parts))  # of every row below
        assert (places[children] == torch.arange(len(parts))[:, None]).all()


@pytest.mark.parametrize(
    ("norm", "frozen"),
    [("batch", name) for name in ("0.weight", "2.weight", "3.weight", "3.bias", "6.weight")]
    + [("none", name) for name in ("0.weight", "2.weight", "2.bias", "5.weight")],
)
def test_frozen_weights_get_no_gradient_and_change_no_other(norm: NormName, frozen: str) -> None:
    tree = small_tree((2, 2), norm)
    tree.layers.get_parameter(frozen).requires_grad_(False)
    twin = copy.deepcopy(tree)
    windows, targets = torch.randint(V, (20, 4)), torch.randint(V, (20,))
    torch.autograd.backward(nn.functional.cross_entropy(tree.windows(windows), targets))
    torch.autograd.backward(nn.functional.cross_entropy(twin.unique(plan_of(windows, (2, 2))), targets))
    for (name, parameter), twin_parameter in zip(tree.named_parameters(), twin.parameters(), strict=True):
        assert (twin_parameter.grad is None) == (name == f"layers.{frozen}")
        if parameter.grad is not None:
            torch.testing.assert_close(twin_parameter.grad, parameter.grad, rtol=0, atol=1e-12)


def test_one_distinct_context_that_fills_a_batch() -> None:
    tree = small_tree((2, 2, 2))
    twin = copy.deepcopy(tree)
    windows = torch.randint(V, (1, 8)).expand(9, 8)
    torch.testing.assert_close(twin.unique(plan_of(windows, (2, 2, 2))), tree.windows(windows), rtol=0, atol=1e-12)
    torch.testing.assert_close(twin.state_dict(), tree.state_dict(), rtol=0, atol=1e-12)


def test_mix_takes_a_weight_that_is_not_contiguous() -> None:
    linear = Linear(6, 4, bias=False).double()
    linear.weight = nn.Parameter(torch.randn(6, 4, dtype=torch.float64).T)
    x = torch.randn(3, 5, dtype=torch.float64).T[:, :3].requires_grad_()  # (5, 3), not contiguous either
    children = torch.tensor([[0, 1, 1, 0], [2, 3, 4, 4]])
    mixed, plain = mix(x, children, (2, 3), linear), linear(pick(x, children))
    torch.testing.assert_close(mixed, plain)
    direction = torch.randn_like(plain)
    for one, other in zip(
        torch.autograd.grad(mixed, [x, linear.weight], direction),
        torch.autograd.grad(plain, [x, linear.weight], direction),
        strict=True,
    ):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layer", [0, 2, 3, 4, 6, 7, 8, 9])  # all but the fusions, which pick
def test_hooks_are_called_in_training_too(layer: int) -> None:
    tree = small_tree((2, 2))
    twin = copy.deepcopy(tree)
    plan = plan_of(torch.randint(V, (20, 4)), (2, 2))
    seen: list[nn.Module] = []
    tree.layers[layer].register_forward_hook(lambda module, *_: seen.append(module))
    torch.testing.assert_close(tree.unique(plan), twin.unique(plan), rtol=0, atol=1e-12)
    torch.testing.assert_close(tree.state_dict(), twin.state_dict(), rtol=0, atol=1e-12)
    assert seen == [tree.layers[layer]]


def test_a_norm_of_other_channels_is_refused() -> None:
    layers = nn.Sequential(Embedding(V, 3), FlattenConsecutive(2), Linear(6, 4, bias=False), BatchNorm1d(5))
    with pytest.raises(ModelError, match="BatchNorm1d takes 5 channels"):
        run_unique(layers, plan_of(torch.tensor([[0, 0], [0, 1]]), (2,)))


def test_unique_logits_has_one_row_per_distinct_context() -> None:
    tree = small_tree((2, 2)).eval()
    plan = plan_of(torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 1, 2]]), (2, 2))
    rows = unique_logits(tree.layers, plan)
    assert rows.shape == (2, V)
    assert plan.counts[-1].tolist() == [2, 1]
    torch.testing.assert_close(rows[plan.inverse], run_unique(tree.layers, plan))


def test_a_norm_between_embedding_and_fusion_gets_its_counts_too() -> None:
    layers = nn.Sequential(
        Embedding(V, 3), BatchNorm1d(3), FlattenConsecutive(2), Linear(6, 4), Tanh(), Linear(4, V)
    ).double()
    windows = torch.tensor([[0, 0], [0, 1], [2, 1], [0, 0]])
    plan = plan_of(windows, (2,))
    torch.testing.assert_close(run_unique(layers, plan), run_windows(layers, windows))


def test_contexts_that_are_not_fused_into_one_position_are_refused() -> None:
    with pytest.raises(ModelError, match="8 positions were fused into 2"):
        run_windows(small_tree((2, 2)).layers, torch.zeros(3, 8, dtype=torch.int64))


def test_a_line_below_the_context_is_refused() -> None:
    with pytest.raises(ModelError, match="line of 3 positions is shorter than the context of 4"):
        run_dilated(small_tree((2, 2)).layers, torch.zeros(3, 3, dtype=torch.int64))


def test_a_plan_for_another_model_is_refused() -> None:
    plan = plan_of(torch.zeros(3, 4, dtype=torch.int64), (4,))
    with pytest.raises(ModelError, match=r"fusions of \(4,\) does not fit a model with \(2, 2\)"):
        run_unique(small_tree((2, 2)).layers, plan)


def test_a_plan_of_contexts_of_another_length_is_refused() -> None:
    with pytest.raises(ModelError, match="7 positions do not fit fusions of 2 2 2, which need 8"):
        plan_of(torch.zeros(3, 7, dtype=torch.int64), (2, 2, 2))


def test_a_layer_that_depends_on_the_position_runs_in_windows_only() -> None:
    model = Tree(5, TreeConfig(fuse=(2, 2), embedding=3, hidden=4, norm="batch-per-position"))
    tokens = torch.randint(5, (6, 4))
    assert model.windows(tokens).shape == (6, 5)
    with pytest.raises(ModelError, match="windows"):
        model.dilated(tokens)
    with pytest.raises(ModelError, match="windows"):
        model.unique(plan_of(tokens, (2, 2)))
