"""How much of what a model makes it has memorised: shares of known lines, and of near copies, among samples."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from msgspec import Meta

from wavemore.engine.generate_lines import generate
from wavemore.engine.sampling import Sampling
from wavemore.nn.model import Model
from wavemore.text.arrays import is_among
from wavemore.text.corpus import Corpus
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit

MOST_SAMPLES, LEAST_SAMPLES = 1_000, 50
"""Lines that are drawn, and fewer than which say too little."""
MAX_WORK = 10**10
"""Parameters times characters of all samples: about half a second."""
MAX_LOOK_UPS = 2**21
"""Of texts one edit away from a sample: less than a second."""

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Memorised:
    """Shares of samples, and for comparison of real lines that the model has not seen."""

    samples: Annotated[int, Meta(ge=1, le=10**9)]
    """The number of lines that were drawn."""
    train: Share
    """The share of them that are lines of train."""
    held_out: Share
    """The share of them that are lines of val or test and not of train: real ones that the model has not seen."""
    near: Share
    """The share of them that are no line of the data, but one edit away from one."""
    real_near: Share | None
    """The share of the val lines that are not in train, but one edit away from a line of it; None if there are none."""

    def __str__(self) -> str:
        return "; ".join(self.sentences)

    @property
    def sentences(self) -> list[str]:
        """The shares of the samples in words, and for comparison that of real items if there are some."""
        shares = f"{self.train:.0%} are items of train, {self.held_out:.1%} of val or test"
        made = f"of {self.samples:,} samples, {shares}, and {self.near:.0%} are new but one edit from an item"
        if self.real_near is None:
            return [made]
        real = f"of the val items that are not in train, {self.real_near:.0%} are one edit from a train item"
        return [made, real]


def memorised(model: Model, corpus: Corpus, sampling: Sampling) -> Memorised | None:
    """Draw up to 1,000 lines and compare them with the data; fewer of a large model or of long lines.

    The same sampling gives the same result. None for a text, and if fewer than 50 lines can be drawn in about a second.
    """
    vocabulary = corpus.vocabulary
    if corpus.format == "text":
        return None
    train, val = (part.as_lines(vocabulary) for part in (corpus.train, corpus.val))
    n = min(MOST_SAMPLES, int(_affordable(model, len(train.tokens) / len(train.lines))))
    n = n if n >= LEAST_SAMPLES else 0
    samples = list(generate(model, vocabulary, n, sampling, corpus.line_hashes))
    if len(samples) < LEAST_SAMPLES:
        return None
    known_to_model, texts = np.sort(train.lines.hashes()), [sample.text for sample in samples]
    new = np.array([sample.new for sample in samples])
    drawn = Lines("".join(f"{text}\n" for text in texts), np.array(list(map(len, texts))))
    in_train = is_among(drawn.hashes(), known_to_model)
    near = within_one_edit([sample.text for sample in samples if sample.new], corpus.line_hashes, vocabulary.characters)
    unseen = val.lines.take(np.flatnonzero(val.leak_free))
    real = list(unseen.take(np.unique(np.linspace(0, len(unseen) - 1, min(n, len(unseen))).astype(int))))
    real_near = within_one_edit(real, known_to_model, vocabulary.characters)
    return Memorised(
        samples=len(samples),
        train=float(in_train.mean()),
        held_out=float((~new & ~in_train).mean()),
        near=int(near.sum()) / len(samples),
        real_near=float(real_near.mean()) if real else None,
    )


def _affordable(model: Model, length: float) -> float:
    """Return how many lines of a mean length, ends included, are drawn and looked up in about a second."""
    work = 1 if model.config.counted else max(1, model.parameter_count())
    return min(MAX_WORK / (work * length), MAX_LOOK_UPS / (2 * model.vocabulary_size * length))
