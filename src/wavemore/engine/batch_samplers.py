"""Which targets each training step predicts: any targets, whole lines, or blocks of a text.

A batch depends on the seed and the step only, so a resumed training needs no state of a random generator.

Shapes: B targets of a batch.
"""

# ruff: noqa: D102 - methods that override another are documented in BatchSampler

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.line_spans import LineSpans
from wavemore.engine.recipe import BatchSampling
from wavemore.errors import UsageError
from wavemore.text.arrays import scramble

T = TypeVar("T")
MAX_STORED = 2**22
"""The most items whose random order is kept in memory; that of more is computed where it is needed."""


def permuted(places: NDArray[np.int64], count: int, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return the items at some places of a random order of the numbers below `count`, without the others.

    It is a Feistel network (Luby and Rackoff, https://doi.org/10.1137/0217022), one round per key, applied until the
    number is below `count`.

    >>> order = permuted(np.arange(1_000), 1_000, np.array([1, 2, 3, 4], np.uint64))
    >>> order[:4].tolist(), sorted(order.tolist()) == list(range(1_000))
    ([999, 227, 234, 119], True)
    """
    half = np.uint64(((count - 1).bit_length() + 1) // 2)
    low = (np.uint64(1) << half) - np.uint64(1)
    items = places.astype(np.uint64)
    outside = np.arange(len(items))
    while len(outside):
        x = items[outside]
        for key in keys:
            right = x & low
            x = right << half | (x >> half ^ scramble(right ^ key)) & low
        items[outside] = x
        outside = outside[x >= count]
    return items.astype(np.int64)


class _Latest(Generic[T]):
    """Remembers the last result of a method; `lru_cache` cannot be copied or sent to the workers of a DataLoader."""

    def __init__(self, compute: Callable[..., T]) -> None:
        self.compute = compute
        self.kept: tuple[tuple[int, ...], T] | None = None

    def __call__(self, *args: int) -> T:
        kept = self.kept
        if kept is None or kept[0] != args:
            kept = self.kept = (args, self.compute(*args))
        return kept[1]


class BatchSampler:
    """Samples single targets.

    With `shuffle` every epoch has each target once, in an order of its own; `replacement` draws any target each time.
    """

    def __init__(self, num_targets: int, batch_size: int, sampling: BatchSampling, seed: int) -> None:
        self.num_targets, self.batch_size, self.sampling, self.seed = num_targets, batch_size, sampling, seed
        self._shuffled = _Latest(self._shuffle)  # an epoch is shuffled once, not at each of its steps

    def at(self, step: int) -> NDArray[np.int64]:
        """Return the positions of the targets of `step`, counted from 0: (B,)."""
        if self.sampling == "replacement":
            return self._generator(step).integers(self.num_targets, size=self.batch_size)
        pieces = self._epochs(step, self.batch_size, self.num_targets)
        return np.concatenate([self._order(epoch, self.num_targets, first, end) for epoch, first, end in pieces])

    def _generator(self, *numbers: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *numbers])

    @staticmethod
    def _epochs(step: int, items_per_step: int, items_per_epoch: int) -> Iterator[tuple[int, int, int]]:
        """Split a step where an epoch ends: the epoch, and the first and the end of its items, for each piece."""
        first, end = step * items_per_step, (step + 1) * items_per_step
        while first < end:
            epoch, offset = divmod(first, items_per_epoch)
            count = min(end - first, items_per_epoch - offset)
            yield epoch, offset, offset + count
            first += count

    def _order(self, epoch: int, count: int, first: int, end: int) -> NDArray[np.int64]:
        """Return the items from place `first` to `end` of an epoch's random order of `count` items."""
        if count <= MAX_STORED:
            return self._shuffled(epoch, count)[first:end]
        return permuted(np.arange(first, end), count, self._generator(epoch).integers(2**63, size=4).astype(np.uint64))

    def _shuffle(self, epoch: int, count: int) -> NDArray[np.int64]:
        return self._generator(epoch).permutation(count)


class LineBatchSampler(BatchSampler):
    """Samples whole lines: on average `batch_size` targets per step, and at least one line.

    With `shuffle` the shuffled lines of an epoch are cut into steps of `batch_size` targets. A step has the lines that
    begin in its piece or, if none does, the line that covers it.
    """

    def __init__(self, spans: LineSpans, batch_size: int, sampling: BatchSampling, seed: int) -> None:
        super().__init__(int(spans.lengths.sum()), batch_size, sampling, seed)
        self.spans = spans
        self._shuffled_lines = _Latest(self._shuffle_lines)

    def at(self, step: int) -> NDArray[np.int64]:
        lengths = self.spans.lengths
        if self.sampling == "replacement":
            count = max(1, round(self.batch_size * len(lengths) / self.num_targets))
            return self.spans.positions(self._generator(step).integers(len(lengths), size=count))
        pieces = []
        for epoch, first, end in self._epochs(step, self.batch_size, self.num_targets):
            order, starts = self._shuffled_lines(epoch)
            left, right = np.searchsorted(starts, [first, end])
            pieces.append(order[left:right])
        lines = np.concatenate(pieces)
        if len(lines) == 0:
            lines = order[left - 1 : left]
        return self.spans.positions(lines)

    def _shuffle_lines(self, epoch: int) -> tuple[NDArray[np.int32], NDArray[np.integer[Any]]]:
        """Return the lines of an epoch in their order, and the number of targets before each."""
        order = self._shuffle(epoch, len(self.spans.lengths)).astype(np.int32)
        lengths = self.spans.lengths[order]
        return order, np.cumsum(lengths, dtype=np.int64) - lengths


class CountedSampler(BatchSampler):
    """Samples targets or whole lines as often as they are counted.

    The counts are added up, and a step draws one place from each of as many equal pieces of the sum as it has units.
    """

    def __init__(
        self, spans: LineSpans, counts: NDArray[np.int64], batch_size: int, seed: int, *, whole_lines: bool
    ) -> None:
        super().__init__(int(spans.lengths.sum()), batch_size, "replacement", seed)
        self.spans, self.whole_lines = spans, whole_lines
        targets = counts * spans.lengths
        self.units = round(batch_size * counts.sum() / targets.sum()) if whole_lines else batch_size
        self.ends = np.cumsum(counts if whole_lines else np.repeat(counts, spans.lengths))

    def at(self, step: int) -> NDArray[np.int64]:
        count = max(1, self.units)
        places = (np.arange(count) + self._generator(step).random(count)) * (int(self.ends[-1]) / count)
        drawn = np.searchsorted(self.ends, np.minimum(places, self.ends[-1] - 1).astype(np.int64), side="right")
        return self.spans.positions(drawn) if self.whole_lines else drawn


class BlockBatchSampler(BatchSampler):
    """Samples blocks of `block_size` consecutive characters of a text.

    With `shuffle` every epoch cuts the text into blocks, starting at a random place, and has each block once;
    `replacement` draws blocks from anywhere. Raises `UsageError` for a block that is longer than the text, and for a
    batch that is not a whole number of blocks.
    """

    def __init__(self, num_targets: int, batch_size: int, sampling: BatchSampling, seed: int, block_size: int) -> None:
        super().__init__(num_targets, batch_size, sampling, seed)
        if block_size > num_targets:
            raise UsageError(
                f"`block_size` is {block_size:,}, more than the {num_targets:,} characters to train on: choose shorter "
                "blocks, or use more text"
            )
        if batch_size % block_size:
            nearest = max(1, round(batch_size / block_size)) * block_size
            raise UsageError(
                f"`batch_size` is {batch_size:,}; for continuous text it must be a multiple of `block_size` "
                f"({block_size:,}), such as {nearest:,}"
            )
        self.block_size, self.blocks_per_step = block_size, batch_size // block_size
        # One block fewer than there is room for, so that the cuts can be shifted.
        self.blocks_per_epoch = max(1, num_targets // block_size - 1)

    def at(self, step: int) -> NDArray[np.int64]:
        if self.sampling == "replacement":
            starts = self._generator(step).integers(self.num_targets - self.block_size + 1, size=self.blocks_per_step)
        else:
            pieces = []
            for epoch, first, end in self._epochs(step, self.blocks_per_step, self.blocks_per_epoch):
                blocks = self._order(epoch, self.blocks_per_epoch, first, end)
                room = self.num_targets - self.blocks_per_epoch * self.block_size
                shift = self._generator(epoch, 1).integers(room + 1)
                pieces.append(blocks * self.block_size + shift)
            starts = np.concatenate(pieces)
        return np.ravel(starts[:, None] + np.arange(self.block_size))


class StreamSampler(BlockBatchSampler):
    """Samples blocks of a text that is read in several streams at once: each goes on where its last block ended.

    The streams begin at equal distances, at another place in each epoch.
    """

    def __init__(self, num_targets: int, batch_size: int, sampling: BatchSampling, seed: int, block_size: int) -> None:
        super().__init__(num_targets, batch_size, sampling, seed, block_size)
        self.distance = num_targets // self.blocks_per_step
        if self.distance < block_size:
            raise UsageError(
                f"`batch_size` is {batch_size:,}, more than the {num_targets:,} characters to train on: choose a "
                "smaller one, or use more text"
            )
        self.steps_per_epoch = max(1, self.distance // block_size - 1)  # with room for the shift

    def at(self, step: int) -> NDArray[np.int64]:
        epoch, step = divmod(step, self.steps_per_epoch)
        shift = self._generator(epoch, 1).integers(self.distance - self.steps_per_epoch * self.block_size + 1)
        starts = self.distance * np.arange(self.blocks_per_step) + shift + step * self.block_size
        return np.ravel(starts[:, None] + np.arange(self.block_size))
