"""Continuous text, run through a model in stretches: T characters in a row, with what stands before them.

In training a step takes some stretches from anywhere in the text. In evaluation the stretches lie end to end, so that
every character is predicted once, and each is led in by as many characters as the model sees:

    the text      . . . . . . . . . . . . . . . . . . . . . . . .
    stretch 1     r r r T T T T T T                                   r  receptive field - 1 characters, only seen
    stretch 2               r r r T T T T T T                         T  characters that are seen and predicted
    stretch 3                           r r r T T T T T T

Shapes: S stretches, T characters of a stretch, B = S T targets, V vocabulary.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batches import LINE_CHUNK, Batches, Positions, batches_of
from wavemore.engine.recipe import Execution, Order, Recipe
from wavemore.errors import UsageError
from wavemore.nn.model import Model, read
from wavemore.text.continuous import StreamPart
from wavemore.text.corpus import Part
from wavemore.text.vocabulary import BOUNDARY, Ids

SHORTEST = 512
"""Characters of a stretch in evaluation, where the model sees fewer."""


def batches_to_train(part: Part | StreamPart, model: Model, recipe: Recipe) -> Batches:
    """The targets of a part as a recipe takes them: lines, windows or stretches."""
    if isinstance(part, StreamPart):
        return StretchBatches(part.tokens, model, recipe.stretch, recipe.lead_in)
    return batches_of(part.tokens, model, recipe.execution)


def batches_to_evaluate(part: Part | StreamPart, model: Model, execution: Execution = "unique") -> Batches:
    """All targets of a part, each with all that the model sees before it."""
    if isinstance(part, StreamPart):
        return StretchBatches.with_whole_contexts(part.tokens, model)
    return batches_of(part.tokens, model, execution)


class StretchBatches(Batches):
    """Stretches of a text, flat ids (N,), before whose first character stand boundaries.

    `lead_in` is how many characters before a stretch are seen with it; where a model sees further, a boundary stands in
    front of them, as if a text began there.
    """

    def __init__(self, tokens: Ids, model: Model, stretch: int, lead_in: int) -> None:
        super().__init__(tokens, model)
        self.stretch, self.lead_in = stretch, lead_in
        self.begins = model.context is None or lead_in + 1 < model.context

    @classmethod
    def with_whole_contexts(cls, tokens: Ids, model: Model) -> "StretchBatches":
        """For exact losses: every target is seen with the whole receptive field before it."""
        if model.context is None:
            return ReadingBatches(tokens, model)
        return cls(tokens, model, max(SHORTEST, 4 * model.context), model.context - 1)

    def logits(self, positions: NDArray[np.int64]) -> Tensor:
        """Logits of the characters at `positions`, whole stretches or a shorter one alone: (B,) -> (B, V)."""
        rows = positions.reshape(-1, min(self.stretch, len(positions)))  # (S, T)
        seen = self._tensor(self._before(rows[:, 0], rows.shape[1]))  # (S, lead_in + T)
        return self.model.logits_at_last(seen, rows.shape[1]).flatten(0, 1)

    def _before(self, starts: NDArray[np.int64], length: int) -> NDArray[np.int64]:
        """What stands before each target of some stretches, after the lead-in: (S,) -> (S, about lead_in + T)."""
        lead_in = self.lead_in + self.begins
        if len(starts) == 1:  # alone it need not be as long as others: one boundary begins the text
            lead_in = min(lead_in, int(starts[0]))
        places = starts[:, None] + np.arange(-lead_in - 1, length - 1)
        ids: NDArray[np.int64] = self.tokens[np.maximum(places, 0)].astype(np.int64)
        ids[places < 0] = BOUNDARY
        if self.begins:
            ids[:, 0] = BOUNDARY
        return ids

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All positions once, in stretches that lie end to end, the last one shorter."""
        count = len(self.tokens)
        size = max(1, LINE_CHUNK // (self.lead_in + self.stretch)) * self.stretch
        whole = count - count % self.stretch
        if whole:
            yield np.arange(self.stretch)  # alone, as it has no lead-in
        for start in range(self.stretch, whole, size):
            yield np.arange(start, min(whole, start + size))
        if whole < count:
            yield np.arange(whole, count)

    def positions(self, batch_size: int, order: Order, seed: int) -> Positions:
        """Which targets each step of a training takes: those of some stretches."""
        return StretchPositions(len(self.tokens), batch_size, order, seed, self.stretch)


class ReadingBatches(StretchBatches):
    """A text read from its beginning to its end, for models that see all that came before."""

    def __init__(self, tokens: Ids, model: Model) -> None:
        super().__init__(tokens, model, LINE_CHUNK, 0)

    def chunks(self) -> Iterator[NDArray[np.int64]]:
        """All positions once, in their order: `nats` or `probabilities` goes on from chunk to chunk."""
        self._stream = self.model.stream(1)
        return super().chunks()

    def nats(self, positions: NDArray[np.int64]) -> Tensor:
        """-log p of the characters at `positions`, the next ones: (B,)."""
        logits = self._read(positions)
        return logits.logsumexp(dim=1) - logits.gather(1, self.targets(positions)[:, None]).squeeze(1)

    def probabilities(self, positions: NDArray[np.int64]) -> Tensor:
        """p of every character at `positions`, the next ones: (B,) -> (B, V)."""
        return self._read(positions).softmax(dim=1)

    def _read(self, positions: NDArray[np.int64]) -> Tensor:
        """Logits at the next positions, with all that came before: (B,) -> (B, V)."""
        return read(self._stream, self.targets(positions)[None])[0]


class StretchPositions(Positions):
    """Which stretches each step trains on.

    In the order `shuffle` an epoch cuts the text into stretches, at other places each time, and takes each of them
    once; `replacement` takes stretches from anywhere.

    >>> StretchPositions(targets=100, batch_size=6, order="shuffle", seed=0, stretch=3).at(step=0).reshape(2, 3)
    array([[10, 11, 12],
           [37, 38, 39]])
    """

    def __init__(self, targets: int, batch_size: int, order: Order, seed: int, stretch: int) -> None:
        super().__init__(targets, batch_size, order, seed)
        if stretch > targets:
            raise UsageError(
                f"--stretch {stretch:,} is longer than the {targets:,} characters to train on: take a shorter one, "
                "or more text"
            )
        if batch_size % stretch:
            nearest = max(1, round(batch_size / stretch)) * stretch
            raise UsageError(
                f"a step of --batch-size {batch_size:,} characters is no whole number of stretches of --stretch "
                f"{stretch:,}: take {nearest:,}"
            )
        self.stretch, self.rows = stretch, batch_size // stretch
        # One fewer than there is room for, so that the cuts can be moved.
        self.stretches = max(1, targets // stretch - 1)

    def at(self, step: int) -> NDArray[np.int64]:
        """Positions of the batch of `step`, counted from 0: (B,), one stretch after the other."""
        if self.order == "replacement":
            generator = np.random.default_rng([self.seed, step])
            starts = generator.integers(self.targets - self.stretch + 1, size=self.rows)
        else:
            first, end = step * self.rows, (step + 1) * self.rows
            pieces = []
            while first < end:  # a batch may end one epoch and begin the next
                epoch, offset = divmod(first, self.stretches)
                piece = self._shuffled(epoch, self.stretches)[offset : offset + end - first]
                room = self.targets - self.stretches * self.stretch
                moved = np.random.default_rng([self.seed, epoch, 1]).integers(room + 1)
                pieces.append(piece * self.stretch + moved)
                first += len(piece)
            starts = np.concatenate(pieces)
        positions: NDArray[np.int64] = (starts[:, None] + np.arange(self.stretch)).ravel()
        return positions
