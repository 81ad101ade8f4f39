"""Which targets each training step predicts."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.engine.batch_samplers import (
    BatchSampler,
    BlockBatchSampler,
    LineBatchSampler,
    StreamSampler,
    permuted,
)
from wavemore.engine.line_spans import LineSpans
from wavemore.errors import UsageError

sizes = st.integers(1, 50)
RANDOM_LENGTHS = np.random.default_rng(0).integers(1, 12, size=84)
SPANS = LineSpans(starts=np.cumsum(RANDOM_LENGTHS) - RANDOM_LENGTHS, lengths=RANDOM_LENGTHS)


@given(num_targets=sizes, batch_size=sizes, seed=st.integers(0, 2**63 - 1))
def test_every_epoch_has_each_target_once(num_targets: int, batch_size: int, seed: int) -> None:
    sampler = BatchSampler(num_targets, batch_size, "shuffle", seed)
    steps = -(-3 * num_targets // batch_size)  # three epochs, which end inside of batches
    batches = [sampler.at(step) for step in range(steps)]
    assert all(batch.shape == (batch_size,) for batch in batches)
    epochs = np.concatenate(batches)[: 3 * num_targets].reshape(3, num_targets)
    assert np.sort(epochs, axis=1).tolist() == [list(range(num_targets))] * 3


def test_each_epoch_has_its_own_order() -> None:
    sampler = BatchSampler(40, 40, "shuffle", seed=0)
    first, second = sampler.at(0).tolist(), sampler.at(1).tolist()
    assert sorted(first) == sorted(second)
    assert first != second != list(range(40))


def make(kind: str, sampling: Any, seed: int) -> BatchSampler:
    if kind == "lines":
        return LineBatchSampler(SPANS, 50, sampling, seed)
    if kind == "blocks":
        return BlockBatchSampler(1_000, 30, sampling, seed, block_size=10)
    return BatchSampler(1_000, 50, sampling, seed)


@pytest.mark.parametrize("kind", ["targets", "lines", "blocks"])
@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_a_batch_depends_on_seed_and_step_only(kind: str, sampling: Any) -> None:
    def at(step: int, seed: int = 3) -> list[int]:
        batch: list[int] = make(kind, sampling, seed).at(step).tolist()
        return batch

    used = make(kind, sampling, seed=3)
    for step in (5, 0, 30, 7, 9, 79, 9):
        assert used.at(step).tolist() == at(step)
    assert at(9) != at(10)
    assert at(9) != at(9, seed=4)


def test_replacement_draws_every_target_and_some_twice() -> None:
    batches = np.concatenate([BatchSampler(30, 100, "replacement", seed=0).at(step) for step in range(10)])
    counts = np.bincount(batches, minlength=30)
    assert len(counts) == 30  # none beyond the last target
    assert counts.min() > 0
    assert len(set(counts.tolist())) > 1


@given(batch_size=st.integers(2, 400), seed=st.integers(0, 2**63 - 1))
def test_every_epoch_has_each_line_once(batch_size: int, seed: int) -> None:
    sampler = LineBatchSampler(SPANS, batch_size, "shuffle", seed)
    longest, ends = int(SPANS.lengths.max()), SPANS.starts + SPANS.lengths - 1
    positions: list[int] = []
    for step in range(sampler.num_targets // batch_size):
        batch = sampler.at(step)
        assert batch[-1] in ends  # whole lines
        assert len(batch) < batch_size + longest
        positions += batch.tolist()
    if batch_size >= longest:  # otherwise a line that covers a whole step comes again
        assert len(positions) == len(set(positions)) >= sampler.num_targets - batch_size - longest


def test_a_line_that_is_longer_than_a_batch_is_a_batch() -> None:
    sampler = LineBatchSampler(LineSpans(np.array([0, 21]), np.array([21, 2])), 4, "shuffle", seed=0)
    lengths = {len(sampler.at(step)) for step in range(12)}
    assert 21 in lengths
    assert min(lengths) >= 1


@pytest.mark.parametrize("sampling", ["shuffle", "replacement"])
def test_batches_of_lines_have_the_requested_size_on_average(sampling: Any) -> None:
    sampler = LineBatchSampler(SPANS, 60, sampling, seed=0)
    assert 50 < np.mean([len(sampler.at(step)) for step in range(100)]) < 70


@given(st.integers(2, 300), st.integers(1, 40), st.integers(1, 5), st.integers(0, 99))
def test_every_epoch_has_each_block_once(num_targets: int, block_size: int, blocks_per_step: int, seed: int) -> None:
    if block_size > num_targets:
        return
    sampler = BlockBatchSampler(num_targets, blocks_per_step * block_size, "shuffle", seed, block_size)
    steps = -(-sampler.blocks_per_epoch // blocks_per_step)
    batches = np.concatenate([sampler.at(step) for step in range(steps)]).reshape(-1, block_size)
    assert (np.diff(batches, axis=1) == 1).all()
    assert batches.min() >= 0
    assert batches.max() < num_targets
    first_epoch = batches[: sampler.blocks_per_epoch]
    assert len(np.unique(first_epoch)) == first_epoch.size > num_targets - 2 * block_size - 1


def test_replacement_draws_blocks_from_the_whole_text() -> None:
    sampler = BlockBatchSampler(30, 20, "replacement", 0, block_size=10)
    positions = np.concatenate([sampler.at(step) for step in range(300)])
    assert (positions.min(), positions.max()) == (0, 29)


def test_blocks_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="`block_size` is 200, more than the 100 characters to train on"):
        BlockBatchSampler(100, 200, "shuffle", 0, block_size=200)
    with pytest.raises(UsageError, match=r"`batch_size` is 100; .* multiple of `block_size` \(30\), such as 90"):
        BlockBatchSampler(1_000, 100, "shuffle", 0, block_size=30)


@pytest.mark.parametrize("count", [1, 2, 3, 64, 1_000])
def test_a_computed_order_has_every_item_once_and_depends_on_the_keys(count: int) -> None:
    keys = np.array([[1, 2, 3, 4], [5, 6, 7, 8]], np.uint64)
    orders = [permuted(np.arange(count), count, each) for each in keys]
    assert all(sorted(order.tolist()) == list(range(count)) for order in orders)
    assert count < 64 or (orders[0] != orders[1]).mean() > 0.9
    assert permuted(np.arange(count)[::-1], count, keys[0]).tolist() == orders[0][::-1].tolist()


def test_a_large_epoch_has_every_target_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavemore.engine.batch_samplers.MAX_STORED", 50)
    sampler = BatchSampler(100, 30, "shuffle", seed=0)
    positions = np.concatenate([sampler.at(step) for step in range(10)])
    epochs = positions.reshape(3, 100)
    assert [sorted(epoch.tolist()) for epoch in epochs] == [list(range(100))] * 3
    assert (epochs[0] != epochs[1]).mean() > 0.9


@given(
    num_targets=st.integers(64, 5_000),
    block_size=st.integers(1, 40),
    streams=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_streams_go_on_and_cover_the_text(num_targets: int, block_size: int, streams: int, seed: int) -> None:
    batch_size = block_size * streams
    if num_targets // streams < block_size:
        with pytest.raises(UsageError, match="`batch_size` is"):
            StreamSampler(num_targets, batch_size, "streams", seed, block_size)
        return
    sampler = StreamSampler(num_targets, batch_size, "streams", seed, block_size)
    steps = sampler.steps_per_epoch
    epoch = np.stack([sampler.at(step).reshape(streams, block_size) for step in range(steps)])  # (steps, L, T)
    assert (epoch[1:, :, 0] == epoch[:-1, :, -1] + 1).all()
    assert epoch.min() >= 0
    assert epoch.max() < num_targets
    assert len(np.unique(epoch)) == epoch.size
    assert num_targets - epoch.size < 2 * batch_size + streams
