"""How typical the items of another list are for the model of a run."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.evaluate import part_losses, percentile_rank
from wavemore.engine.labels import likeliest_labels
from wavemore.errors import UsageError
from wavemore.runs.run import Run
from wavemore.text.lines import Lines
from wavemore.text.parts import Part

COLUMNS = ("text", "nats", "nats_per_char", "percentile_rank", "known")
LABEL_COLUMNS = ("label", "label_p")
_BATCH = 1 << 14  # rows that are separate Python objects at the same time


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
    percentiles: tuple[float, ...] | None
    """Those of the nats per character of the run's val lines."""
    labels: tuple[str, ...] = ()
    """The labels of the run; the items are then ranked with the given one or, each, with the likeliest."""
    label_numbers: NDArray[np.int64] | None = None
    """(N,)"""
    label_p: NDArray[np.float64] | None = None
    """How likely each item's label is, (N,); None if it was given."""


def rank(run: Run, part: Part, label: str | None = None) -> Ranking:
    """Compute the losses of a list's items; `label` is that of all of them, by default the likeliest one of each.

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
    order = np.argsort(per_char, kind="stable")
    return Ranking(part.lines, nats, per_char, ~part.leak_free, order, percentiles, labels.names, numbers, p)


def write_ranking(ranking: Ranking, path: Path) -> None:
    """Write the items as CSV, the most typical first. Raises `UsageError` for a file that cannot be written."""
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow((*COLUMNS, *LABEL_COLUMNS) if ranking.labels else COLUMNS)
            for start in range(0, len(ranking.order), _BATCH):
                chosen = ranking.order[start : start + _BATCH]
                for number, line in zip(chosen, ranking.lines.take(chosen), strict=True):
                    nats_per_char = float(ranking.nats_per_char[number])
                    percentile = ""
                    if ranking.percentiles is not None:
                        percentile = f"{percentile_rank(ranking.percentiles, nats_per_char):.2f}"
                    known = "yes" if ranking.known[number] else "no"
                    nats = f"{ranking.nats[number]:.4f}"
                    writer.writerow([line, nats, f"{nats_per_char:.4f}", percentile, known, *_label(ranking, number)])
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror or error}); give another file") from None


def _label(ranking: Ranking, number: int) -> list[str]:
    """Return an item's label and how likely it is; empty if the run has no labels."""
    if ranking.label_numbers is None:
        return []
    p = "" if ranking.label_p is None else f"{ranking.label_p[number]:.4f}"
    return [ranking.labels[ranking.label_numbers[number]], p]
