"""From integer arrays to what a model runs on: here tensors begin.

B examples of a batch, T context length, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.recipe import Execution, Order
from wavemore.nn.fusion import UniquePlan, unique_logits
from wavemore.nn.tree import Tree
from wavemore.text.corpus import windows
from wavemore.text.ngrams import NgramTables
from wavemore.text.vocabulary import Ids


class Batches:
    """The windows of one part of the data, run through a model by one of its executions.

    `unique` builds the n-gram tables once, here; `windows` takes the T characters before each target as they are,
    and stands in where a model can run in no other way.
    """

    def __init__(self, tokens: Ids, model: Tree, execution: Execution) -> None:
        self.tokens = tokens
        self.model = model
        weight = next(model.parameters())
        self.device, self.dtype = weight.device, weight.dtype
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
            logits, rows = self.logits(positions), torch.arange(len(positions), device=self.device)
        else:  # each distinct context's probabilities once
            plan = self.plan(positions)
            logits, rows = unique_logits(self.model.layers, plan), plan.inverse  # (U, V), (B,)
        picked = rows * logits.shape[1] + self.targets(positions)
        return logits.logsumexp(dim=1).index_select(0, rows) - logits.flatten().index_select(0, picked)

    def targets(self, positions: NDArray[np.int64]) -> Tensor:
        """The characters at `positions`: (B,)."""
        return self._tensor(self.tokens[positions])

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

    def in_order_of_contexts(self, size: int) -> Iterator[NDArray[np.int64]]:
        """All positions, `size` at a time, equal contexts together where that saves work."""
        n = len(self.tokens)
        order = np.arange(n) if self.tables is None else np.argsort(self.tables.top, kind="stable")
        for start in range(0, n, size):
            yield order[start : start + size]

    def _tensor(self, ids: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(ids.astype(np.int64, copy=False)).to(self.device)


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
            piece = self._shuffled(epoch)[offset : offset + end - first]
            pieces.append(piece)
            first += len(piece)
        return np.concatenate(pieces)

    def _shuffled(self, epoch: int) -> NDArray[np.int64]:
        if epoch != self._epoch:
            self._permutation = np.random.default_rng([self.seed, epoch]).permutation(self.targets)
            self._epoch = epoch
        return self._permutation
