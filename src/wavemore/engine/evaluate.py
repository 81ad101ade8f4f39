"""Exact losses: nats of every character of a part, of chosen lines, by position, on lines that train does not hold.

B targets, V vocabulary. A target is a character or the boundary that ends a line; its nats are
-log p(target | context).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from numpy.typing import NDArray

from wavemore.engine.batches import Batches, batches_of
from wavemore.engine.blocks import batches_to_evaluate
from wavemore.engine.recipe import Execution
from wavemore.nn.model import Model
from wavemore.text.continuous import StreamPart
from wavemore.text.corpus import Part
from wavemore.text.vocabulary import Ids, Vocabulary


@dataclass(frozen=True)
class Evaluation:
    """Losses of one part of the data in nats per character, the end of each line counted as a character.

    Of a text, which has no lines, there are only `nats` and `targets`.
    """

    nats: float
    """Mean over all targets: the sum over targets by their number."""
    targets: int
    leak_free_nats: float
    """Mean over the targets of lines that train does not hold; nan where there is none."""
    leak_free_targets: int
    by_position: tuple[float, ...]
    """Mean nats of the first, second, ... character of a line (a line's end counts where it stands)."""

    @property
    def bits_per_char(self) -> float:
        """The mean in bits: nats / ln 2."""
        return self.nats / log(2)


def evaluate(model: Model | Sequence[Model], part: Part | StreamPart, *, execution: Execution = "unique") -> Evaluation:
    """Exact losses of `part`, in eval mode; the model is put back into the mode that it was found in.

    Of several models, it is the loss of the mean of their probabilities.

    Raises `ModelError` for a BatchNorm model that never ran in training mode: its statistics would be made up.
    """
    models = [model] if isinstance(model, Model) else model
    if isinstance(part, StreamPart) and len(models) == 1:  # which may be too long for a number a target
        batches = batches_to_evaluate(part, models[0])
        with eval_mode(models[0]):
            total = sum(float(batches.nats(positions).double().sum()) for positions in batches.chunks())
        return Evaluation(total / part.targets, part.targets, float("nan"), 0, ())
    each = np.stack([token_nats(model, batches_to_evaluate(part, model, execution)) for model in models])  # (models, B)
    nats = log(len(models)) - np.logaddexp.reduce(-each, axis=0) if len(models) > 1 else each[0]
    if isinstance(part, StreamPart):
        return Evaluation(float(nats.mean()), len(nats), float("nan"), 0, ())
    free = part.leak_free_targets
    positions = positions_of(part.tokens)
    sums = np.bincount(positions, weights=nats)
    return Evaluation(
        nats=float(nats.mean()),
        targets=len(nats),
        leak_free_nats=float(nats[free].mean()) if free.any() else float("nan"),
        leak_free_targets=int(free.sum()),
        by_position=tuple((sums / np.bincount(positions)).tolist()),
    )


def token_nats(model: Model, batches: Batches) -> NDArray[np.float64]:
    """Nats of every target: (B,) in the order of the tokens."""
    nats = np.empty(len(batches.tokens))
    with eval_mode(model):
        for positions in batches.chunks():
            nats[positions] = batches.nats(positions).cpu().numpy()
    return nats


def positions_of(tokens: Ids) -> NDArray[np.int64]:
    """Position in its line of every target, from 0.

    >>> positions_of(np.array([5, 6, 0, 7, 0], dtype=np.uint8))
    array([0, 1, 2, 0, 1])
    """
    ends = np.flatnonzero(tokens == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    positions: NDArray[np.int64] = np.arange(len(tokens)) - np.repeat(starts, ends - starts + 1)
    return positions


@dataclass(frozen=True)
class Score:
    """What a model says of one line."""

    text: str
    char_nats: tuple[float, ...]
    """Surprise of each character and, of a line, last that of its ending there."""

    @property
    def nats(self) -> float:
        """Surprise of the whole line, its end included: -log p(line)."""
        return sum(self.char_nats)

    @property
    def nats_per_char(self) -> float:
        """The same by the number of characters, the end counted as one."""
        return self.nats / len(self.char_nats)


def score(model: Model, vocabulary: Vocabulary, lines: Sequence[str]) -> list[Score]:
    """Nats of each line, character by character.

    Raises `UnknownCharacterError` for a character that the model has never seen.
    """
    if not lines:
        return []
    encoded = [np.append(vocabulary.encode(line), vocabulary.dtype.type(0)) for line in lines]
    nats = token_nats(model, batches_of(np.concatenate(encoded), model))
    ends = np.cumsum([len(ids) for ids in encoded])
    return [Score(line, tuple(part.tolist())) for line, part in zip(lines, np.split(nats, ends[:-1]), strict=True)]


def score_texts(model: Model, vocabulary: Vocabulary, texts: Sequence[str]) -> list[Score]:
    """Nats of each text, character by character, for a model of continuous text; before a text stands nothing.

    Raises `UnknownCharacterError` for a character that the model has never seen.
    """
    parts = [StreamPart(vocabulary.encode_text(text)) for text in texts]
    return [
        Score(text, tuple(token_nats(model, batches_to_evaluate(part, model)).tolist()))
        for text, part in zip(texts, parts, strict=True)
    ]


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Eval mode without gradients inside; the mode of every layer as it was outside."""
    with modes_put_back(model), torch.inference_mode():
        model.eval()
        yield


@contextmanager
def modes_put_back(model: torch.nn.Module) -> Iterator[None]:
    """Any mode inside; the mode of every layer as it was outside."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def line_percentiles(model: Model, part: Part) -> tuple[float, ...]:
    """The 0th, 1st, ..., 100th percentile of the nats per character of the lines of `part`."""
    nats = token_nats(model, batches_of(part.tokens, model))
    targets = part.lines.lengths + 1  # a line's end is a target too
    starts = np.cumsum(targets) - targets
    return tuple(np.quantile(np.add.reduceat(nats, starts) / targets, np.linspace(0, 1, 101)).tolist())


def more_usual_than(percentiles: Sequence[float], nats_per_char: float) -> float:
    """The share of lines that are less usual than a line of `nats_per_char`, from the lines' percentiles.

    >>> percentiles = [1.0 + percent / 100 for percent in range(101)]
    >>> round(more_usual_than(percentiles, 1.25), 2), more_usual_than(percentiles, 9.0)
    (0.75, 0.0)
    """
    less_or_as_usual = np.interp(nats_per_char, percentiles, np.linspace(0, 1, len(percentiles)), left=0.0, right=1.0)
    return float(1 - less_or_as_usual)
