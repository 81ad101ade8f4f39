"""The val lines of a run and their losses: by position, by length, and character by character.

N targets: the characters of the lines, and their ends.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavemore import plots
from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import token_nats
from wavemore.engine.line_spans import line_sums, positions_in_line
from wavemore.errors import RunError
from wavemore.html import Html, text
from wavemore.plots.lines import FULL_NATS
from wavemore.reports.tags import paragraph, picture, side_by_side
from wavemore.runs.run import Run
from wavemore.signs import sign
from wavemore.text.parts import LinePart

PASSAGE = 12
"""Consecutive lines of a text that are shown."""
MAX_CHARACTERS = 80
"""Characters of a line that are shown."""
MAX_GROUPS = 40
"""Number of groups of line lengths."""
HALF_WIDTH = 1.96
"""Half the width of a 95 % interval, in standard errors."""
EXPLANATION = (
    "Below each character is its surprise in nats, given the characters before it: 0.7 is a probability of 1 in 2, "
    "4.6 of 1 in 100. ⏎ is the end of the line."
)


@dataclass(frozen=True, eq=False)
class ValLines:
    """The val part of a run, line by line, and the loss of each target with the best checkpoint, (N,)."""

    part: LinePart
    nats: NDArray[np.float64]


def val_lines(run: Run) -> ValLines:
    """Read the data and the model of a run and evaluate its val lines.

    Raises `RunError` if the data or the model cannot be read, or if a text has no complete line in val.
    """
    corpus, model = run.corpus(), run.model()
    part = corpus.val.as_lines(corpus.vocabulary)
    if not len(part.lines):
        raise RunError("the val part of this text has no line end, so it cannot be shown by lines")
    nats = token_nats(model, evaluation_batcher(corpus.val, model))  # in a text, with the text before each line
    return ValLines(part, nats[: part.num_targets])


def losses(val: ValLines) -> list[Html]:
    """Return figures of the loss by position and by length."""
    caption = "On the val lines, with 95 % intervals."
    left = picture(_by_position(val), "Loss by position in the line", f"{caption} A line's end has a position too.")
    return [side_by_side([left, picture(_by_length(val), "Loss by length of the line", caption)])]


def _by_position(val: ValLines) -> plots.Figure:
    positions = positions_in_line(val.part.tokens)
    counts = np.bincount(positions)
    means = np.bincount(positions, val.nats) / counts
    variances = np.maximum(np.bincount(positions, val.nats**2) / counts - means**2, 0)
    half_widths = np.where(counts > 1, HALF_WIDTH * np.sqrt(variances / counts), 0)
    return plots.loss_by_position(means.tolist(), counts.tolist(), half_widths.tolist())


def _by_length(val: ValLines) -> plots.Figure:
    lengths, line_nats = val.part.lines.lengths, line_sums(val.part, val.nats)
    distinct = np.unique(lengths)
    rows = []
    for group in np.array_split(distinct, min(len(distinct), MAX_GROUPS)):
        lines = (lengths >= group[0]) & (lengths <= group[-1])
        targets, count = lengths[lines] + 1, int(lines.sum())
        mean = line_nats[lines].sum() / targets.sum()
        residuals = line_nats[lines] - mean * targets  # the mean is a ratio of two sums
        error = residuals.std(ddof=1) * count**0.5 / targets.sum() if count > 1 else 0.0
        rows.append((lengths[lines].mean(), mean, count, HALF_WIDTH * error))
    return plots.loss_by_length(*zip(*rows, strict=True))


def surprises(val: ValLines) -> list[Html]:
    """Return the most typical val lines, some in the middle and the least typical ones, character by character."""
    order = np.argsort(line_sums(val.part, val.nats) / (val.part.lines.lengths + 1), kind="stable")
    middle = len(order) // 2
    groups = {
        "The most typical val lines": order[:2],
        "In the middle": order[middle : middle + 3],
        "The least typical ones": order[max(2, len(order) - 3) :],
    }
    return [
        paragraph(EXPLANATION, "quiet"),
        *(Html(f"<h3>{text(heading)}</h3>{_cells(val, lines)}") for heading, lines in groups.items()),
    ]


def passage(val: ValLines) -> list[Html]:
    """Return consecutive lines from the middle of a text, character by character."""
    first = len(val.part.lines) // 2
    lines = np.arange(first, min(len(val.part.lines), first + PASSAGE))
    return [paragraph(f"A passage from the middle of the val text. {EXPLANATION}", "quiet"), _cells(val, lines)]


def _cells(val: ValLines, lines: NDArray[np.int64]) -> Html:
    ends = np.cumsum(val.part.lines.lengths + 1)
    starts = ends - val.part.lines.lengths - 1
    rows = (_line_cells(val.part.lines[int(line)], val.nats[starts[line] : ends[line]]) for line in lines)
    return Html(f'<div class="lines">{"".join(rows)}</div>\n')


def _line_cells(line: str, nats: NDArray[np.float64]) -> Html:
    """Return one cell per character; the more surprising it is, the stronger its colour."""
    cells = "".join(
        f'<i style="--s:{min(1.0, value / FULL_NATS):.0%}">{text(sign(character))}<small>{value:.1f}</small></i>'
        for character, value in list(zip([*line, ""], nats.tolist(), strict=True))[:MAX_CHARACTERS]
    )
    rest = len(nats) - MAX_CHARACTERS
    note = f"{nats.mean():.3f} nats per character{f', {rest:,} more characters' if rest > 0 else ''}"
    return Html(f'<div class="line" dir="auto">{cells}<span dir="ltr">{note}</span></div>')
