"""From integer arrays to tensors: batchers run a model on the targets of a part.

Shapes: N targets of a part, B targets of a batch, L lines or blocks of a batch, T positions of a row, U distinct
contexts, V vocabulary.
"""

# ruff: noqa: D102 - methods that override another are documented in Batcher

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batch_samplers import BatchSampler, BlockBatchSampler, LineBatchSampler
from wavemore.engine.batcher import Batcher
from wavemore.engine.line_spans import LineSpans
from wavemore.engine.ngram_tables import NgramTables
from wavemore.engine.recipe import BatchSampling, Execution, Recipe
from wavemore.errors import ModelError
from wavemore.nn.fusion import unique_logits
from wavemore.nn.model import Model
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.tree import Tree
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.parts import Part, windows
from wavemore.text.vocabulary import BOUNDARY, Ids

CHUNK = 131_072  # contexts of a tree that are evaluated at once
LINE_CHUNK = 32_768  # positions of lines and blocks, for which models keep more activations, that are
MAX_CHUNK_VALUES = 2**24  # logits or activations of a layer; with a large vocabulary or a wide layer, fewer positions
LONG_LINE = 4_096  # targets from which a line is evaluated in blocks: the time and memory of attention are quadratic
MIN_GROUP, MAX_GROUPS = 512, 3  # groups of lines of similar length in a batch: targets per group, number of groups
MIN_EVALUATION_BLOCK = 512  # characters per block when a text is evaluated by a model with a short context
ROWS = 8  # the lines of a step of an LSTM are filled up to a multiple: torch keeps memory for each shape of a product
MAX_STREAMS, LEAD_IN = 64, 512  # streams of a text, and characters that a stream reads before its first target
TABLE_TARGETS = 2**22  # targets whose n-grams are found once; those of more would not fit into memory


def training_batcher(part: Part, model: Model, recipe: Recipe) -> Batcher:
    """Choose how a training runs `model` on a part: in blocks, in windows or in whole lines.

    Raises `ModelError` for a model of another vocabulary.
    """
    _require_vocabulary(model, part)
    if part.format == "text":
        # A tree computes the positions before a block in any case, so it is given the text there.
        left_context = model.context - 1 if isinstance(model, Tree) else 0
        return BlockBatcher(part.tokens, model, recipe.block_size, left_context)
    if isinstance(model, Tree):
        return WindowBatcher(part.tokens, model, recipe.execution)
    return LineBatcher(part.tokens, model)


def evaluation_batcher(part: Part, model: Model, execution: Execution = "unique") -> Batcher:
    """Choose how `model` predicts every target of a part, each from all that the model can see before it.

    `execution` is for a tree on a list; all other models and texts have only one. Raises `ModelError` for a model of
    another vocabulary.
    """
    _require_vocabulary(model, part)
    return line_batcher(part.tokens, model, execution) if part.format == "lines" else text_batcher(part.tokens, model)


def line_batcher(tokens: Ids, model: Model, execution: Execution = "unique") -> Batcher:
    """Choose how `model` predicts the flat ids of lines: a tree from windows, all other models in whole lines."""
    return WindowBatcher(tokens, model, execution) if isinstance(model, Tree) else LongLineBatcher(tokens, model)


def text_batcher(tokens: Ids, model: Model) -> Batcher:
    """Choose how `model` predicts the ids of a text, of any length: in blocks, or in streams that read on and on."""
    if model.context is None:
        return StreamBatcher(tokens, model)
    block_size = max(MIN_EVALUATION_BLOCK, min(4 * model.context, chunk_size(model, LINE_CHUNK)))
    return BlockBatcher(tokens, model, block_size, left_context=model.context - 1)


