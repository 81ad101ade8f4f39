"""Batches for a training loop of your own.

Shapes: L lines or blocks of a batch, T positions of a row, B targets of a batch, V vocabulary.
"""

from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import Any, Literal, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from wavemore.engine.batch_samplers import BatchSampler
from wavemore.engine.batchers import LineBatcher, WindowBatcher, require_vocabulary, training_sampler
from wavemore.engine.recipe import Recipe
from wavemore.engine.text_batchers import BlockBatcher
from wavemore.errors import ModelError, require, require_kind, typed
from wavemore.nn.model import Model, require_model
from wavemore.nn.prefix_plan import PrefixPlan
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.tree import Tree
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.parts import Part

IGNORED = -100
"""A target that does not count: what the losses of torch leave out by default."""

I = TypeVar("I")  # noqa: E741 - inputs


class Batches(Dataset[tuple[I, Tensor]]):
    """Batches of inputs and targets, one per step: a dataset of torch that is also iterated by itself.

    Batch `step` depends on the seed and on the step only. Each `for` loop goes over the data in another order.
    """

    def __init__(
        self, make: Callable[[NDArray[np.int64]], tuple[I, Tensor]], sampler: BatchSampler, steps: int
    ) -> None:
        self._make, self._sampler, self._steps, self._passes = make, sampler, steps, 0

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> tuple[I, Tensor]:
        if not 0 <= step < self._steps:
            raise IndexError(f"there are {self._steps} batches, numbered from 0, and no batch {step}")
        return self._make(self._sampler.at(step))

    def __iter__(self) -> Iterator[tuple[I, Tensor]]:
        first, self._passes = self._passes * self._steps, self._passes + 1
        return (self._make(self._sampler.at(first + step)) for step in range(self._steps))


@overload
def batches(
    part: Part,
    model: Model,
    *,
    batch_size: int = ...,
    epochs: float = ...,
    seed: int = ...,
    block_size: int = ...,
    plans: Literal[False] = ...,
) -> Batches[Tensor]: ...
@overload
def batches(
    part: Part, model: Tree, *, batch_size: int = ..., epochs: float = ..., seed: int = ..., plans: Literal[True]
) -> Batches[UniquePlan]: ...
@overload
def batches(
    part: Part, model: Recurrent, *, batch_size: int = ..., epochs: float = ..., seed: int = ..., plans: Literal[True]
) -> Batches[PrefixPlan]: ...
def batches(
    part: Part,
    model: Model,
    *,
    batch_size: int = 1_024,
    epochs: float = 1,
    seed: int = 0,
    block_size: int = 64,
    plans: bool = False,
) -> Batches[Tensor] | Batches[UniquePlan] | Batches[PrefixPlan]:
    """Make batches of about `batch_size` characters of a part, on the model's device: inputs and targets, (L, T) each.

    `model(inputs)` are the logits of the targets, (L, T, V); a target of -100 does not count. A row is a line, or a
    block of `block_size` characters of a text. There are as many batches as `epochs` passes over the part need.

    With `plans`, the inputs are plans of what a model computes once for all lines of a list: a tree the distinct
    n-grams, an LSTM on a CPU the distinct beginnings. `model.unique(inputs)` are then the logits (B, V) of the targets
    (B,), and a step is faster. Raises `ModelError` for a model of another vocabulary, and `UsageError` for a value out
    of range.

    >>> import torch.nn.functional as F
    >>> import wavemore as wm
    >>> corpus = wm.load_corpus("names")
    >>> model = wm.build("gru", len(corpus.vocabulary), hidden=8)
    >>> inputs, targets = next(iter(wm.batches(corpus.train, model, batch_size=256, seed=1)))
    >>> bool(F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten()) < 3.5)
    True
    """
    require_model(model)
    require_kind(part, "part", Part, "a part of a corpus, such as `corpus.train`")
    require_vocabulary(model, part)
    epochs = typed(epochs, "epochs", float)
    recipe = Recipe(batch_size=batch_size, seed=seed, block_size=block_size)  # raises for values out of range
    steps = ceil(epochs * part.num_targets / recipe.batch_size)
    require(steps >= 1, "epochs", epochs, "above 0")
    if plans:
        shares = isinstance(model, Recurrent) and model.is_packable
        if part.format == "text" or not (shares or (isinstance(model, Tree) and not model.is_positional)):
            raise ModelError("`plans` are for a tree, an mlp or, on a CPU, an lstm, and for a list: leave it out")
        planner: WindowBatcher | LineBatcher
        if isinstance(model, Tree):
            planner = WindowBatcher(part.tokens, model, "unique")
        else:
            planner = LineBatcher(part.tokens, model, part.labels)
        return Batches(partial(_plans, planner), training_sampler(part, planner, recipe), steps)
    if part.format == "text":
        blocks = BlockBatcher(part.tokens, model, block_size, model.context - 1 if isinstance(model, Tree) else 0)
        return Batches(partial(_blocks, blocks), training_sampler(part, blocks, recipe), steps)
    lines = LineBatcher(part.tokens, model, part.labels)
    return Batches(partial(_lines, lines), training_sampler(part, lines, recipe), steps)


def _plans(batcher: WindowBatcher | LineBatcher, positions: NDArray[np.int64]) -> tuple[Any, Tensor]:
    """Return the distinct n-grams or beginnings before the positions, with their targets."""
    return batcher.plan(positions), batcher.targets(positions)


def _lines(batcher: LineBatcher, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return the lines of which the positions are all targets, with their targets."""
    spans = batcher.spans
    line_of = np.searchsorted(spans.starts, positions, side="right") - 1
    lines = line_of[positions == spans.starts[line_of]]
    longest = int(spans.lengths[lines].max())
    columns = np.arange(longest)
    inside = columns < spans.lengths[lines][:, None]
    places = np.where(inside, spans.starts[lines][:, None] + columns, 0)
    targets = np.where(inside, batcher.tokens[places].astype(np.int64), IGNORED)
    return batcher.tensor(batcher.rows(lines, longest)), batcher.tensor(targets)


def _blocks(batcher: BlockBatcher, positions: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return blocks of a text, after what the model sees of the text before them, with their targets."""
    blocks = positions.reshape(-1, batcher.block_size)
    inputs = batcher.rows(blocks[:, 0], batcher.block_size)
    targets = np.full(inputs.shape, IGNORED, np.int64)
    targets[:, inputs.shape[1] - batcher.block_size :] = batcher.tokens[blocks]
    return batcher.tensor(inputs), batcher.tensor(targets)
