"""Exact losses: of a part, of each line's positions, of the lines that do not occur in train, of single lines.

A target is a character or the boundary that ends a line; its loss is -log p(target | context), in nats.

Shapes: N targets, M models.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite, log, nan

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.engine.batchers import Batcher, evaluation_batcher, line_batcher
from wavemore.engine.line_spans import line_sums, positions_in_line
from wavemore.engine.recipe import Execution
from wavemore.engine.threads import measured
from wavemore.errors import ModelError, refuse_string, require
from wavemore.nn.model import Model
from wavemore.text.parts import Format, LinePart, Part, TextPart
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

NOT_FINITE = "the model's losses are not finite: its weights are damaged, or its training has failed; train it again"


@dataclass(frozen=True)
class Evaluation:
    """Losses of one part of the data in nats per character; the end of a line counts as a character.

    For a text, which has no separate lines, only `nats` and `num_targets` are set.
    """

    nats: float
    """Mean over all targets."""
    num_targets: int
    leak_free_nats: float = nan
    """Mean over the targets of lines that do not occur in train; nan if there are none."""
    leak_free_targets: int = 0
    by_position: tuple[float, ...] = ()
    """Mean nats of the first, second, ... character of a line, its end included."""

    @property
    def bits_per_char(self) -> float:
        """The mean in bits: nats / ln 2."""
        return self.nats / log(2)


def evaluate(model: Model | Sequence[Model], part: Part, *, execution: Execution = "unique") -> Evaluation:
    """Compute the exact losses of `part` in eval mode; the mode of every layer is restored afterwards.

    For several models it is the loss of the mean of their probabilities. Raises `ModelError` for a BatchNorm model that
    was never trained: it has no running statistics; for one with another vocabulary than the part; and for a loss that
    is not finite.
    """
    models = [model] if isinstance(model, Model) else model
    require(len(models) > 0, "model", "an empty list", "a model, or several")
    if part.format == "text" and len(models) == 1:  # no array: the text may be larger than the memory
        batcher = evaluation_batcher(part, models[0])
        with eval_mode(models[0]):
            total = sum(float(_chunk_nats(batcher, positions).double().sum()) for positions in batcher.chunks())
        if not isfinite(total):
            raise ModelError(NOT_FINITE)
        return Evaluation(total / part.num_targets, part.num_targets)
    per_model = np.stack([token_nats(model, evaluation_batcher(part, model, execution)) for model in models])
    nats = log(len(models)) - np.logaddexp.reduce(-per_model, axis=0)  # (M, N) -> (N,)
    if part.format == "text":
        return Evaluation(float(nats.mean()), part.num_targets)
    leak_free = part.leak_free_targets
    positions = positions_in_line(part.tokens)
    return Evaluation(
        nats=float(nats.mean()),
        num_targets=part.num_targets,
        leak_free_nats=float(nats[leak_free].mean()) if leak_free.any() else nan,
        leak_free_targets=int(leak_free.sum()),
        by_position=tuple((np.bincount(positions, weights=nats) / np.bincount(positions)).tolist()),
    )


def token_nats(model: Model, batcher: Batcher) -> NDArray[np.float64]:
    """Return the nats of every target, in the order of the tokens: (N,). Raises `ModelError` if one is not finite."""
    nats = np.empty(len(batcher.tokens))
    with eval_mode(model):
        for positions in batcher.chunks():
            nats[positions] = _chunk_nats(batcher, positions).numpy()
    if not np.isfinite(nats).all():
        raise ModelError(NOT_FINITE)
    return nats


def _chunk_nats(batcher: Batcher, positions: NDArray[np.int64]) -> Tensor:
    with measured("evaluation", len(positions)):
        return batcher.nats(positions).cpu()


@dataclass(frozen=True)
class Score:
    """How likely a model finds one line or text."""

    text: str
    char_nats: tuple[float, ...]
    """-log p of each character and, for a line, of its end."""

    @property
    def nats(self) -> float:
        """-log p of the whole line, its end included, or of the whole text."""
        return sum(self.char_nats)

    @property
    def nats_per_char(self) -> float:
        """The mean of `char_nats`."""
        return self.nats / len(self.char_nats)


def score(
    model: Model,
    vocabulary: Vocabulary,
    texts: Iterable[str],
    format: Format = "lines",  # noqa: A002 - the name of the flag and of the setting
) -> list[Score]:
    """Compute the nats of each character of some lines or, with `format` "text", of some texts.

    Nothing comes before the first character of a line or text. They are cleaned like the data, so the text of a score
    may have another form. Raises `UnknownCharacterError` for a character that is not in the vocabulary, and
    `ModelError` if the vocabulary is not the model's.
    """
    refuse_string(texts, "texts")
    model.require_vocabulary(vocabulary.characters)
    texts = [vocabulary.clean(text) for text in texts]
    if not texts:
        return []
    if format == "text":
        parts = [TextPart(vocabulary.encode_text(text)) for text in texts]
        char_nats = [token_nats(model, evaluation_batcher(part, model)) for part in parts]
    else:
        encoded = [np.append(vocabulary.encode(line), vocabulary.dtype.type(BOUNDARY)) for line in texts]
        nats = token_nats(model, line_batcher(np.concatenate(encoded), model))
        char_nats = np.split(nats, np.cumsum([len(ids) for ids in encoded])[:-1])
    return [Score(text, tuple(nats.tolist())) for text, nats in zip(texts, char_nats, strict=True)]


def line_percentiles(model: Model, part: LinePart) -> tuple[float, ...]:
    """Return the 0th, 1st, ..., 100th percentile of the nats per character of the lines of `part`."""
    nats = line_sums(part, token_nats(model, evaluation_batcher(part, model)))
    nats_per_char = nats / (part.lines.lengths + 1)  # the end of a line is a target too
    return tuple(np.quantile(nats_per_char, np.linspace(0, 1, 101)).tolist())


def percentile_rank(percentiles: Sequence[float], nats_per_char: float) -> float:
    """Return the fraction of lines that are less likely than a line of `nats_per_char`, given their percentiles.

    >>> percentiles = [1.0 + percent / 100 for percent in range(101)]
    >>> round(percentile_rank(percentiles, 1.25), 2), percentile_rank(percentiles, 9.0)
    (0.75, 0.0)
    """
    more_likely = np.interp(nats_per_char, percentiles, np.linspace(0, 1, len(percentiles)), left=0.0, right=1.0)
    return float(1 - more_likely)


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """Run the block in eval mode without gradients, and restore the mode of every layer."""
    with restored_modes(model), torch.inference_mode():
        model.eval()
        yield


@contextmanager
def restored_modes(model: torch.nn.Module) -> Iterator[None]:
    """Restore the mode of every layer after the block."""
    modes = {module: module.training for module in model.modules()}
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
