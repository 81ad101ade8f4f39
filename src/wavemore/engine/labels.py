"""What a model of labelled lines says about labels: the loss per label, and the likeliest label of a line.

Shapes: L lines.
"""

from collections.abc import Sequence
from math import inf, log
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.evaluate import part_losses
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.text.labels import Labels
from wavemore.text.lines import Lines
from wavemore.text.parts import LinePart, Part
from wavemore.text.vocabulary import Vocabulary

MAX_TARGETS = 500_000
"""Targets, those of each label counted, from which labels are recovered for a sample of the lines."""


class LikeliestLabels(NamedTuple):
    """The likeliest label of each line."""

    numbers: NDArray[np.int64]
    """(L,)"""
    p: NDArray[np.float64]
    """Its probability given the line, (L,), by Bayes' rule with the labels' shares of train."""
    nats: NDArray[np.float64]
    """-log p of the line given this label, (L,)."""


class Recovery(NamedTuple):
    """For how many lines the likeliest label is their own."""

    recovered: int
    lines: int

    def __str__(self) -> str:
        return f"{self.recovered / self.lines:.1%} of {self.lines:,} items"


def likeliest_labels(model: Model | Sequence[Model], part: LinePart, labels: Labels) -> LikeliestLabels:
    """Return the likeliest of the model's labels for each line, whatever labels the lines have.

    The lines are run with each label that train has. Raises what `evaluate` does.
    """
    count = len(part.lines)
    best, total, nats = np.full(count, -inf), np.full(count, -inf), np.zeros(count)
    numbers = np.zeros(count, np.int64)
    for number, share in enumerate(labels.shares):
        if share == 0:
            continue
        given_label = part_losses(model, part.labelled(labels.names, number)).nats
        joint = log(share) - given_label
        better = joint > best
        best[better], nats[better], numbers[better] = joint[better], given_label[better], number
        total = np.logaddexp(total, joint)
    return LikeliestLabels(numbers, np.exp(best - total), nats)


def recovery(model: Model | Sequence[Model], part: Part, vocabulary: Vocabulary) -> Recovery | None:
    """Count the lines whose own label is the likeliest one; of a large part, in a sample that is always the same.

    None for a part without labels.
    """
    if part.labels is None:
        return None
    lines = part.as_lines(vocabulary).sample(max(1, MAX_TARGETS // len(vocabulary.labels)))
    assert lines.labels is not None
    numbers = likeliest_labels(model, lines, vocabulary.labels).numbers
    return Recovery(int((numbers == lines.labels.numbers).sum()), len(numbers))


def labels_of(model: Model, vocabulary: Vocabulary, lines: Sequence[str]) -> list[tuple[str, float]]:
    """Return the likeliest label of each line, and its probability given the line.

    The lines are cleaned like the data. Raises `UnknownCharacterError` for a character that is not in the vocabulary,
    and `UsageError` if it has no labels.
    """
    labels = vocabulary.labels
    if not labels:
        raise UsageError("the model was trained on lines without labels, so it knows none")
    if not lines:
        return []
    clean = [vocabulary.clean(line) for line in lines]
    tokens = vocabulary.encode_text("".join(f"{line}\n" for line in clean))
    part_lines = Lines(tokens, np.array(list(map(len, clean))), vocabulary.codes)
    found = likeliest_labels(model, LinePart(part_lines, tokens, np.zeros(len(clean), np.bool_), vocabulary), labels)
    return [(labels.names[number], float(p)) for number, p in zip(found.numbers, found.p, strict=True)]
