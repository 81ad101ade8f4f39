"""Which targets a step trains on, and how their logits are computed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavemore.engine.batches import Positions, WindowBatches
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
