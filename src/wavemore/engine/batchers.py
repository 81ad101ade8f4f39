"""From integer arrays to tensors: batchers run a model on the targets of a part.

Shapes: N targets of a part, B targets of a batch, L lines or blocks of a batch, T positions of a row, U distinct
contexts, V vocabulary.
"""

# ruff: noqa: D102 - methods that override another are documented in Batcher

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batch_samplers import BatchSampler, CountedSampler, LineBatchSampler
from wavemore.engine.batcher import Batcher, PaddedBatch, chunk_size, few_lengths, line_chunk
from wavemore.engine.line_spans import LineSpans
from wavemore.engine.ngram_tables import NgramTables
from wavemore.engine.prefixes import prefix_plan
from wavemore.engine.recipe import NO_STREAMS, BatchSampling, Execution, Recipe
from wavemore.engine.text_batchers import BlockBatcher, CarryingBatcher, StreamBatcher
from wavemore.errors import ModelError, UsageError
from wavemore.nn.fusion import unique_logits
from wavemore.nn.kernels.torch_internals import runs_as
from wavemore.nn.model import Model
from wavemore.nn.prefix_plan import PrefixPlan
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.tree import Tree
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.labels import LabelColumn
from wavemore.text.parts import Part, windows
from wavemore.text.vocabulary import BOUNDARY, Ids

CHUNK = 131_072  # contexts of a tree that are evaluated at once
LONG_LINE = 4_096  # targets from which a line is evaluated in blocks: the time and memory of attention are quadratic
MIN_GROUP, MAX_GROUPS = 512, 3  # groups of lines of similar length in a batch: targets per group, number of groups
MIN_SHARING = 256  # lines that an LSTM evaluates at once from which it pays to compute common beginnings only once
ROWS, MOST_PADDING = 16, 8  # a padded batch has a multiple of so many lines, and so many positions per target at most
SORTED_BY = 8  # first characters by which these lines are sorted
MIN_EVALUATION_BLOCK = 512  # characters per block when a text is evaluated by a model with a short context
TABLE_TARGETS = 2**22  # targets whose n-grams are found once; those of more would not fit into memory


def training_batcher(part: Part, model: Model, recipe: Recipe) -> Batcher:
    """Choose how a training runs `model` on a part: in blocks, in windows or in whole lines.

    Raises `ModelError` for a model of another vocabulary, and `UsageError` for streams of lines or of another model.
    """
    require_vocabulary(model, part)
    if recipe.sampling == "streams":
        if not (part.format == "text" and isinstance(model, Recurrent)):
            raise UsageError(NO_STREAMS)
        if not runs_as(model, Recurrent):
            raise UsageError(
                "`sampling` streams does not call the model, and this one has hooks or a `forward` of its own"
            )
    if part.format == "text":
        # A tree computes the positions before a block in any case, so it is given the text there.
        left_context = model.context - 1 if isinstance(model, Tree) else 0
        if recipe.sampling == "streams" and isinstance(model, Recurrent):
            return CarryingBatcher(part.tokens, model, recipe.block_size)
        return BlockBatcher(part.tokens, model, recipe.block_size, left_context)
    if isinstance(model, Tree) and runs_as(model, Tree):
        return WindowBatcher(part.tokens, model, recipe.execution)
    return LineBatcher(part.tokens, model, part.labels)


def training_sampler(part: Part, batcher: Batcher, recipe: Recipe) -> BatchSampler:
    """Choose the targets of each training step; lines that occur more often than others are drawn as often."""
    counts = part.segment_weights
    if counts is None:
        return batcher.sampler(recipe.batch_size, recipe.sampling, recipe.seed)
    spans, whole_lines = LineSpans.of(part.tokens), not isinstance(batcher, WindowBatcher)
    return CountedSampler(spans, counts, recipe.batch_size, recipe.seed, whole_lines=whole_lines)


