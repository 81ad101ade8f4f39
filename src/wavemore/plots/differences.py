"""Where one model predicts better than another."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite

from matplotlib.figure import Figure

from wavemore.plots.style import BLUE, FAINT, INK, PAPER, canvas, empty, styled, words


@dataclass(frozen=True)
class Difference:
    """B - A in nats per character on some of the characters, the ends of its interval, and how many there are."""

    label: str
    value: float
    low: float | None
    high: float | None
    targets: int


@styled
def difference_by_position(
    differences: Sequence[Difference],
    *,
    a: str = "A",
    b: str = "B",
    whole: float | None = None,
    title: str = "Difference by position in the line",
) -> Figure:
    """B - A at the first, second, ... character of a line: below 0, b predicts better.

    Bars are 95 % intervals over lines; a hollow dot has too few lines for one. `whole` is the difference over all
    characters, a broken line.
    """
    figure = canvas(7.0, 4.8)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.set_title(title)
    axes.set_ylabel("B - A (nats per character)")
    below.set_ylabel("targets")
    below.set_xlabel("position in the line (1: its first character); bars: 95 % intervals over lines")
    below.yaxis.set_major_formatter("{x:,.0f}")
    good = [difference for difference in differences if isfinite(difference.value)]
    if not good:
        empty(axes, "no positions")
        empty(below, "")
        return figure
    axes.grid(axis="y")
    axes.axhline(0, color=INK, linewidth=1)
    if whole is not None:
        axes.axhline(whole, color=BLUE, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        axes.annotate(
            f"all: {whole:+.4f}",
            (1, whole),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=BLUE,
            annotation_clip=False,
        )
    for number, difference in enumerate(good):
        low, high = difference.low, difference.high
        hollow = low is None or high is None
        if low is not None and high is not None:
            axes.plot([number, number], [low, high], color=BLUE, linewidth=1.6, marker="_", markersize=8, zorder=2)
        axes.plot(number, difference.value, "o", color=BLUE, markerfacecolor=PAPER if hollow else BLUE, zorder=3)
    bottom, top = axes.get_ylim()
    room = 0.12 * (top - bottom) or 0.01  # for the words above and below
    axes.set_ylim(min(bottom, 0.0) - room, max(top, 0.0) + room)
    for side, name, place in (("top", a, 0.98), ("bottom", b, 0.02)):
        axes.annotate(
            f"{'▲' if side == 'top' else '▼'} {words(name, 40)} better",
            (0.01, place),
            xycoords="axes fraction",
            va=side,
            fontsize=9,
            color=FAINT,
            bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1},
        )
    below.bar(range(len(good)), [difference.targets for difference in good], 0.8, color=FAINT, alpha=0.5, linewidth=0)
    below.set_xticks(
        range(len(good)), [difference.label.replace(" to ", "-").replace("end of line", "end") for difference in good]
    )
    return figure
