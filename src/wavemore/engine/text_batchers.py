"""Batchers of continuous text: blocks of it, in any order or one after the other.

Shapes: N targets of a part, B targets of a batch, L blocks of a batch, T positions of a block, V vocabulary.
"""

# ruff: noqa: D102 - methods that override another are documented in Batcher

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.engine.batch_samplers import BatchSampler, BlockBatchSampler, StreamSampler
from wavemore.engine.batcher import Batcher, PaddedBatch, line_chunk
from wavemore.engine.recipe import BatchSampling, Recipe
from wavemore.nn.model import Model
from wavemore.nn.recurrent import Recurrent
from wavemore.text.vocabulary import BOUNDARY, Ids

MAX_STREAMS, LEAD_IN = 64, 512  # streams of a text, and characters that a stream reads before its first target


class BlockBatcher(Batcher):
    """Runs a model on blocks of consecutive characters of a text.

    The model sees `left_context` characters of the text before each block. If it could see more, they are preceded
    by one boundary, as if the text began there. `start` is the token before the text.
    """

    def __init__(self, tokens: Ids, model: Model, block_size: int, left_context: int, start: int = BOUNDARY) -> None:
        super().__init__(tokens, model)
        self.block_size, self.left_context, self.start = block_size, left_context, start
        self.cuts_context = model.context is None or left_context + 1 < model.context

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Predict the targets at `positions`, whole blocks or a single shorter one: (B,) -> (B, V)."""
        length = min(self.block_size, len(positions))
        tokens = self.rows(positions[::length], length)  # (L, about left_context + T)
        return self.model.last_logits(self.tensor(tokens), length).flatten(0, 1)

    def padded(self, positions: NDArray[np.int64]) -> PaddedBatch | None:
        return PaddedBatch(positions, (self.rows(positions[:: self.block_size], self.block_size),))

    def predict(self, *inputs: Tensor) -> Tensor:
        return self.model.last_logits(inputs[0], self.block_size).flatten(0, 1)

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        blocks = positions.reshape(-1, self.block_size)
        return blocks[self.ranks.span(len(blocks))].ravel()

    def rows(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """Return the left context of each block and the character before each target: (L,) -> (L, T)."""
        before = self.left_context + self.cuts_context
        if len(starts) == 1:  # a single block needs no padding to the length of others
            before = min(before, int(starts[0]))
        places = starts[:, None] + np.arange(-before - 1, length - 1)
        ids: NDArray[np.int64] = self.tokens[np.maximum(places, 0)].astype(np.int64)
        ids[places < 0] = self.start
        if self.cuts_context:
            ids[:, 0] = BOUNDARY
        return ids

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        count, size = len(self.tokens), self.block_size
        whole = count - count % size
        blocks_per_chunk = max(1, line_chunk(self.model) // (self.left_context + size))
        # The first block is alone, as it has no left context.
        edges = sorted({0, *range(size, whole, blocks_per_chunk * size), whole, count})
        for start, end in pairwise(edges):
            yield np.arange(start, end)

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return BlockBatchSampler(len(self.tokens), batch_size, sampling, seed, self.block_size)


class CarryingBatcher(BlockBatcher):
    """Trains a recurrent model on streams of a text: a block that goes on where the last one ended has its state."""

    model: Recurrent

    def __init__(self, tokens: Ids, model: Recurrent, block_size: int) -> None:
        super().__init__(tokens, model, block_size, left_context=0)
        self.ends = torch.zeros(0, dtype=torch.int64)  # where the last block of each stream ended, (L,)
        self.state: tuple[Tensor, ...] = ()  # after these blocks
        self.streams = 0  # of all ranks

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        self.streams = len(positions) // self.block_size
        return super().share(positions)

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        ids, follows = self._read(positions)
        before = tuple(state * follows.to(self.device) for state in self.state) if follows.any() else ()
        logits, after = self.model.read_on(self.tensor(ids), before)
        self._keep(after)
        return logits.flatten(0, 1)

    def _keep(self, after: tuple[Tensor, ...]) -> None:
        """Keep a state where the last one is, as a recorded step looks for it there."""
        if not self.state or self.state[0].shape != after[0].shape:
            self.state = after
        else:
            for state, new in zip(self.state, after, strict=True):
                state.copy_(new)

    def _read(self, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], Tensor]:
        """Return the ids of the next blocks, (L, T), and which of them go on where the last ones ended, (L, 1)."""
        blocks = positions.reshape(-1, self.block_size)
        ids = self.tokens[np.maximum(blocks - 1, 0)].astype(np.int64)
        ids[blocks == 0] = BOUNDARY
        starts = torch.from_numpy(blocks[:, 0].copy())
        follows = starts == self.ends if len(starts) == len(self.ends) else torch.zeros(len(starts), dtype=torch.bool)
        self.ends = starts + self.block_size
        return ids, follows[:, None]

    def padded(self, positions: NDArray[np.int64]) -> PaddedBatch:
        ids, follows = self._read(positions)
        self.state = self.state or _no_state(self.model, len(ids))
        return PaddedBatch(positions, (ids, follows.numpy()))

    def predict(self, *inputs: Tensor) -> Tensor:
        ids, follows = inputs
        logits, after = self.model.read_on(ids, tuple(state * follows for state in self.state))
        self._keep(after)
        return logits.flatten(0, 1)

    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        return StreamSampler(len(self.tokens), batch_size, sampling, seed, self.block_size)

    def carried(self) -> dict[str, Tensor]:
        carried = {"ends": self.ends} | {str(index): state for index, state in enumerate(self.state)}
        if self.ranks.size == 1:
            return carried
        return {
            name: self.ranks.join(value.to(self.device), 0 if name == "ends" else 1, self.streams)
            for name, value in carried.items()
        }

    def carry(self, tensors: dict[str, Tensor]) -> None:
        own = self.ranks.span(len(tensors["ends"]))
        self.ends = tensors["ends"][own].cpu()
        self.state = tuple(tensors[str(index)][:, own].to(self.device, copy=True) for index in range(len(tensors) - 1))


def carried_by(model: Model, recipe: Recipe) -> dict[str, Tensor]:
    """Return tensors of the types and sizes that a training carries from step to step, as `Batcher.carried` does."""
    if recipe.sampling != "streams" or not isinstance(model, Recurrent):
        return {}
    streams = recipe.batch_size // recipe.block_size
    ends = torch.empty(streams, dtype=torch.int64, device=model.device)
    return {"ends": ends} | {str(index): part for index, part in enumerate(_no_state(model, streams))}


def _no_state(model: Recurrent, streams: int) -> tuple[Tensor, ...]:
    """Return the state of streams before their first character, as `Recurrent.read_on` returns one."""
    parts = 2 if isinstance(model.cells, nn.LSTM) else 1
    weight = next(model.cells.parameters())
    return tuple(weight.new_zeros(model.config.layers, streams, model.config.hidden) for _ in range(parts))


class StreamBatcher(BlockBatcher):
    """Reads a text from beginning to end, for models that see everything before a target; for evaluation.

    A long text is read by several streams at once. Each but the first begins `LEAD_IN` characters before its targets:
    what came earlier changes no prediction of a trained network by more than rounding does. The chunks must be used in
    their order, each by one call of `logits` or `nats`.
    """

    def __init__(self, tokens: Ids, model: Model, start: int = BOUNDARY) -> None:
        super().__init__(tokens, model, line_chunk(model), left_context=0, start=start)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        count = len(self.tokens)
        # A text with a start that it must not forget is read by one stream.
        most = MAX_STREAMS if self.start == BOUNDARY else 1
        streams = min(most, max(1, (count - LEAD_IN) // (8 * LEAD_IN)))
        lead_in = LEAD_IN if streams > 1 else 0
        stride = -(-(count - lead_in) // streams)
        size = max(1, self.block_size // streams)
        first_token = None if self.start == BOUNDARY else torch.tensor([self.start])
        own = np.arange(streams)[self.ranks.span(streams)]
        if len(own) == 0:
            return
        self._decoder = self.model.decoder(len(own), first_token)
        starts = stride * own[:, None]
        for first in range(0, stride + lead_in, size):
            read = np.arange(first, min(first + size, stride + lead_in))
            self._read = starts + read  # (L, T)
            self._predicted = (self._read < count) & ((read >= lead_in) | (starts == 0))
            yield self._read[self._predicted]

    def own_chunks(self) -> Iterator[NDArray[np.int64]]:
        return self.chunks()

    def work(self, targets: int) -> int:
        return self._read.size  # the first chunks have few targets, as most streams are still before theirs

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        tokens = self.tokens[np.minimum(self._read, len(self.tokens) - 1)]
        logits = self._decoder.prefill(self.tensor(tokens))  # (L, T, V)
        return logits[torch.from_numpy(self._predicted).to(self.device)]