def evaluation_batcher(part: Part, model: Model, execution: Execution = "unique") -> Batcher:
    """Choose how `model` predicts every target of a part, each from all that the model can see before it.

    `execution` is for a tree on a list; all other models and texts have only one. Raises `ModelError` for a model of
    another vocabulary.
    """
    require_vocabulary(model, part)
    if part.format == "lines":
        return line_batcher(part.tokens, model, execution, part.labels)
    return text_batcher(part.tokens, model)


def line_batcher(
    tokens: Ids, model: Model, execution: Execution = "unique", labels: LabelColumn | None = None
) -> Batcher:
    """Choose how `model` predicts the flat ids of lines: a tree from windows, all other models in whole lines.

    `labels` are those of the lines, if the model takes labels.
    """
    if isinstance(model, Tree) and runs_as(model, Tree):
        return WindowBatcher(tokens, model, execution)
    return LongLineBatcher(tokens, model, labels)


def text_batcher(tokens: Ids, model: Model, start: int = BOUNDARY) -> Batcher:
    """Choose how `model` predicts the ids of a text, of any length: in blocks, or in streams that read on and on.

    `start` is the token before the first one.
    """
    if model.context is None:
        return StreamBatcher(tokens, model, start)
    block_size = max(MIN_EVALUATION_BLOCK, min(4 * model.context, line_chunk(model)))
    return BlockBatcher(tokens, model, block_size, model.context - 1, start)


def require_vocabulary(model: Model, part: Part) -> None:
    """Raise `ModelError` for a model of another vocabulary than a part."""
    if part.labels is None and model.num_labels:
        raise ModelError("the model was trained on items with labels: give the label of each item")
    if part.vocabulary is not None:
        model.require_vocabulary(part.vocabulary.characters, part.vocabulary.labels.names)
    elif (largest := int(part.tokens.max(initial=0))) >= model.vocabulary_size:
        raise ModelError(f"the data has the token {largest:,}, and the model only 0 to {model.vocabulary_size - 1:,}")


