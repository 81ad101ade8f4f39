"""How typical the items of another list are for the model of a run, and which known items they resemble."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.evaluate import part_losses, percentile_ranks
from wavemore.engine.labels import likeliest_labels
from wavemore.progress import report
from wavemore.runs.item_file import Item
from wavemore.runs.run import Run
from wavemore.text.lines import Lines
from wavemore.text.nearest import NearLines
from wavemore.text.parts import Part

COLUMNS = ("text", "nats", "nats_per_char", "percentile_rank", "known")
LABEL_COLUMNS = ("label", "label_p")
NEAREST_COLUMNS = ("nearest", "distance")
MAX_PAIRS = 3e8
"""Pairs of an item and a known line: of more, only the known lines within one edit are found."""
_BATCH, _SEARCHED = 1 << 14, 1 << 11  # items that are separate Python objects, or searched, at the same time


@dataclass(frozen=True, eq=False)
class Ranking:
    """The losses of N items."""

    lines: Lines
    nats: NDArray[np.float64]
    """Of each item with its end, (N,)."""
    nats_per_char: NDArray[np.float64]
    """(N,)"""
    known: NDArray[np.bool_]
    """Whether the run's data has the item, (N,)."""
    order: NDArray[np.int64]
    """The items from the most typical to the least, (N,)."""
    percentile_ranks: NDArray[np.float64] | None
    """The fraction of the run's val lines that are less typical than each item, (N,); None for an unfinished run."""
    labels: tuple[str, ...] = ()
    """The labels of the run; the items are then ranked with the given one or, each, with the likeliest."""
    label_numbers: NDArray[np.int64] | None = None
    """(N,)"""
    label_p: NDArray[np.float64] | None = None
    """How likely each item's label is, (N,); None if it was given."""
    nearest: list[tuple[str, int]] | None = None
    """The nearest known line of each item and its distance, (N,); None if they were not searched."""
    most_edits: int | None = None
    """Those within so many edits were found; None for any number."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of what `items` has."""
        return (*COLUMNS, *(() if self.nearest is None else NEAREST_COLUMNS), *(LABEL_COLUMNS if self.labels else ()))

    def items(self) -> Iterator[Item]:
        """Yield the items from the most typical to the least, with the values of the `columns`."""
        for start in range(0, len(self.order), _BATCH):
            chosen = self.order[start : start + _BATCH]
            lines = list(self.lines.take(chosen))
            values = [lines, *(each[chosen].tolist() for each in (self.nats, self.nats_per_char))]
            ranks = self.percentile_ranks
            values += [[None] * len(lines) if ranks is None else ranks[chosen].tolist(), self.known[chosen].tolist()]
            if self.nearest is not None:
                found = [self.nearest[number] for number in chosen.tolist()]
                values.append([line or None for line, _ in found])
                values.append([distance if line else None for line, distance in found])
            if self.label_numbers is not None:
                values.append([self.labels[number] for number in self.label_numbers[chosen]])
                values.append([None] * len(lines) if self.label_p is None else self.label_p[chosen].tolist())
            for row in zip(*values, strict=True):
                yield dict(zip(self.columns, row, strict=True))


def rank(run: Run, part: Part, label: str | None = None, near: NearLines | None = None) -> Ranking:
    """Compute the losses of a list's items; `label` is that of all of them, by default the likeliest one of each.

    With `near`, the known lines that are nearest to the items are found too.

    Raises `UsageError` for a label that the run does not have.
    """
    vocabulary, model = run.vocabulary(), run.model()
    part, labels = part.as_lines(vocabulary), vocabulary.labels
    numbers = p = None
    if label is not None:
        numbers = np.full(len(part.lines), labels.number(label))
        nats = part_losses(model, part.labelled(labels.names, labels.number(label))).nats
    elif labels:
        numbers, p, nats = likeliest_labels(model, part, labels)
    else:
        nats = part_losses(model, part).nats
    per_char = nats / np.diff(part.segments)
    summary = run.summary()
    percentiles = None if summary is None else summary.val_line_percentiles
    ranks = None if percentiles is None else percentile_ranks(percentiles, per_char)
    order = np.argsort(per_char, kind="stable")
    most = 1 if near is not None and len(part.lines) * len(near.lines) > MAX_PAIRS else None
    nearest = None if near is None else list(_nearest(near, part.lines, most))
    names = labels.names
    return Ranking(part.lines, nats, per_char, ~part.leak_free, order, ranks, names, numbers, p, nearest, most)


def _nearest(near: NearLines, lines: Lines, most: int | None) -> Iterator[tuple[str, int]]:
    for start in range(0, len(lines), _SEARCHED):
        yield from near.nearest(list(lines[start : start + _SEARCHED]), most)
        report("nearest known items", start + _SEARCHED, len(lines))
