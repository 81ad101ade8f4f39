"""Where in the lines the loss is: letter by letter, by position, by length."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from wavemore.plots.style import (
    BLUE,
    FAINT,
    LOSS,
    PAPER,
    RULE,
    canvas,
    empty,
    headline,
    legend,
    look,
    one,
    sign,
    styled,
    words,
)

LETTERS_A_ROW, LARGEST_ROWS = 32, 10
FULL_NATS = 6.0
"""Surprise of the strongest colour: a chance of one in 400."""
SHADES = LinearSegmentedColormap.from_list("surprise", ["#fdf1e3", "#f7c58b", "#ea8a3c", "#c44d00", "#7d2b00"])


@styled
def surprise(text: str, char_nats: Sequence[float], *, title: str | None = None) -> Figure:
    """How surprising each letter of a line is to a model, in nats; ⏎ is the end of the line.

    `char_nats` is `Score.char_nats`: one number a character, and one for the end. Of a long line the first 320
    letters are shown.
    """
    if len(char_nats) not in (len(text), len(text) + 1):
        raise ValueError(f"{len(text)} characters and the end take {len(text) + 1} numbers, not {len(char_nats)}")
    signs = [sign(character) for character in text] + [sign("")] * (len(char_nats) - len(text))
    shown = min(len(signs), LETTERS_A_ROW * LARGEST_ROWS)
    rows = max(1, -(-shown // LETTERS_A_ROW))
    across = LETTERS_A_ROW if rows > 1 else max(8, shown)
    figure = canvas(max(4.5, min(9.0, 0.4 * across + 1.2)), 1.0 + 1.5 * rows)
    headline(figure, title or f"Surprise of each letter: {text[:40]}")
    figure.supylabel("surprise (nats)", fontsize=10)
    finite = [nats for nats in char_nats[:shown] if isfinite(nats)]
    top = max([*finite, FULL_NATS / 2]) * 1.22
    every = figure.subplots(rows, 1, squeeze=False)[:, 0]
    for row, axes in enumerate(every):
        begin, end = row * LETTERS_A_ROW, min(shown, (row + 1) * LETTERS_A_ROW)
        heights = [nats if isfinite(nats) else top for nats in char_nats[begin:end]]
        colors = SHADES(np.array(heights) / FULL_NATS)
        axes.bar(range(end - begin), heights, 0.86, color=colors, edgecolor=FAINT, linewidth=0.6)
        for place, (nats, height) in enumerate(zip(char_nats[begin:end], heights, strict=True)):
            said = f"{nats:.1f}" if isfinite(nats) else "∞"
            axes.annotate(
                said, (place, min(height, top)), xytext=(0, 2), textcoords="offset points", ha="center", fontsize=7.5
            )
        axes.set_xticks(range(end - begin), signs[begin:end])
        for label in axes.get_xticklabels():
            label.set_fontsize(13 if len(label.get_text()) < 3 else 6)
            label.set_rotation(0 if len(label.get_text()) < 3 else 60)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, across - 0.4)
        axes.set_ylim(0, top)
        axes.grid(axis="y")
    left = len(signs) - shown
    every[-1].set_xlabel(f"letter (⏎: the line ends here){f'; {left:,} more are not shown' if left else ''}")
    return figure


@styled
def loss_by_position(
    by_position: Sequence[float] | Mapping[str, Sequence[float]],
    counts: Sequence[int] | None = None,
    *,
    interval: Sequence[float] | None = None,
    title: str = "Loss by position in the line",
) -> Figure:
    """Mean loss of the first, second, ... character of a line, of one model or part or of several by name.

    `counts` are the targets at each position, drawn as grey bars below; `interval` is half the width of the 95 %
    interval at each position.
    """
    several = by_position if isinstance(by_position, Mapping) else {"": by_position}
    figure, axes, below = _with_counts(title, "position in the line (1: its first character)", counts)
    handles: list[Any] = []
    seen: list[float] = []
    for number, values in enumerate(several.values()):
        color, stroke, marker = look(number)
        nats = np.array(values, float)
        places = np.arange(1, len(nats) + 1)
        keep = np.isfinite(nats)
        if interval is not None and len(interval) == len(nats):
            half = np.nan_to_num(np.array(interval, float))
            axes.fill_between(places[keep], (nats - half)[keep], (nats + half)[keep], color=color, alpha=0.2, lw=0)
        if keep.any():
            marker = marker if len(nats) <= 60 else ""
            handles += axes.plot(places[keep], nats[keep], color=color, linestyle=stroke, marker=marker)
        seen += nats[keep].tolist()
    if seen:
        room = 0.15 * (max(seen) - min(seen)) or 0.1
        axes.set_ylim(min(seen) - room, max(seen) + room)  # a position with two lines has an interval of any size
    else:
        empty(axes, "no positions")
    if handles and isinstance(by_position, Mapping):
        legend(axes, handles, [name for name, values in several.items() if np.isfinite(values).any()])
    if counts is not None:
        edges = np.arange(len(counts) + 1) + 0.5
        below.stairs(counts, edges, fill=True, color=RULE)
        below.stairs(counts, edges, color=FAINT, linewidth=0.7)
    return figure


@styled
def loss_by_length(lengths: ArrayLike, nats: ArrayLike, *, title: str = "Loss by length of the line") -> Figure:
    """Loss of the lines of each length, with its 95 % interval, and how many lines there are.

    `lengths` (N,) are the characters of each line, `nats` (N,) what the whole line costs, its end included. Where
    there are many lengths, neighbours are taken together.
    """
    sizes, costs = np.asarray(lengths, np.int64).ravel(), np.asarray(nats, float).ravel()
    if len(sizes) != len(costs):
        raise ValueError(f"{len(sizes)} lengths and {len(costs)} losses do not belong together")
    sizes, costs = sizes[np.isfinite(costs)], costs[np.isfinite(costs)]
    distinct = np.unique(sizes)
    groups = [group for group in np.array_split(distinct, max(1, min(len(distinct), 40))) if len(group)]
    members = [np.isin(sizes, group) for group in groups]
    figure, axes, below = _with_counts(title, "characters in the line", [1] if groups else None)
    if not groups:
        empty(axes, "no lines")
        return figure
    middles = [float(sizes[chosen].mean()) for chosen in members]
    means, halves = [], []
    for chosen in members:
        targets = sizes[chosen] + 1
        mean = costs[chosen].sum() / targets.sum()
        rest = costs[chosen] - mean * targets  # of a ratio of two sums
        n = len(targets)
        halves.append(1.96 * rest.std(ddof=1) * n**0.5 / targets.sum() if n > 1 else 0.0)
        means.append(mean)
    axes.errorbar(middles, means, halves, color=BLUE, marker="o", capsize=2.5, elinewidth=1, markerfacecolor=PAPER)
    low, high = min(means), max(means)
    room = 0.25 * (high - low) or 0.1
    axes.set_ylim(low - room, high + room)  # a length with two lines has an interval of any size
    widths = [0.8 * (group[-1] - group[0] + 1) for group in groups]
    below.bar(middles, [int(chosen.sum()) for chosen in members], widths, color=RULE, edgecolor=FAINT, linewidth=0.5)
    return figure


def _with_counts(title: str, x_label: str, counts: Sequence[int] | None) -> tuple[Figure, Any, Any]:
    """Axes for losses, and lower ones below them for counts where there are some."""
    if counts is None:
        figure, axes = one(title, x_label, LOSS)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=True))
        return figure, axes, axes
    figure = canvas(7.0, 4.6)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.set_title(words(title, 80))
    axes.set_ylabel(LOSS)
    axes.grid(axis="y")
    below.set_ylabel("lines")
    below.set_xlabel(x_label)
    below.yaxis.set_major_formatter("{x:,.0f}")
    below.xaxis.set_major_locator(MaxNLocator(10, integer=True))
    return figure, axes, below
