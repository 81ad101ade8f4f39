"""Exact losses: of a part, of each line's positions, of the lines that do not occur in train, of single lines.

A target is a character or the boundary that ends a line; its loss is -log p(target | context), in nats.

Shapes: N targets, M models, B targets of a chunk, S segments (see `Part.segments`), P positions in a line.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import exp, log, nan
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from wavemore.engine.batcher import Batcher
from wavemore.engine.batchers import evaluation_batcher, line_batcher
from wavemore.engine.recipe import Execution
from wavemore.engine.threads import measured
from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import A_VOCABULARY, ModelError, UsageError, require, require_kind, strings
from wavemore.nn.model import Model, require_model
from wavemore.nn.ranks import ALONE, Ranks
from wavemore.progress import report
from wavemore.text.labels import LabelColumn
from wavemore.text.parts import Format, Part, TextPart
from wavemore.text.vocabulary import BOUNDARY, Vocabulary

NOT_FINITE = "the model's losses are not finite: its weights are damaged, or its training has failed; train it again"


class LabelLoss(NamedTuple):
    """The loss of the lines that have one label."""

    label: str
    nats: float
    """Mean over their targets, in nats per character; nan if there are no such lines."""
    num_targets: int
    lines: int


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
    by_label: tuple[LabelLoss, ...] = ()
    """For lines with labels, the loss per label."""

    @property
    def bits_per_char(self) -> float:
        """The mean in bits: nats / ln 2."""
        return self.nats / log(2)

    @property
    def perplexity(self) -> float:
        """The exponential of the mean: so many equally likely characters are as hard to predict."""
        return exp(self.nats)


def evaluate(model: Model | Sequence[Model], part: Part, *, execution: Execution = "unique") -> Evaluation:
    """Compute the exact losses of `part` in eval mode; the mode of every layer is restored afterwards.

    For several models it is the loss of the mean of their probabilities. Raises `ModelError` for a BatchNorm model that
    was never trained: it has no running statistics; for one with another vocabulary than the part; and for a loss that
    is not finite.
    """
    return part_losses(model, part, execution=execution).evaluation


@dataclass(frozen=True, eq=False)
class PartLosses:
    """The losses of a part, from which all figures follow, so that they are computed once."""

    part: Part
    nats: NDArray[np.float64]
    """Sums over the segments, (S,), each counted once."""
    position_nats: NDArray[np.float64]
    """Sums over the targets that are first, second, ... in their line, (P,), by count; empty for a text."""

    @property
    def weights(self) -> NDArray[np.int64]:
        """How often each segment counts, (S,)."""
        weights = self.part.segment_weights
        return np.ones(len(self.nats), np.int64) if weights is None else weights

    @property
    def evaluation(self) -> Evaluation:
        """The mean losses; an item that occurs several times counts as often."""
        sizes, leak_free = np.diff(self.part.segments).astype(np.int64), self.part.leak_free_segments
        ended = np.cumsum(np.bincount(sizes, self.weights).astype(np.int64))[:-1]
        longer = self.weights.sum() - ended  # lines with a target at each position
        sizes, nats = sizes * self.weights, self.nats * self.weights
        leak_free_targets = int(sizes[leak_free].sum())
        return Evaluation(
            nats=float(nats.sum() / sizes.sum()),
            num_targets=int(sizes.sum()),
            leak_free_nats=float(nats[leak_free].sum() / leak_free_targets) if leak_free_targets else nan,
            leak_free_targets=leak_free_targets,
            by_position=tuple((self.position_nats / longer).tolist()) if len(self.position_nats) else (),
            by_label=tuple(self._by_label(nats, sizes)),
        )

    def _by_label(self, nats: NDArray[np.float64], sizes: NDArray[np.int64]) -> Iterator[LabelLoss]:
        if (labels := self.part.labels) is None:
            return
        sums, targets, lines = (
            np.bincount(labels.numbers, weights, minlength=len(labels.names)) for weights in (nats, sizes, None)
        )
        for name, nats, count, number in zip(labels.names, sums, targets, lines, strict=True):
            yield LabelLoss(name, float(nats / count) if count else nan, int(count), int(number))

    @property
    def by_unit(self) -> UnitLosses:
        """The sums over the units that count as independent."""
        units = self.part.segment_units
        return UnitLosses(
            np.bincount(units, weights=self.nats * self.weights).astype(np.float64),
            np.bincount(units, weights=np.diff(self.part.segments) * self.weights).astype(np.int64),
            np.bincount(units, weights=self.part.leak_free_segments) > 0,
        )

    @property
    def percentiles(self) -> tuple[float, ...]:
        """The 0th, 1st, ..., 100th percentile of the nats per character of the segments."""
        nats_per_char = self.nats / np.diff(self.part.segments)  # the end of a line is a target too
        return tuple(np.quantile(nats_per_char, np.linspace(0, 1, 101)).tolist())


def part_losses(
    model: Model | Sequence[Model], part: Part, *, execution: Execution = "unique", ranks: Ranks = ALONE
) -> PartLosses:
    """Compute the losses of `part` as `evaluate` does; of one model without an array of all targets.

    Several `ranks` share the work of one model, and all get the result.
    """
    models = list(model) if isinstance(model, Sequence) else [model]
    require(len(models) > 0, "model", "an empty list", "a model, or several")
    for each in models:
        require_model(each)
    require_kind(part, "part", Part, "a part of a corpus, such as `corpus.val`")
    segments, weights = part.segments.astype(np.int64), part.segment_weights
    nats = np.zeros(len(segments) - 1)
    position_nats = np.zeros(int(np.diff(segments).max()) if part.format == "lines" else 0)
    for positions, values in _losses(models, part, execution, ranks):
        segment = np.searchsorted(segments, positions, side="right") - 1
        np.add.at(nats, segment, values)  # touches no other segments, of which there may be millions
        if len(position_nats):
            by_count = values if weights is None else values * weights[segment]
            position_nats += np.bincount(positions - segments[segment], by_count, minlength=len(position_nats))
    nats, position_nats = _summed(ranks, nats, models[0]), _summed(ranks, position_nats, models[0])
    if not np.isfinite(nats).all():
        raise ModelError(NOT_FINITE)
    return PartLosses(part, nats, position_nats)


def _losses(
    models: Sequence[Model], part: Part, execution: Execution, ranks: Ranks
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield positions of targets and their nats, (B,) each, until all targets were there, or this rank's share."""
    if len(models) == 1:
        batcher = evaluation_batcher(part, models[0], execution)
        batcher.ranks = ranks
        yield from chunk_nats(models[0], batcher)
    else:
        assert ranks.size == 1
        per_model = np.stack([token_nats(model, evaluation_batcher(part, model, execution)) for model in models])
        yield np.arange(part.num_targets), log(len(models)) - np.logaddexp.reduce(-per_model, axis=0)  # (M, N) -> (N,)