class WindowBatcher(Batcher):
    """Runs a tree on the window of characters before each target.

    The execution `windows` takes the windows as they are; `unique` computes each distinct n-gram of a batch once. The
    n-grams of the part are found once, here, those of a large part for each batch. A tree with layers that depend on
    the position is always run by `windows`.
    """

    model: Tree

    def __init__(self, tokens: Ids, model: Tree, execution: Execution) -> None:
        super().__init__(tokens, model)
        self.is_unique = execution == "unique" and not model.is_positional
        fits = self.is_unique and len(tokens) <= TABLE_TARGETS
        self.tables = NgramTables(tokens, model.config.fuse) if fits else None
        self._piece: tuple[int, NgramTables | None] = 0, self.tables  # where the n-grams at hand begin

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        if not self.is_unique:
            return self.model.windows(self.tensor(windows(self.tokens, positions, self.model.context)))
        return self.model.unique(self.plan(positions))

    def padded(self, positions: NDArray[np.int64]) -> PaddedBatch | None:
        return PaddedBatch(positions, (windows(self.tokens, positions, self.model.context).astype(np.int64),))

    def predict(self, *inputs: Tensor) -> Tensor:
        return self.model.windows(inputs[0])

    def nats(self, positions: NDArray[np.int64]) -> Tensor:
        if not self.is_unique:
            return super().nats(positions)
        plan = self.plan(positions)
        logits, rows = unique_logits(self.model.layers, plan), plan.inverse  # (U, V), (B,)
        picked = rows * logits.shape[1] + self.targets(positions)
        return -logits.log_softmax(dim=1).flatten().index_select(0, picked)

    def plan(self, positions: NDArray[np.int64]) -> UniquePlan:
        """Find the distinct n-grams of the windows before `positions`; only for the execution `unique`."""
        assert self.is_unique
        start, tables = self._piece
        if tables is None:
            contexts = windows(self.tokens, positions, self.model.context)
            tables = NgramTables.of_windows(contexts, self.model.config.fuse)
            positions, start = np.arange(len(positions)), 0
        return tables.batch(positions - start, self.device, next(self.model.parameters()).dtype)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        count = len(self.tokens)
        size = min(chunk_size(self.model, CHUNK), -(-count // self.ranks.size))
        if not self.is_unique:  # the bottom level has one row for every character of every window
            size = max(1, size // self.model.context)
            yield from (np.arange(start, min(start + size, count)) for start in range(0, count, size))
            return
        whole, piece = self._piece, count if self.tables is not None else TABLE_TARGETS // 4
        for start in range(0, count, piece):
            begin = max(0, start - self.model.context)  # the contexts of the first targets reach back to there
            tables = self.tables or NgramTables(self.tokens[begin : start + piece], self.model.config.fuse)
            self._piece = begin, tables
            order = start + np.argsort(tables.top[start - begin :], kind="stable")  # equal contexts together
            yield from (order[first : first + size] for first in range(0, len(order), size))
        self._piece = whole

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return BatchSampler(len(self.tokens), batch_size, sampling, seed)


class LineBatcher(Batcher):
    """Runs a model on whole lines, at all positions in one pass.

    The row of a line begins with a boundary or with the token of its label. Shorter lines are padded with boundaries,
    whose logits are not used. To save padding, the lines of a batch are run in a few groups of similar length. An LSTM
    on a CPU needs no padding, and computes each common beginning of lines only once.
    """

    def __init__(self, tokens: Ids, model: Model, labels: LabelColumn | None = None) -> None:
        """`labels` are those of the lines, if the model takes labels."""
        super().__init__(tokens, model)
        self.spans = LineSpans.of(tokens)
        self.starts = None if labels is None else model.vocabulary_size + labels.numbers.astype(np.int64)
        """The token before each line, (L,), if that is no boundary."""

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        if isinstance(self.model, Recurrent) and self.model.is_packable and (torch.is_grad_enabled() or self._shares):
            return self.model.unique(self.plan(positions))
        lines, row_of, time_of = self._places(positions)
        lengths = self.spans.lengths[lines]
        groups = int(min(MAX_GROUPS, len(lines), max(1, lengths.sum() // MIN_GROUP)))
        first = np.empty(len(lines), dtype=np.int64)  # the row of each line's first logits
        logits, count = [], 0
        for group in np.array_split(np.argsort(lengths, kind="stable"), groups):
            longest = int(lengths[group].max())
            logits.append(self.model(self.tensor(self.rows(lines[group], longest))).flatten(0, 1))
            first[group] = count + longest * np.arange(len(group))
            count += longest * len(group)
        picked = first[row_of] + time_of
        return (logits[0] if len(logits) == 1 else torch.cat(logits)).index_select(0, self.tensor(picked))

    def padded(self, positions: NDArray[np.int64]) -> PaddedBatch | None:
        lines, row_of, time_of = self._places(positions)
        longest = few_lengths(int(self.spans.lengths[lines].max()))
        count = ROWS * ceil(len(lines) / ROWS)
        if count * longest > MOST_PADDING * len(positions):
            return None
        rows, places = np.full((count, longest), BOUNDARY, np.int64), np.full((count, longest), -1, np.int64)
        rows[: len(lines)] = self.rows(lines, longest)
        places[row_of, time_of] = positions
        return PaddedBatch(places.ravel(), (rows,))

    def predict(self, *inputs: Tensor) -> Tensor:
        logits: Tensor = self.model(inputs[0])
        return logits.flatten(0, 1)

    def plan(self, positions: NDArray[np.int64]) -> PrefixPlan:
        """Find the distinct beginnings of the lines at `positions`, (B,), for an LSTM."""
        lines, row_of, time_of = self._places(positions)
        lengths = self.spans.lengths[lines]
        first = np.full(len(lines), BOUNDARY) if self.starts is None else self.starts[lines]
        plan = prefix_plan(first, self.tokens, self.spans.starts[lines], lengths)
        picked = (np.cumsum(lengths) - lengths)[row_of] + time_of
        return replace(plan, inverse=plan.inverse[self.tensor(picked)])

    def _places(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the lines of positions, (L,), and for each position which of these, (B,), and how far in it, (B,)."""
        line_of = np.searchsorted(self.spans.starts, positions, side="right") - 1
        lines, row_of = np.unique(line_of, return_inverse=True)
        return lines, row_of, positions - self.spans.starts[line_of]

    def rows(self, lines: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
        """Return the character before each target of the lines, first a boundary or the label: (L, T)."""
        columns = np.arange(longest)
        places = self.spans.starts[lines][:, None] + columns - 1
        inside = (columns > 0) & (columns < self.spans.lengths[lines][:, None])
        rows = np.where(inside, self.tokens[np.where(inside, places, 0)], BOUNDARY).astype(np.int64)
        if self.starts is not None:
            rows[:, 0] = self.starts[lines]
        return rows

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        if self.ranks.size == 1:
            return positions
        line_of = np.searchsorted(self.spans.starts, positions, side="right") - 1
        first = np.append(np.flatnonzero(positions == self.spans.starts[line_of]), len(positions))
        span = self.ranks.span(len(positions))  # moved to where lines begin
        start, stop = (first[np.searchsorted(first, edge)] for edge in (span.start, span.stop))
        return positions[start:stop]

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        return self._chunks(np.arange(len(self.spans.lengths)))

    def _chunks(self, lines: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield the positions of some lines in pieces."""
        size = line_chunk(self.model)
        shares, lengths = self._shares, self.spans.lengths[lines]
        # Lines that share beginnings come together, but not with those of more than twice their length.
        keys = (self._beginnings(lines), np.frexp(lengths)[1]) if shares else (lengths,)
        order = lines[np.lexsort(keys)]
        lengths = self.spans.lengths[order]
        start = 0
        while start < len(order):
            # As many lines as fit; most models pad all to the length of the last one, the longest.
            ahead = lengths[start : start + size]
            needed = np.cumsum(ahead) if shares else ahead * np.arange(1, len(ahead) + 1)
            count = max(1, int(np.searchsorted(needed, size, side="right")))
            yield self.spans.positions(order[start : start + count])
            start += count

    @property
    def _shares(self) -> bool:
        """Whether beginnings are computed once in evaluation too: with few lines at a time, torch's layer is faster."""
        if not (isinstance(self.model, Recurrent) and self.model.is_packable):
            return False
        lines = len(self.spans.lengths)
        return min(lines, lines * line_chunk(self.model) // len(self.tokens)) >= MIN_SHARING

    def _beginnings(self, lines: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Return numbers by which lines with the same first characters are near each other: (L,) -> (L,)."""
        keys = np.zeros(len(lines), np.uint64)
        for place in range(SORTED_BY):
            inside = self.spans.lengths[lines] > place
            ids = self.tokens[np.where(inside, self.spans.starts[lines] + place, 0)]
            keys = keys << np.uint64(8) | np.where(inside, ids & 0xFF, 0).astype(np.uint64)
        return keys

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return LineBatchSampler(self.spans, batch_size, sampling, seed)


class LongLineBatcher(LineBatcher):
    """The same for lines of any length: long ones are run in pieces, as texts are; for evaluation.

    The chunks must be used in their order, each by one call of `logits` or `nats`.
    """

    _piece: tuple[int, Batcher] | None = None  # the start of the long line that is being evaluated, and its batcher

    @property
    def _is_long(self) -> NDArray[np.bool_]:
        return self.spans.lengths > min(LONG_LINE, line_chunk(self.model))

    def own_chunks(self) -> Iterator[NDArray[np.int64]]:
        if not self._is_long.any():
            return super().own_chunks()
        return self.chunks() if self.ranks.rank == 0 else iter(())  # pieces of a line are read in their order

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        is_long = self._is_long
        yield from self._chunks(np.flatnonzero(~is_long))
        for line in np.flatnonzero(is_long):
            start, length = self.spans.starts[line], self.spans.lengths[line]
            first = BOUNDARY if self.starts is None else int(self.starts[line])
            batcher = text_batcher(self.tokens[start : start + length], self.model, first)
            for positions in batcher.chunks():
                self._piece = int(start), batcher
                yield start + positions
        self._piece = None

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        if self._piece is None:
            return super().logits(positions)
        start, batcher = self._piece
        return batcher.logits(positions - start)
