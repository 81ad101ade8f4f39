"""What all batchers have in common: the targets of a part, and the model that predicts them.

Shapes: N targets of a part, B targets of a batch, V vocabulary.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice
from math import ceil, log2
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batch_samplers import BatchSampler
from wavemore.engine.recipe import BatchSampling
from wavemore.nn.model import Model
from wavemore.nn.ranks import ALONE
from wavemore.text.vocabulary import Ids

LINE_CHUNK = 32_768
"""Positions of lines and blocks that are evaluated at once."""
MAX_CHUNK_VALUES = 2**24
"""Logits or activations of a layer: with a large vocabulary or a wide layer, fewer positions are evaluated at once."""


def nats_of(logits: Tensor, targets: Tensor) -> Tensor:
    """Return -log p of each target: (B, V), (B,) -> (B,).

    >>> nats_of(torch.zeros(1, 4), torch.tensor([2])).exp()
    tensor([4.])
    """
    return -logits.log_softmax(dim=1).gather(1, targets[:, None]).squeeze(1)


def chunk_size(model: Model, most: int) -> int:
    """Return how many positions are evaluated at once: `most`, or fewer if the vocabulary or a layer is large."""
    widths = [max(parameter.shape[:2]) for parameter in model.parameters() if parameter.ndim >= 2]
    return max(1, min(most, MAX_CHUNK_VALUES // max([model.vocabulary_size, *widths])))


def line_chunk(model: Model) -> int:
    """Return how many positions of lines and blocks are evaluated at once."""
    return chunk_size(model, LINE_CHUNK)


PADDED = -100
"""The target of a position that only fills up a batch: the value that torch's losses ignore."""


class PaddedBatch(NamedTuple):
    """A batch whose arrays have one of few shapes."""

    places: NDArray[np.int64]
    """The targets' positions in the part, -1 where there is none: (M,)."""
    inputs: tuple[NDArray[np.generic], ...]
    """What `Batcher.predict` takes."""


def few_lengths(length: int) -> int:
    """Round a length up to one of few: 8, 16, 24, 32, 48, 64, 96, ...

    >>> [few_lengths(length) for length in (1, 8, 13, 17, 40, 180)]
    [8, 8, 16, 24, 48, 192]
    """
    power = 8 << max(0, ceil(log2(length / 8)))
    return power * 3 // 4 if length <= power * 3 // 4 and power > 8 else power


class Batcher(ABC):
    """The targets of one part, flat ids (N,), and the model that predicts them."""

    def __init__(self, tokens: Ids, model: Model) -> None:
        self.tokens = tokens
        self.model = model
        self.device = model.device
        self.ranks = ALONE
        """The processes that share the batches and the chunks."""

    @abstractmethod
    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Predict the targets at `positions`: (B,) -> (B, V)."""

    def padded(self, positions: NDArray[np.int64]) -> PaddedBatch | None:
        """Return a batch for training in one of few shapes; None if it would be mostly padding."""
        return None

    def predict(self, *inputs: Tensor) -> Tensor:
        """Predict all places of a padded batch: (M, V)."""
        raise NotImplementedError

    def targets(self, positions: NDArray[np.int64]) -> Tensor:
        """Return the targets at `positions`: (B,)."""
        return self.tensor(self.tokens[positions])

    def nats(self, positions: NDArray[np.int64]) -> Tensor:
        """Return -log p of the targets at `positions`: (B,); for evaluation."""
        return nats_of(self.logits(positions), self.targets(positions))

    def work(self, targets: int) -> int:
        """Return how many positions were computed for the `targets` of the last chunk."""
        return targets

    @abstractmethod
    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """Yield all positions once, in pieces and an order that are evaluated quickly."""

    def share(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return this rank's share of a batch: (B,) -> (B',)."""
        return positions[self.ranks.span(len(positions))]

    def own_chunks(self) -> Iterator[NDArray[np.int64]]:
        """Yield this rank's share of the chunks."""
        return islice(self.chunks(), self.ranks.rank, None, self.ranks.size)

    def carried(self) -> dict[str, Tensor]:
        """Return what one training step leaves to the next one, besides the weights."""
        return {}

    def carry(self, tensors: dict[str, Tensor]) -> None:
        """Go on with what `carried` returned; raises `ValueError` if that was another kind of training."""
        if tensors:
            raise ValueError("it was saved by a training with another `sampling`")

    @abstractmethod
    def sampler(self, batch_size: int, sampling: BatchSampling, seed: int) -> BatchSampler:
        """Choose the targets of each training step."""

    def tensor(self, ids: NDArray[np.integer]) -> Tensor:
        """Return ids as int64 on the model's device."""
        return torch.from_numpy(ids.astype(np.int64, copy=False)).to(self.device)