def token_nats(model: Model, batcher: Batcher) -> NDArray[np.float64]:
    """Return the nats of every target, in the order of the tokens: (N,). Raises `ModelError` if one is not finite."""
    nats = np.zeros(len(batcher.tokens))
    for positions, values in chunk_nats(model, batcher):
        nats[positions] = values
    nats = _summed(batcher.ranks, nats, model)
    if not np.isfinite(nats).all():
        raise ModelError(NOT_FINITE)
    return nats


def _summed(ranks: Ranks, nats: NDArray[np.float64], model: Model) -> NDArray[np.float64]:
    """Return the sum over the ranks, each of which has a share."""
    return nats if ranks.size == 1 else ranks.sum(torch.from_numpy(nats).to(model.device)).cpu().numpy()


def chunk_nats(model: Model, batcher: Batcher) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Yield the targets in pieces, and the nats of each: of several ranks, those of this rank's share."""
    done, work = 0, f"evaluation on {batcher.device.type}, {model.parameter_count()} parameters"
    with eval_mode(model):
        for positions in batcher.own_chunks():
            with measured(work, len(positions)):
                nats = batcher.nats(positions).cpu().double().numpy()
            yield positions, nats
            done += len(positions)
            report("evaluation", done, len(batcher.tokens) / batcher.ranks.size)


@dataclass(frozen=True)
class Score:
    """How likely a model finds one line or text."""

    text: str
    char_nats: tuple[float, ...]
    """-log p of each character and, for a line, of its end."""
    label: str = ""
    """The label that the line was given; empty if the model has no labels."""

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
    labels: Sequence[str] | None = None,
) -> list[Score]:
    """Compute the nats of each character of some lines or, with `format` "text", of some texts.

    Nothing comes before the first character of a line or text. They are cleaned like the data, so the text of a score
    may have another form. A model with labels needs that of each line; `labels.likeliest_labels` finds them. Raises
    `UnknownCharacterError` for a character that is not in the vocabulary, `UsageError` for a label that is missing or
    unknown, and `ModelError` if the vocabulary is not the model's.
    """
    texts = strings(texts, "texts")
    require_model(model)
    require_kind(vocabulary, "vocabulary", Vocabulary, A_VOCABULARY)
    model.require_vocabulary(vocabulary.characters, vocabulary.labels.names)
    texts = [vocabulary.clean(text) for text in texts]
    if not texts:
        return []
    column = _label_column(vocabulary, texts, labels)
    if format == "text":
        parts = [TextPart(vocabulary.encode_text(text)) for text in texts]
        char_nats = [token_nats(model, evaluation_batcher(part, model)) for part in parts]
    else:
        encoded = [np.append(vocabulary.encode(line), vocabulary.dtype.type(BOUNDARY)) for line in texts]
        nats = token_nats(model, line_batcher(np.concatenate(encoded), model, labels=column))
        char_nats = np.split(nats, np.cumsum([len(ids) for ids in encoded])[:-1])
    given = [""] * len(texts) if column is None else [column.names[number] for number in column.numbers]
    return [Score(text, tuple(nats.tolist()), label) for text, nats, label in zip(texts, char_nats, given, strict=True)]


def _label_column(vocabulary: Vocabulary, texts: Sequence[str], labels: Sequence[str] | None) -> LabelColumn | None:
    """Return the label of each text; None if there are no labels."""
    if labels is None and not vocabulary.labels:
        return None
    if labels is None or isinstance(labels, str) or len(labels) != len(texts):
        raise UsageError("the model was trained on lines with labels: give `labels`, one per line")
    numbers = [vocabulary.labels.number(label) for label in labels]
    return LabelColumn(vocabulary.labels.names, np.array(numbers, np.uint16))


def percentile_rank(percentiles: Sequence[float], nats_per_char: float) -> float:
    """Return the fraction of lines that are less likely than a line of `nats_per_char`, given their percentiles.

    >>> percentiles = [1.0 + percent / 100 for percent in range(101)]
    >>> round(percentile_rank(percentiles, 1.25), 2), percentile_rank(percentiles, 9.0)
    (0.75, 0.0)
    """
    return float(percentile_ranks(percentiles, np.array([nats_per_char]))[0])


def percentile_ranks(percentiles: Sequence[float], nats_per_char: NDArray[np.float64]) -> NDArray[np.float64]:
    """Do the same for many lines: (L,) -> (L,)."""
    more_likely = np.interp(nats_per_char, percentiles, np.linspace(0, 1, len(percentiles)), left=0.0, right=1.0)
    return np.asarray(1 - more_likely)


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
