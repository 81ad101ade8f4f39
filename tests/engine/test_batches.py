"""Which targets a step trains on, and how their logits are computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavemore.engine import batches as module
from wavemore.engine.batches import LineBatches, Positions, WindowBatches, batches_of
from wavemore.nn.config import BigramConfig
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.corpus import Corpus

sizes = st.integers(1, 50)


@given(targets=sizes, batch_size=sizes, seed=st.integers(0, 2**63 - 1))
def test_every_epoch_has_each_target_once(targets: int, batch_size: int, seed: int) -> None:
    positions = Positions(targets, batch_size, "shuffle", seed)
    steps = -(-3 * targets // batch_size)  # three epochs, whose ends lie inside of batches
    batches = [positions.at(step) for step in range(steps)]
    assert all(batch.shape == (batch_size,) for batch in batches)
    epochs = np.concatenate(batches)[: 3 * targets].reshape(3, targets)
    assert np.sort(epochs, axis=1).tolist() == [list(range(targets))] * 3


def test_epochs_have_orders_of_their_own() -> None:
    positions = Positions(40, 40, "shuffle", seed=0)
    first, second = positions.at(0).tolist(), positions.at(1).tolist()
    assert sorted(first) == sorted(second)
    assert first != second != list(range(40))


@given(st.lists(st.integers(0, 30), max_size=8), st.integers(0, 30), st.sampled_from(["shuffle", "replacement"]))
def test_a_batch_depends_on_seed_and_step_alone(asked_before: list[int], step: int, order: Any) -> None:
    busy = Positions(23, 7, order, seed=5)
    for other in asked_before:
        busy.at(other)
    assert busy.at(step).tolist() == Positions(23, 7, order, seed=5).at(step).tolist()


@pytest.mark.parametrize("order", ["shuffle", "replacement"])
def test_another_seed_draws_other_batches(order: Any) -> None:
    assert Positions(1_000, 50, order, seed=1).at(3).tolist() != Positions(1_000, 50, order, seed=2).at(3).tolist()


def test_replacement_draws_every_target_and_some_twice() -> None:
    drawn = np.concatenate([Positions(30, 100, "replacement", seed=0).at(step) for step in range(10)])
    counts = np.bincount(drawn, minlength=30)
    assert len(counts) == 30  # none beyond the last target
    assert counts.min() > 0
    assert len(set(counts.tolist())) > 1


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("dtype", "exact"), [(torch.float32, 2e-5), (torch.float64, 1e-12)])
def test_both_executions_give_the_same_logits(
    corpus: Corpus, lively: Callable[..., Tree], training: bool, dtype: torch.dtype, exact: float
) -> None:
    model = lively(TreeConfig(fuse=(2, 3), embedding=4, hidden=8)).to(dtype).train(training)
    positions = np.random.default_rng(0).integers(corpus.train.targets, size=64)
    unique, windows = (
        WindowBatches(corpus.train.tokens, model, execution).logits(positions) for execution in ("unique", "windows")
    )
    assert unique.shape == (64, len(corpus.vocabulary))
    torch.testing.assert_close(unique, windows, rtol=0, atol=exact)


def test_targets_are_the_characters_at_the_positions(corpus: Corpus, lively: Callable[..., Tree]) -> None:
    batches = WindowBatches(corpus.val.tokens, lively(), "windows")
    positions = np.array([3, 0, 3, 1])
    targets = batches.targets(positions)
    assert targets.dtype == torch.int64
    assert targets.tolist() == corpus.val.tokens[positions].tolist()


def in_order(corpus: Corpus, model: Tree, execution: Any, size: int) -> list[NDArray[np.int64]]:
    return list(WindowBatches(corpus.train.tokens, model, execution).in_order_of_contexts(size))


@pytest.mark.parametrize("execution", ["unique", "windows"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_all_positions_come_once(corpus: Corpus, lively: Callable[..., Tree], execution: Any, size: int) -> None:
    batches = in_order(corpus, lively(), execution, size)
    assert max(map(len, batches)) <= size
    assert sorted(np.concatenate(batches).tolist()) == list(range(corpus.train.targets))


def test_equal_contexts_come_together(corpus: Corpus, lively: Callable[..., Tree]) -> None:
    model = lively()
    [order] = in_order(corpus, model, "unique", 10_000)
    contexts = WindowBatches(corpus.train.tokens, model, "unique").plan(order).inverse
    changes = int((contexts[1:] != contexts[:-1]).sum())
    assert changes == len(set(contexts.tolist())) - 1 < len(order) - 1


@pytest.fixture
def line_batches(corpus: Corpus) -> LineBatches:
    return LineBatches(corpus.train.tokens, build("bigram", len(corpus.vocabulary), BigramConfig(), seed=0))


@given(batch_size=st.integers(2, 400), seed=st.integers(0, 2**63 - 1))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_epoch_has_each_line_once(line_batches: LineBatches, batch_size: int, seed: int) -> None:
    targets = len(line_batches.tokens)
    positions = line_batches.positions(batch_size, "shuffle", seed)
    seen: list[int] = []
    for step in range(targets // batch_size):
        batch = positions.at(step)
        ends = line_batches.tokens[batch] == 0
        assert ends[-1]  # whole lines
        assert len(batch) < batch_size + max(line_batches.lengths)
        seen += batch.tolist()
    longest = int(max(line_batches.lengths))
    if batch_size >= longest:  # otherwise a line that reaches over a whole stretch comes again
        assert len(seen) == len(set(seen)) >= targets - batch_size - longest


def test_a_line_longer_than_a_batch_is_a_batch() -> None:
    tokens = np.array([*[1] * 20, 0, 2, 0], dtype=np.uint8)
    batches = LineBatches(tokens, build("bigram", 3, BigramConfig(), seed=0))
    sizes = {len(batches.positions(4, "shuffle", 0).at(step)) for step in range(12)}
    assert 21 in sizes
    assert min(sizes) >= 1


@pytest.mark.parametrize("order", ["shuffle", "replacement"])
def test_lines_depend_on_seed_and_step_alone(line_batches: LineBatches, order: Any) -> None:
    def at(step: int, seed: int = 0) -> list[int]:
        found: list[int] = line_batches.positions(50, order, seed).at(step).tolist()
        return found

    busy = line_batches.positions(50, order, 0)
    for step in (5, 0, 30, 7):
        busy.at(step)
    assert busy.at(9).tolist() == at(9) != at(10)
    assert at(9) != at(9, seed=1)


def test_batches_of_lines_have_the_asked_size_on_the_average(line_batches: LineBatches) -> None:
    for order in ("shuffle", "replacement"):
        positions = line_batches.positions(60, order, 0)
        assert 50 < np.mean([len(positions.at(step)) for step in range(100)]) < 70


@pytest.mark.parametrize("chunk", [1, 30, 10_000])
def test_all_positions_come_once_in_whole_lines(
    line_batches: LineBatches, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(module, "LINE_CHUNK", chunk)
    chunks = list(line_batches.chunks())
    assert sorted(np.concatenate(chunks).tolist()) == list(range(len(line_batches.tokens)))
    assert all(line_batches.tokens[positions[-1]] == 0 for positions in chunks)
    if chunk == 30:
        assert max(map(len, chunks)) <= 30


@pytest.mark.parametrize("group", [1, 100, 10_000])  # targets, at least, of a group of lines of about one length
def test_logits_of_any_positions_are_those_of_their_lines(
    corpus: Corpus, lively: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch, group: int
) -> None:
    monkeypatch.setattr(module, "GROUP", group)
    model = lively().eval()
    positions = np.random.default_rng(0).integers(corpus.train.targets, size=40)
    lines, windows = (
        batches_of(corpus.train.tokens, model, execution).logits(positions) for execution in ("lines", "windows")
    )
    torch.testing.assert_close(lines, windows, rtol=0, atol=1e-12)