def chunk_size(model: Model, most: int) -> int:
    """Return how many positions are evaluated at once: `most`, or fewer if the vocabulary or a layer is large."""
    widths = [max(parameter.shape[:2]) for parameter in model.parameters() if parameter.ndim >= 2]
    return max(1, min(most, MAX_CHUNK_VALUES // max([model.vocabulary_size, *widths])))


def _require_vocabulary(model: Model, part: Part) -> None:
    if part.vocabulary is not None:
        model.require_vocabulary(part.vocabulary.characters)
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
            return self.model.windows(self._tensor(windows(self.tokens, positions, self.model.context)))
        return self.model.unique(self.plan(positions))

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
        count, size = len(self.tokens), chunk_size(self.model, CHUNK)
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

    The row of a line begins with a boundary. Shorter lines are padded with boundaries, whose logits are not used. To
    save padding, the lines of a batch are run in a few groups of similar length. An LSTM needs no padding.
    """

    def __init__(self, tokens: Ids, model: Model) -> None:
        super().__init__(tokens, model)
        self.spans = LineSpans.of(tokens)

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        line_of = np.searchsorted(self.spans.starts, positions, side="right") - 1  # (B,)
        lines, row_of = np.unique(line_of, return_inverse=True)  # (L,), (B,)
        if isinstance(self.model, Recurrent) and self.model.is_packable and torch.is_grad_enabled():
            return self._packed_logits(self.model, lines, row_of, positions - self.spans.starts[line_of])
        lengths = self.spans.lengths[lines]
        groups = int(min(MAX_GROUPS, len(lines), max(1, lengths.sum() // MIN_GROUP)))
        first = np.empty(len(lines), dtype=np.int64)  # the row of each line's first logits
        logits, count = [], 0
        for group in np.array_split(np.argsort(lengths, kind="stable"), groups):
            longest = int(lengths[group].max())
            logits.append(self.model(self._tensor(self._rows(lines[group], longest))).flatten(0, 1))
            first[group] = count + longest * np.arange(len(group))
            count += longest * len(group)
        picked = first[row_of] + positions - self.spans.starts[line_of]
        return (logits[0] if len(logits) == 1 else torch.cat(logits)).index_select(0, self._tensor(picked))

    def _packed_logits(
        self, model: Recurrent, lines: NDArray[np.int64], row_of: NDArray[np.int64], time_of: NDArray[np.int64]
    ) -> Tensor:
        """Run a model on packed lines, (L,), and pick the logits at positions, (B,), of given lines and times."""
        lengths = self.spans.lengths[lines]
        order = np.argsort(-lengths, kind="stable")
        sizes = len(lines) - np.cumsum(np.bincount(lengths))[:-1]  # the lines that are longer than each time
        sizes = np.minimum(-(-sizes // ROWS) * ROWS, len(lines))
        first = np.cumsum(sizes) - sizes
        times = np.repeat(np.arange(len(sizes)), sizes)
        places = self.spans.starts[lines[order]][np.arange(len(times)) - first[times]] + times
        before = np.where(times > 0, self.tokens[np.minimum(places, len(self.tokens)) - 1], BOUNDARY)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        logits = model.packed(self._tensor(before), sizes.tolist())
        return logits.index_select(0, self._tensor(first[time_of] + rank[row_of]))

    def _rows(self, lines: NDArray[np.int64], longest: int) -> NDArray[np.int64]:
        """Return the character before each target of the lines, first a boundary: (L, T)."""
        columns = np.arange(longest)
        places = self.spans.starts[lines][:, None] + columns - 1
        inside = (columns > 0) & (columns < self.spans.lengths[lines][:, None])
        return np.where(inside, self.tokens[np.where(inside, places, 0)], BOUNDARY).astype(np.int64)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        return self._chunks(np.arange(len(self.spans.lengths)))

    def _chunks(self, lines: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
        """Yield the positions of some lines in pieces."""
        size = chunk_size(self.model, LINE_CHUNK)
        order = lines[np.argsort(self.spans.lengths[lines], kind="stable")]
        lengths = self.spans.lengths[order]
        start = 0
        while start < len(order):
            # As many lines as fit when all are padded to the length of the last one, the longest.
            ahead = lengths[start : start + size]
            padded = ahead * np.arange(1, len(ahead) + 1)
            count = max(1, int(np.searchsorted(padded, size, side="right")))
            yield self.spans.positions(order[start : start + count])
            start += count

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return LineBatchSampler(self.spans, batch_size, sampling, seed)


class LongLineBatcher(LineBatcher):
    """The same for lines of any length: long ones are run in pieces, as texts are; for evaluation.

    The chunks must be used in their order, each by one call of `logits` or `nats`.
    """

    _piece: tuple[int, Batcher] | None = None  # the start of the long line that is being evaluated, and its batcher

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        is_long = self.spans.lengths > min(LONG_LINE, chunk_size(self.model, LINE_CHUNK))
        yield from self._chunks(np.flatnonzero(~is_long))
        for start, length in zip(self.spans.starts[is_long], self.spans.lengths[is_long], strict=True):
            batcher = text_batcher(self.tokens[start : start + length], self.model)
            for positions in batcher.chunks():
                self._piece = int(start), batcher
                yield start + positions
        self._piece = None

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        if self._piece is None:
            return super().logits(positions)
        start, batcher = self._piece
        return batcher.logits(positions - start)


class BlockBatcher(Batcher):
    """Runs a model on blocks of consecutive characters of a text.

    The model sees `left_context` characters of the text before each block. If it could see more, they are preceded
    by one boundary, as if the text began there.
    """

    def __init__(self, tokens: Ids, model: Model, block_size: int, left_context: int) -> None:
        super().__init__(tokens, model)
        self.block_size, self.left_context = block_size, left_context
        self.cuts_context = model.context is None or left_context + 1 < model.context

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Predict the targets at `positions`, whole blocks or a single shorter one: (B,) -> (B, V)."""
        blocks = positions.reshape(-1, min(self.block_size, len(positions)))  # (L, T)
        length = blocks.shape[1]
        tokens = self._tensor(self._rows(blocks[:, 0], length))  # (L, about left_context + T)
        logits: Tensor = self.model(tokens, logits_to_keep=length)
        return logits.flatten(0, 1)

    def _rows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the left context of each block and the character before each target: (L,) -> (L, T)."""
        before = self.left_context + self.cuts_context
        if len(starts) == 1:  # a single block needs no padding to the length of others
            before = min(before, int(starts[0]))
        places = starts[:, None] + np.arange(-before - 1, length - 1)
        ids: NDArray[np.int64] = self.tokens[np.maximum(places, 0)].astype(np.int64)
        ids[places < 0] = BOUNDARY
        if self.cuts_context:
            ids[:, 0] = BOUNDARY
        return ids

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        count, size = len(self.tokens), self.block_size
        whole = count - count % size
        blocks_per_chunk = max(1, chunk_size(self.model, LINE_CHUNK) // (self.left_context + size))
        # The first block is alone, as it has no left context.
        edges = sorted({0, *range(size, whole, blocks_per_chunk * size), whole, count})
        for start, end in pairwise(edges):
            yield np.arange(start, end)

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return BlockBatchSampler(len(self.tokens), batch_size, sampling, seed, self.block_size)


class StreamBatcher(BlockBatcher):
    """Reads a text from beginning to end, for models that see everything before a target; for evaluation.

    A long text is read by several streams at once. Each but the first begins `LEAD_IN` characters before its targets:
    what came earlier changes no prediction of a trained network by more than rounding does. The chunks must be used in
    their order, each by one call of `logits` or `nats`.
    """

    def __init__(self, tokens: Ids, model: Model) -> None:
        super().__init__(tokens, model, chunk_size(model, LINE_CHUNK), left_context=0)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        count = len(self.tokens)
        streams = min(MAX_STREAMS, max(1, (count - LEAD_IN) // (8 * LEAD_IN)))
        lead_in = LEAD_IN if streams > 1 else 0
        stride = -(-(count - lead_in) // streams)
        size = max(1, self.block_size // streams)
        self._decoder = self.model.decoder(streams)
        starts = stride * np.arange(streams)[:, None]
        for first in range(0, stride + lead_in, size):
            read = np.arange(first, min(first + size, stride + lead_in))
            self._read = starts + read  # (L, T)
            self._predicted = (self._read < count) & ((read >= lead_in) | (starts == 0))
            yield self._read[self._predicted]

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        tokens = self.tokens[np.minimum(self._read, len(self.tokens) - 1)]
        logits = self._decoder.prefill(self._tensor(tokens))  # (L, T, V)
        return logits[torch.from_numpy(self._predicted).to(self.device)]
