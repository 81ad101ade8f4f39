"""What is wrong with a model, in words: its modes, its losses, and how the data fits it.

All limits, here and in the rooms beside (`units`, `batchnorm`, `pace`), are from trainings: beyond what healthy ones
had, short of what the planted faults gave.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from wavemore.inspection.shapes import short
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus
from wavemore.text.vocabulary import Ids

CONFIDENT = 0.1
"""Nats between a fresh model's prediction and a uniform one; a last layer of a tenth of the usual weight has 0.002."""
GAP = 0.25
"""Nats between training mode and eval mode on the same lines; averaged weights on a short list have 0.1."""
OVERFIT = 0.85
"""Nats between train and val of the kept state."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: what it is, where, and in words: what was seen, why it matters, what to do."""

    kind: str
    where: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.words}" if self.where else f"{self.kind}: {self.words}"


@dataclass(frozen=True)
class Losses:
    """Nats per character of samples of the data; None where they cannot be taken."""

    uniform: float
    """ln V: what a model without an opinion has."""
    letters: float
    """Of the val sample, by the letters' frequencies in train alone."""
    first: float | None
    """Before training."""
    first_confidence: float | None
    """KL(uniform || p) before training."""
    trained: bool
    """Whether there are records of a training, or a loss that no fresh model has."""
    training_mode: float
    """Of the train sample, normalised by its own statistics; dropout off."""
    train: float | None
    """Of the train sample in eval mode."""
    val: float | None
    """Of the val sample in eval mode."""


@dataclass(frozen=True)
class Evaluated:
    """What samples showed in eval mode."""

    train: float
    val: float
    cooler: float
    """Loss of the train sample with half the logits: lower where the model is too sure of itself."""
    differs_as_found: bool
    """Whether the mode in which the model was handed over gives other predictions than eval mode."""
    random: bool
    """Whether the same input twice gives two predictions."""
    mixes: bool
    """Whether a prediction depends on the other windows of the batch."""


def of_modes(model: nn.Module, evaluated: Evaluated | None, trained: bool) -> Iterator[Finding]:
    """Findings about training mode and eval mode: the one that was forgotten, and one that makes no difference."""
    if evaluated is None:
        return
    if trained and evaluated.differs_as_found:
        left = [short(path) for path, module in model.named_modules() if path and module.training]
        some = ", ".join(left[:4]) + (", ..." if len(left) > 4 else "")
        yield Finding(
            "eval mode forgotten",
            some,
            "the trained model is in training mode, in which a prediction depends on the other lines of its batch "
            "(BatchNorm) or on chance (Dropout): call model.eval() before using it",
        )
    if evaluated.random:
        yield Finding(
            "random in eval mode",
            "",
            "in eval mode the same input gives two predictions: a dropout is left on; let it look at self.training",
        )
    elif evaluated.mixes:
        yield Finding(
            "batch statistics in eval mode",
            "",
            "in eval mode a prediction depends on the other lines of its batch: a normalisation takes the statistics "
            "of the batch where it should take the running ones; let it look at self.training",
        )


def of_losses(losses: Losses, evaluated: Evaluated | None, trained: bool) -> Iterator[Finding]:
    """Findings about the loss: before training, in both modes, against what anybody could guess, and on val."""
    uniform = losses.uniform
    if losses.first is not None:
        confident = losses.first_confidence is not None and losses.first_confidence > CONFIDENT
        if confident or losses.first - uniform > 0.3:
            yield Finding(
                "first loss",
                "last layer",
                f"before training the loss is {losses.first:.3f} nats, and no opinion would have ln V = {uniform:.3f}: "
                "the last layer is too confident, and the first steps only take that back; multiply its weight by 0.1",
            )
    if evaluated is None:
        return
    if abs(evaluated.train - losses.training_mode) > GAP:
        yield Finding(
            "train/eval gap",
            "",
            f"the same data has {losses.training_mode:.3f} nats in training mode and {evaluated.train:.3f} in eval "
            "mode, dropout aside, so the model that is used is not the one that was trained: look at the running "
            "statistics of BatchNorm",
        )
    if not trained:
        return
    if evaluated.cooler < evaluated.train - CONFIDENT:
        yield Finding(
            "too confident",
            "last layer",
            f"with half the logits the loss on train would be {evaluated.cooler:.3f} nats instead of "
            f"{evaluated.train:.3f}: the weight of the last layer is too large; was it scaled, or frozen?",
        )
    if not evaluated.val < uniform:
        yield Finding(
            "worse than guessing",
            "",
            f"val has {evaluated.val:.3f} nats, and guessing each token alike has ln V = {uniform:.3f}: look whether "
            "model, vocabulary and data belong together, and whether the targets are the next characters",
        )
    elif evaluated.val > losses.letters - 0.02:
        yield Finding(
            "blind to the context",
            "",
            f"val has {evaluated.val:.3f} nats, and the frequencies of the letters alone have {losses.letters:.3f}: "
            "the context does not help; train longer, or look for a layer that passes nothing on",
        )
    elif evaluated.val - evaluated.train > OVERFIT:
        yield Finding(
            "overfitting",
            "",
            f"train has {evaluated.train:.3f} nats and val {evaluated.val:.3f}: train was learned by heart; take more "
            "of it, fewer --epochs, more --weight-decay or a smaller model",
        )


def of_context(seen: list[bool] | None, context: int, corpus: Corpus | TextStream) -> Iterator[Finding]:
    """Findings about what the context holds, and whether the model looks at all of it."""
    lengths = corpus.train.lines.lengths if isinstance(corpus, Corpus) else np.array([context])
    filled = float((lengths >= context).mean())
    if filled < 0.01 and context > 1:
        longest = int(np.quantile(lengths, 0.99))
        enough = min(2 ** (longest.bit_length() - 1), context - 1)  # a power of 2 that is no longer than that
        yield Finding(
            "long context",
            "",
            f"{1 - filled:.1%} of the lines are shorter than the context of {context} characters, and 99 % have at "
            f"most {longest}: most of it is boundary tokens, which cost time; take a shorter one, as "
            f"--context {enough}",
        )
    if seen is not None and any(seen) and not all(seen):
        blind = [context - place for place, looked in enumerate(seen) if not looked]
        yield Finding(
            "unseen context",
            "",
            f"the prediction does not depend on the characters {', '.join(map(str, blind[::-1]))} before it, although "
            f"the context has {context}: look at the sizes of the fusions and what lies between them",
        )


def frequencies(tokens: Ids, size: int) -> NDArray[np.int64]:
    """How often each of `size` tokens occurs, (N,) -> (size,), a piece of a long text at a time."""
    counts = np.zeros(size, np.int64)
    for first in range(0, len(tokens), 1 << 22):
        counts += np.bincount(tokens[first : first + (1 << 22)], minlength=size)
    return counts


def of_vocabulary(corpus: Corpus | TextStream) -> Iterator[Finding]:
    """Characters that train does not hold."""
    counts = frequencies(corpus.train.tokens, len(corpus.vocabulary))
    never = [corpus.vocabulary.characters[number - 1] for number in np.flatnonzero(counts == 0) if number]
    if never:
        of_data = "lines, or another --split-seed" if isinstance(corpus, Corpus) else "text, or a higher --split-share"
        some = " ".join(map(repr, never[:5])) + (" ..." if len(never) > 5 else "")
        yield Finding(
            "untrained characters",
            "embedding",
            f"{len(never):,} of {len(corpus.vocabulary) - 1:,} characters stand nowhere in train ({some}), so what "
            f"the model says of them is chance: take more {of_data}",
        )
