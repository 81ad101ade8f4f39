"""From integer arrays to what a model runs on: here tensors begin.

B examples of a batch, L lines of a batch, T context length or longest line of a batch, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.ngram_tables import NgramTables
from wavemore.engine.recipe import Execution, Order
from wavemore.nn.fusion import UniquePlan, unique_logits
from wavemore.nn.model import Model
from wavemore.nn.tree import Tree
from wavemore.text.corpus import windows
from wavemore.text.vocabulary import Ids

CHUNK = 131_072  # rows at once: some tens of MB of activations, however long the part
LINE_CHUNK = 32_768  # the same for models that keep more activations a row,
LOGITS = 2**23  # and fewer where the vocabulary is large
GROUP, MOST_GROUPS = 512, 3  # lines of a batch are run in groups of about one length, of so many targets at least


def batches_of(tokens: Ids, model: Model, execution: Execution = "unique") -> "Batches":
    """One part of the data, run through a model by one of its executions.

    Where a model cannot be run by that one another stands in: what is no tree takes `lines`, whatever is asked for.
    """
    if isinstance(model, Tree) and execution != "lines":
        return WindowBatches(tokens, model, execution)
    return LineBatches(tokens, model)


class Batches(ABC):
    """One part of the data, flat ids (N,) of which each is a target, and the model that predicts them."""

    def __init__(self, tokens: Ids, model: Model) -> None:
        self.tokens = tokens
        self.model = model
        self.device = model.device

    @abstractmethod
    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Logits of the characters at `positions`: (B,) -> (B, V)."""

    def targets(self, positions: NDArray[np.int64]) -> Tensor:
        """The characters at `positions`: (B,)."""
        return self._tensor(self.tokens[positions])

    def nats(self, positions: NDArray[np.int64]) -> Tensor:
        """-log p of the characters at `positions`: (B,); not for training, where the loss does it."""
        logits = self.logits(positions)
        return logits.logsumexp(dim=1) - logits.gather(1, self.targets(positions)[:, None]).squeeze(1)

    def probabilities(self, positions: NDArray[np.int64]) -> Tensor:
        """p of every character at `positions`, chunk after chunk: (B,) -> (B, V); not for training."""
        return self.logits(positions).softmax(dim=1)

    @abstractmethod
    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All positions once, as many at a time and in such an order that they are run quickly."""

    @abstractmethod
    def positions(self, batch_size: int, order: Order, seed: int) -> "Positions":
        """Which targets each step of a training takes."""

    def _tensor(self, ids: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(ids.astype(np.int64, copy=False)).to(self.device)


class WindowBatches(Batches):
    """The windows of one part of the data, run through a tree by one of its executions.

    `unique` builds the n-gram tables once, here; `windows` takes the T characters before each target as they are,
    and stands in where a tree minds the position.
    """

    model: Tree

    def __init__(self, tokens: Ids, model: Tree, execution: Execution) -> None:
        super().__init__(tokens, model)
        self.dtype = next(model.parameters()).dtype
        unique = execution == "unique" and not model.is_positional
        self.tables = NgramTables(tokens, model.config.fuse) if unique else None

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Logits of the characters at `positions`: (B,) -> (B, V)."""
        if self.tables is None:
            context = windows(self.tokens, positions, self.model.context)
            logits: Tensor = self.model(self._tensor(context))
            return logits
        return self.model.unique(self.plan(positions))

    def nats(self, positions: NDArray[np.int64]) -> Tensor:
        """-log p of the characters at `positions`: (B,); not for training, where the loss does it."""
        if self.tables is None:
            return super().nats(positions)
        plan = self.plan(positions)  # each distinct context's probabilities once
        logits, rows = unique_logits(self.model.layers, plan), plan.inverse  # (U, V), (B,)
        picked = rows * logits.shape[1] + self.targets(positions)
        return logits.logsumexp(dim=1).index_select(0, rows) - logits.flatten().index_select(0, picked)

    def probabilities(self, positions: NDArray[np.int64]) -> Tensor:
        """p of every character at `positions`: (B,) -> (B, V); not for training."""
        if self.tables is None:
            return super().probabilities(positions)
        plan = self.plan(positions)  # each distinct context's once, as above
        return unique_logits(self.model.layers, plan).softmax(dim=1).index_select(0, plan.inverse)

    def plan(self, positions: NDArray[np.int64]) -> UniquePlan:
        """Which rows each level computes, and which children each row has."""
        assert self.tables is not None
        plan = self.tables.batch(positions)
        return UniquePlan(
            leaves=self._tensor(plan.leaves),
            children=tuple(self._tensor(children) for children in plan.children),
            parts=plan.parts,
            counts=tuple(torch.as_tensor(counts, dtype=self.dtype, device=self.device) for counts in plan.counts),
            inverse=self._tensor(plan.inverse),
        )

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All positions once, equal contexts together where that saves work."""
        # As many rows of the bottom level at once: `windows` has one for every character of every context.
        return self.in_order_of_contexts(CHUNK if self.tables else max(1, CHUNK // self.model.context))

    def in_order_of_contexts(self, size: int) -> Iterator[NDArray[np.int64]]:
        """All positions, `size` at a time, equal contexts together where that saves work."""
        n = len(self.tokens)
        order = np.arange(n) if self.tables is None else np.argsort(self.tables.top, kind="stable")
        for start in range(0, n, size):
            yield order[start : start + size]

    def positions(self, batch_size: int, order: Order, seed: int) -> "Positions":
        """Which targets each step of a training takes: any, in any order."""
        return Positions(len(self.tokens), batch_size, order, seed)


class LineBatches(Batches):
    """The lines of one part of the data, run through a model whole: logits at every position in one pass.

    A line stands in its row after a boundary; shorter ones are filled up with boundaries after their end, whose
    logits are never looked at. So that they are few, many lines are run as some groups, each of about one length.
    """

    def __init__(self, tokens: Ids, model: Model) -> None:
        super().__init__(tokens, model)
        self.ends = np.flatnonzero(tokens == 0)  # (lines,) the boundary that ends each line
        self.starts = np.concatenate(([0], self.ends[:-1] + 1))
        self.lengths = self.ends - self.starts + 1  # in targets

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Logits of the characters at `positions`, whose lines are run from their beginning: (B,) -> (B, V)."""
        line_of = np.searchsorted(self.ends, positions)  # (B,)
        lines, row_of = np.unique(line_of, return_inverse=True)  # (L,), (B,)
        by_length = np.argsort(self.lengths[lines], kind="stable")
        firsts = np.empty(len(lines), dtype=np.int64)  # where the logits of each line begin
        logits, count = [], 0
        for group in np.array_split(by_length, self._groups(self.lengths[lines])):
            longest = int(self.lengths[lines[group]].max())
            logits.append(self.model.logits_at_every(self._tensor(self._rows(lines[group], longest))).flatten(0, 1))
            firsts[group] = count + longest * np.arange(len(group))
            count += longest * len(group)
        picked = firsts[row_of] + positions - self.starts[line_of]
        return (logits[0] if len(logits) == 1 else torch.cat(logits)).index_select(0, self._tensor(picked))

    def _groups(self, lengths: NDArray[np.int64]) -> int:
        """Into how many groups of about one length lines are sorted, so that less is filled up."""
        return int(min(MOST_GROUPS, len(lengths), max(1, lengths.sum() // GROUP)))

    def _rows(self, lines: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
        """What stands before each target of the lines: (L, T), in the first column boundaries."""
        columns = np.arange(longest)
        places = self.starts[lines][:, None] + columns - 1
        within = (columns > 0) & (columns < self.lengths[lines][:, None])
        ids: NDArray[np.int64] = np.where(within, self.tokens[np.where(within, places, 0)], 0).astype(np.int64)
        return ids

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All positions once, in whole lines, those of about one length together."""
        size = max(1, min(LINE_CHUNK, LOGITS // self.model.vocabulary_size))
        order = np.argsort(self.lengths, kind="stable")
        lengths = self.lengths[order]
        start = 0
        while start < len(order):
            # The last line is the longest: as many lines as have room at its length.
            ahead = lengths[start : start + size]
            cells = ahead * np.arange(1, len(ahead) + 1)
            count = max(1, int(np.searchsorted(cells, size, side="right")))
            yield self.targets_of(order[start : start + count])
            start += count

    def targets_of(self, lines: NDArray[np.int64]) -> NDArray[np.int64]:
        """The positions of all targets of some lines, one line after the other: (L,) -> (B,)."""
        return spread_out(self.starts[lines], self.lengths[lines])

    def positions(self, batch_size: int, order: Order, seed: int) -> "Positions":
        """Which targets each step of a training takes: those of whole lines."""
        return LinePositions(self, batch_size, order, seed)


class Positions:
    """Which targets each step trains on: the same for the same seed and step, whatever went before.

    So a resumed training needs no state of a random generator, only its step.

    >>> Positions(targets=5, batch_size=3, order="shuffle", seed=0).at(step=0).shape
    (3,)
    """

    def __init__(self, targets: int, batch_size: int, order: Order, seed: int) -> None:
        self.targets, self.batch_size, self.order, self.seed = targets, batch_size, order, seed
        self._epoch = -1
        self._permutation: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def at(self, step: int) -> NDArray[np.int64]:
        """Positions of the batch of `step`, counted from 0: (B,)."""
        if self.order == "replacement":
            return np.random.default_rng([self.seed, step]).integers(self.targets, size=self.batch_size)
        first, end = step * self.batch_size, (step + 1) * self.batch_size
        pieces = []
        while first < end:  # a batch may end one epoch and begin the next
            epoch, offset = divmod(first, self.targets)
            piece = self._shuffled(epoch, self.targets)[offset : offset + end - first]
            pieces.append(piece)
            first += len(piece)
        return np.concatenate(pieces)

    def _shuffled(self, epoch: int, count: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(count)
            self._epoch = epoch
        return self._permutation


class LinePositions(Positions):
    """The same in whole lines: `batch_size` targets a step on the average, and a line at least.

    An epoch lays its shuffled lines end to end; a step takes those that begin in its stretch of `batch_size` targets
    or, where none begins there, the one that reaches over it.
    """

    def __init__(self, batches: LineBatches, batch_size: int, order: Order, seed: int) -> None:
        super().__init__(len(batches.tokens), batch_size, order, seed)
        self.batches = batches
        self._begins: NDArray[np.int64] = np.empty(0, dtype=np.int64)

    def at(self, step: int) -> NDArray[np.int64]:
        """Positions of the batch of `step`, counted from 0: (B,), one line after the other."""
        lengths = self.batches.lengths
        if self.order == "replacement":
            count = max(1, round(self.batch_size * len(lengths) / self.targets))
            return self.batches.targets_of(np.random.default_rng([self.seed, step]).integers(len(lengths), size=count))
        first, end = step * self.batch_size, (step + 1) * self.batch_size
        lines = []
        while first < end:  # a batch may end one epoch and begin the next
            epoch, offset = divmod(first, self.targets)
            known = self._epoch
            order = self._shuffled(epoch, len(lengths))
            if known != epoch:
                self._begins = np.cumsum(lengths[order]) - lengths[order]
            left, right = np.searchsorted(self._begins, [offset, offset + end - first])
            lines.append(order[left:right])
            first = min(end, (epoch + 1) * self.targets)
        chosen = np.concatenate(lines)
        if len(chosen) == 0:  # all within one line, of the epoch that was looked at last
            chosen = order[left - 1 : left]
        return self.batches.targets_of(chosen)


def spread_out(starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """All numbers of some ranges, range after range.

    >>> spread_out(np.array([7, 2]), np.array([3, 2])).tolist()
    [7, 8, 9, 2, 3]
    """
    firsts = np.cumsum(lengths) - lengths  # where each range begins in the answer
    spread: NDArray[np.int64] = np.arange(int(lengths.sum())) + np.repeat(starts - firsts, lengths)
    return spread
