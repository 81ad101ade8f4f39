"""Our LSTM against torch's own: values, gradients, lines of any lengths that share their beginnings."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from wavemore.engine.prefixes import ROWS, prefix_plan
from wavemore.errors import ModelError
from wavemore.nn.models import build
from wavemore.nn.precision import fast_bfloat16, matmul_precision
from wavemore.nn.prefix_plan import PrefixPlan
from wavemore.nn.recurrent import Recurrent, RecurrentConfig

LINES = {
    "equal lengths": [[1, 2, 3], [4, 5, 6], [7, 8, 1]],
    "falling lengths": [[1, 2, 3, 4, 5, 6], [2, 2, 3, 1], [3, 1, 1], [4], [5]],
    "one line": [[3, 1, 2]],
    "one token": [[2], [2]],
    "a common beginning": [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2, 4, 5], [0, 3], [0, 1, 2, 3]],
    "the longest last": [[0], [0, 1], [0, 1, 2], [0, 2, 2, 2]],
    "many": [[0, *(number >> bit & 1 for bit in range(number % 9))] for number in range(60)],
}
EACH = pytest.mark.parametrize(
    ("layers", "lines"),
    [(layers, lines) for layers in (1, 3) for lines in LINES.values()],
    ids=[f"{layers}, {name}" for layers in (1, 3) for name in LINES],
)


def model_of(layers: int, dtype: torch.dtype = torch.float64, hidden: int = 7) -> Recurrent:
    model = build("lstm", 9, RecurrentConfig(embedding=5, hidden=hidden, layers=layers), seed=1)
    assert isinstance(model, Recurrent)
    return model.to(dtype)


def plan_of(lines: list[list[int]]) -> PrefixPlan:
    """Each line begins with a token of its own, and its last target is not read."""
    flat = [token for line in lines for token in (*line[1:], 0)]
    lengths = np.array([len(line) for line in lines])
    return prefix_plan(np.array([line[0] for line in lines]), np.array(flat), np.cumsum(lengths) - lengths, lengths)


def random_lines(lines: int, length: int) -> Tensor:
    return torch.randint(9, (lines, length), generator=torch.Generator().manual_seed(2))


def by_torch(model: Recurrent, line: list[int]) -> Tensor:
    logits: Tensor = model.head(model.cells(model.embedding(torch.tensor([line])))[0][0])
    return logits


@EACH
def test_values_and_gradients_are_those_of_torch(layers: int, lines: list[list[int]]) -> None:
    model = model_of(layers)
    logits = model.unique(plan_of(lines))
    expected = torch.cat([by_torch(model, line) for line in lines])
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    found, gradients = (
        torch.autograd.grad((weights * values).sum(), list(model.parameters())) for values in (logits, expected)
    )
    torch.testing.assert_close(found, gradients, rtol=1e-11, atol=1e-11)


@EACH
def test_the_values_without_gradients_are_the_same(layers: int, lines: list[list[int]]) -> None:
    model = model_of(layers)
    expected = model.unique(plan_of(lines))
    with torch.inference_mode():
        for mode in (True, False):  # with and without what a gradient needs
            torch.testing.assert_close(model.train(mode).unique(plan_of(lines)), expected, rtol=1e-12, atol=1e-12)


def test_dropout_before_the_output_is_drawn_for_each_position() -> None:
    model = build("lstm", 9, RecurrentConfig(embedding=5, hidden=40, dropout=0.5), seed=1)
    assert isinstance(model, Recurrent)
    plan = plan_of([[0, 1]] * 20)
    assert len(set(map(tuple, model.train().unique(plan)[::2].tolist()))) == 20
    assert len(set(map(tuple, model.eval().unique(plan)[::2].tolist()))) == 1


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=30))
def test_each_distinct_beginning_is_one_row(lines: list[list[int]]) -> None:
    plan = plan_of(lines)
    distinct = {tuple(line[:end]) for line in lines for end in range(1, len(line) + 1)}
    assert len(set(plan.inverse.tolist())) == len(distinct)
    assert sum(plan.sizes) < len(distinct) + ROWS * len(plan.sizes)
    bases = np.cumsum((0, *plan.sizes)).tolist()

    def beginning(row: int) -> list[int]:
        step = sum(base <= row for base in bases) - 1
        if step == 0:
            return [int(plan.tokens[row])]
        within, parent = row - bases[step], plan.parents[step - 1]
        above = within if parent is None else int(parent[within])
        return [*beginning(bases[step - 1] + above), int(plan.tokens[row])]

    expected = [line[:end] for line in lines for end in range(1, len(line) + 1)]
    assert [beginning(row) for row in plan.inverse.tolist()] == expected


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("length", [1, 6])  # fewer positions than characters, and more
def test_pieces_that_are_read_on_have_the_values_of_one_pass_and_gradients_of_their_own(
    name: str, layers: int, length: int
) -> None:
    model = build(name, 9, RecurrentConfig(embedding=5, hidden=7, layers=layers), seed=1).double()
    assert isinstance(model, Recurrent)
    tokens = torch.randint(9, (4, 3 * length), generator=torch.Generator().manual_seed(2))
    state: tuple[Tensor, ...] = ()
    for start in range(0, 3 * length, length):
        piece = tokens[:, start : start + length]
        before = [part.clone() for part in state]
        logits, state = model.read_on(piece, state)
        first = None if not before else tuple(before) if name == "lstm" else before[0]
        expected = model.head(model.cells(model.embedding(piece), first)[0])
        torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
        weights = torch.randn(expected.shape, dtype=torch.float64)
        found, gradients = (
            torch.autograd.grad((weights * values).sum(), list(model.parameters())) for values in (logits, expected)
        )
        torch.testing.assert_close(found, gradients, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(logits, model(tokens)[:, -length:], rtol=1e-12, atol=1e-12)


def test_a_character_that_the_model_does_not_know_is_an_error() -> None:
    for model in (model_of(1), model_of(1, hidden=40)):  # fewer channels than characters, and more
        for token in (9, -1):
            for length in (3, 30):  # fewer positions than characters, and more
                with pytest.raises(IndexError):
                    model(torch.full((1, length), token))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.cells.register_forward_hook(lambda *_: None),
        lambda model: model.embedding.register_forward_pre_hook(lambda *_: None),
        lambda model: model.to(torch.bfloat16),
    ],
    ids=["hook", "pre-hook", "bfloat16"],
)
def test_the_layers_of_torch_run_where_they_must(change: Callable[[Recurrent], object]) -> None:
    model, tokens = model_of(1, torch.float32), random_lines(4, 9)
    expected = model(tokens)
    assert model.is_packable
    change(model)
    assert not model.is_packable
    torch.testing.assert_close(model(tokens).float(), expected, rtol=0.05, atol=0.05)
    with torch.no_grad():
        decoder = model.eval().decoder(4)
        torch.testing.assert_close(decoder.prefill(tokens[:, 1:])[:, 0].float(), expected[:, 0], rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert not model_of(1, torch.float32).is_packable


def test_only_a_packable_model_runs_plans() -> None:
    plan, gru = plan_of([[1, 2]]), build("gru", 9, hidden=4)
    assert isinstance(gru, Recurrent)
    with pytest.raises(ModelError, match="plans are for an lstm"):
        gru.unique(plan)
    with pytest.raises(ModelError, match="a Tensor is not a plan"):
        model_of(1).unique(torch.zeros(1, 1))  # type: ignore[arg-type]


def test_bfloat16_products_give_nearly_the_same_gradients() -> None:
    model, plan = model_of(2, torch.float32, hidden=64), plan_of(random_lines(60, 12).remainder(4).tolist())
    results = []
    for bfloat16 in (False, True):
        with matmul_precision(bfloat16=bfloat16):
            loss = model.unique(plan).square().sum()
            results.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    exact, rounded = results
    assert torch.equal(exact, rounded) != fast_bfloat16()
    assert torch.linalg.norm(rounded - exact) < 0.02 * torch.linalg.norm(exact)
