"""Where the loss is in the lines: character by character, by position, by length."""

from collections.abc import Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from wavemore.plots.figure import axes_with_counts, headline, new_figure, nothing_to_show, styled
from wavemore.plots.style import BLUE, FAINT, LOSS, RULE, drawn_sign

Floats = Sequence[float]

ROW, MAX_ROWS = 32, 10
"""Characters per row, and rows."""
FULL_NATS = 6.0
"""Surprise with the strongest colour: a probability of 1 in 400."""
SHADES = LinearSegmentedColormap.from_list("surprise", ["#fdf1e3", "#f7c58b", "#ea8a3c", "#c44d00", "#7d2b00"])
MAX_MARKERS = 60


@styled
def surprise(text: str, char_nats: Sequence[float], *, title: str | None = None) -> Figure:
    """Draw how surprising each character of a line is to a model, in nats; ⏎ is the end of the line.

    `char_nats` is `Score.char_nats`: one number per character, and one for the end. Only the first 320 characters of
    a long line are drawn.
    """
    if len(char_nats) not in (len(text), len(text) + 1):
        raise ValueError(f"{len(text)} characters and the end need {len(text) + 1} numbers, not {len(char_nats)}")
    signs = [drawn_sign(character) for character in text] + [drawn_sign("")] * (len(char_nats) - len(text))
    count = min(len(signs), ROW * MAX_ROWS)
    rows = max(1, -(-count // ROW))
    columns = ROW if rows > 1 else max(8, count)
    figure = new_figure(max(4.5, min(9.0, 0.4 * columns + 1.2)), 1.0 + 1.5 * rows)
    headline(figure, title or f"Surprise of each character: {text[:40]}")
    figure.supylabel("surprise (nats)", fontsize=10)
    top = 1.22 * max([nats for nats in char_nats[:count] if isfinite(nats)] + [FULL_NATS / 2])
    all_axes = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for row, axes in enumerate(all_axes):
        part = slice(row * ROW, min(count, (row + 1) * ROW))
        _draw_surprises(axes, signs[part], char_nats[part], top)
        axes.set(xlim=(-0.6, columns - 0.4), ylim=(0, top))
    rest = len(signs) - count
    all_axes[-1].set_xlabel(f"character (⏎: end of the line){f'; {rest:,} more are not shown' if rest else ''}")
    return figure


def _draw_surprises(axes: Axes, signs: Sequence[str], char_nats: Sequence[float], top: float) -> None:
    heights = [nats if isfinite(nats) else top for nats in char_nats]
    axes.bar(range(len(heights)), heights, 0.86, color=SHADES(np.array(heights) / FULL_NATS), edgecolor=FAINT, lw=0.6)
    above: dict[str, Any] = {"xytext": (0, 2), "textcoords": "offset points", "ha": "center", "fontsize": 7.5}
    for place, (nats, height) in enumerate(zip(char_nats, heights, strict=True)):
        axes.annotate(f"{nats:.1f}" if isfinite(nats) else "∞", (place, height), **above)
    axes.set_xticks(range(len(signs)), signs)
    for tick in axes.get_xticklabels():
        narrow = len(tick.get_text()) < 3
        tick.set(fontsize=13 if narrow else 6, rotation=0 if narrow else 60)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y")


@styled
def loss_by_position(nats: Floats, counts: Floats, half_widths: Floats) -> Figure:
    """Draw the mean loss of the first, second, ... character of a line.

    `counts` are the lines that reach each position, `half_widths` half the width of each mean's 95 % interval.
    """
    places = [place + 1.0 for place in range(len(nats))]
    title = "Loss by position in the line"
    return _losses(title, "position in the line (1: first character)", places, nats, counts, half_widths)


@styled
def loss_by_length(lengths: Floats, nats: Floats, counts: Floats, half_widths: Floats) -> Figure:
    """Draw the mean loss per character of the lines of each length, or of each group of similar lengths.

    `counts` are the lines of each length, `half_widths` half the width of each mean's 95 % interval.
    """
    return _losses("Loss by length of the line", "characters in the line", lengths, nats, counts, half_widths)


def _losses(title: str, x_label: str, places: Floats, nats: Floats, counts: Floats, half_widths: Floats) -> Figure:
    if len({len(places), len(nats), len(counts), len(half_widths)}) > 1:
        raise ValueError(f"{len(places)} places, {len(nats)} losses and {len(counts)} counts do not fit together")
    figure, axes, below = axes_with_counts(title, x_label, LOSS, "lines")
    if not any(map(isfinite, nats)):
        nothing_to_show(axes, "no lines")
        return figure
    below.bar(places, counts, 0.9, color=RULE, edgecolor=FAINT, linewidth=0.7)
    below.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    axes.margins(y=0.15)
    axes.plot(places, nats, color=BLUE, marker="o" if len(nats) <= MAX_MARKERS else "")
    limits = axes.get_ylim()  # of the means: the interval of a place with two lines can have any size
    means, half = np.array(nats), np.nan_to_num(np.array(half_widths))
    axes.fill_between(places, means - half, means + half, color=BLUE, alpha=0.2, lw=0)
    axes.set_ylim(limits)
    return figure
