"""Models next to each other: losses against costs, the arms of a study, and where one model predicts better."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import fmean, stdev
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from wavemore.plots.figure import axes_with_counts, headline, legend, new_figure, nothing_to_show, right_of, styled
from wavemore.plots.style import BLUE, FAINT, INK, PAPER, RULE, VERMILION, label

VAL_LOSS = "val loss (nats per character)"


@dataclass(frozen=True)
class Point:
    """A model or an experiment: its cost (parameters or seconds), its loss, and the standard deviation over seeds."""

    label: str
    x: float
    y: float
    std: float | None = None


@dataclass(frozen=True)
class Arm:
    """One arm of a study: the loss of each seed.

    `published` is a loss from the literature, `half_width` half the width of the mean's 95 % interval.
    """

    label: str
    values: Sequence[float]
    published: float | None = None
    half_width: float | None = None


@dataclass(frozen=True)
class Difference:
    """B - A in nats per character on a group of characters: value, ends of its interval, number of characters."""

    label: str
    value: float
    low: float | None
    high: float | None
    num_targets: int


@styled
def losses_against(costs: Mapping[str, Sequence[Point]]) -> Figure:
    """Draw losses against costs, such as parameters and seconds, on logarithmic axes: one pair of axes per cost.

    The points are numbered from the lowest loss. Bars are one standard deviation over seeds. The line connects the
    models that no cheaper one beats.
    """
    drawn = {
        cost: [point for point in points if isfinite(point.y) and isfinite(point.x) and point.x > 0]
        for cost, points in costs.items()
    }
    by_loss = sorted((point for points in drawn.values() for point in points), key=lambda point: point.y)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(point.label for point in by_loss), start=1)}
    figure = new_figure(8.0, len(costs) * max(4.7, 1.2 + 0.17 * len(numbers)))
    all_axes = figure.subplots(len(costs), 1, squeeze=False)[:, 0]
    for axes, (cost, points) in zip(all_axes, drawn.items(), strict=True):
        axes.set_title(label(f"Loss against {cost}", 80))
        axes.set(xlabel=label(cost, 80), ylabel=VAL_LOSS)
        if points:
            _draw_losses(axes, points, numbers)
        else:
            nothing_to_show(axes, "no finished runs")
    return figure


def _draw_losses(axes: Axes, points: Sequence[Point], numbers: Mapping[str, int]) -> None:
    best = front(points)
    axes.step([p.x for p in best], [p.y for p in best], where="post", color=RULE, linewidth=2.5, zorder=1)
    bar: dict[str, Any] = {"color": BLUE, "marker": "o", "markersize": 13, "capsize": 3, "elinewidth": 1.2, "zorder": 3}
    for point in points:
        face, color = (BLUE, PAPER) if point in best else (PAPER, INK)
        axes.errorbar(point.x, point.y, point.std, markerfacecolor=face, **bar)
        number = str(numbers[point.label])
        axes.annotate(number, (point.x, point.y), ha="center", va="center", fontsize=8, color=color, zorder=4)
    names = {point.label for point in points}
    lines = [f"{number}  {label(name, 32)}" for name, number in numbers.items() if name in names]
    axes.annotate("\n".join(lines), (1.02, 1), xycoords="axes fraction", va="top", fontsize=9, annotation_clip=False)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.xaxis.set_minor_formatter("")
    if max(p.x for p in points) < 100 * min(p.x for p in points):
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.margins(0.12)
    axes.grid(True)


def front(points: Sequence[Point]) -> list[Point]:
    """Return the points that no cheaper point beats, from the cheapest.

    >>> [point.label for point in front([Point("a", 1, 3.0), Point("b", 2, 2.0), Point("c", 3, 2.5)])]
    ['a', 'b']
    """
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, point.y)):
        if not best or point.y < best[-1].y:
            best.append(point)
    return best


@styled
def arms(rows: Sequence[Arm], *, split: str = "test", title: str = "Each seed, and the means") -> Figure:
    """Draw the arms of a study below each other: one dot per seed, the mean, its 95 % interval, a published loss.

    `split` is the part of the data that the losses are on.
    """
    figure = new_figure(7.5, 1.6 + 0.55 * max(1, len(rows)))
    axes = figure.add_subplot()
    headline(figure, title)
    axes.set_xlabel(f"{split} loss (nats per character)")
    handles: dict[str, Any] = {}
    for row, arm in enumerate(rows):
        handles |= _draw_arm(axes, row, arm)
    axes.set_yticks(range(len(rows)), [label(arm.label, 40) for arm in rows])
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)  # the first arm at the top
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if handles:
        legend(figure, handles, loc="outside lower center", ncols=4)
        axes.margins(x=0.06)
        axes.grid(axis="x")
    else:
        nothing_to_show(axes, "no results")
    return figure


def _draw_arm(axes: Axes, row: int, arm: Arm) -> dict[str, Any]:
    """Draw one arm and return the handles of its legend."""
    handles: dict[str, Any] = {}
    values = list(filter(isfinite, arm.values))
    axes.axhline(row, color=RULE, linewidth=0.7, zorder=0)
    if arm.published is not None:
        style: dict[str, Any] = {"color": VERMILION, "markersize": 9, "markeredgecolor": PAPER, "zorder": 2}
        [handles["published"]] = axes.plot(arm.published, row + 0.26, "X", **style)
    if not values:
        right_of(axes, row, "no results", FAINT)
        return handles
    mean = fmean(values)
    if arm.half_width is not None:
        style = {"color": INK, "capsize": 4, "elinewidth": 1.6, "marker": "none", "zorder": 3}
        handles["95 % interval of the mean"] = axes.errorbar(mean, row, xerr=arm.half_width, **style)
    [handles["mean"]] = axes.plot(mean, row, "D", color=INK, markersize=7, zorder=4)
    style = {"color": BLUE, "markersize": 6, "markeredgecolor": PAPER, "alpha": 0.85, "zorder": 5}
    [handles["one seed"]] = axes.plot(values, [row - 0.24] * len(values), "o", **style)
    std = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
    right_of(axes, row, f"{mean:.4f}{std}")
    return handles


@styled
def difference_by_position(
    differences: Sequence[Difference], *, a: str = "A", b: str = "B", overall: float | None = None
) -> Figure:
    """Draw B - A at the first, second, ... character of a line; below 0, B predicts better.

    Bars are 95 % intervals over lines; a hollow dot has too few lines for one. `overall` is the difference over all
    characters, drawn as a broken line.
    """
    x_label = "position in the line (1: first character); bars: 95 % intervals over lines"
    title, y_label = "Difference by position in the line", "B - A (nats per character)"
    figure, axes, below = axes_with_counts(title, x_label, y_label, "targets")
    drawn = [difference for difference in differences if isfinite(difference.value)]
    if not drawn:
        nothing_to_show(axes, "no positions")
        return figure
    _draw_differences(axes, drawn, overall)
    axes.margins(y=0.17)  # for the text at the top and the bottom
    box = {"facecolor": PAPER, "edgecolor": "none", "pad": 1}
    style: dict[str, Any] = {"xycoords": "axes fraction", "fontsize": 9, "color": FAINT, "bbox": box}
    axes.annotate(f"▲ {label(a, 40)} better", (0.01, 0.98), va="top", **style)
    axes.annotate(f"▼ {label(b, 40)} better", (0.01, 0.02), va="bottom", **style)
    counts = [difference.num_targets for difference in drawn]
    below.bar(range(len(drawn)), counts, 0.8, color=FAINT, alpha=0.5, linewidth=0)
    names = [difference.label.replace(" to ", "-").replace("end of line", "end") for difference in drawn]
    below.set_xticks(range(len(drawn)), names)
    return figure


def _draw_differences(axes: Axes, differences: Sequence[Difference], overall: float | None) -> None:
    axes.axhline(0, color=INK, linewidth=1)
    if overall is not None:
        axes.axhline(overall, color=BLUE, linewidth=1, linestyle=(0, (5, 3)), zorder=1)
        right_of(axes, overall, f"all: {overall:+.4f}", BLUE)
    for place, difference in enumerate(differences):
        face = PAPER
        if difference.low is not None and difference.high is not None:
            face, ends = BLUE, [difference.low, difference.high]
            axes.plot([place, place], ends, color=BLUE, linewidth=1.6, marker="_", markersize=8, zorder=2)
        axes.plot(place, difference.value, "o", color=BLUE, markerfacecolor=face, zorder=3)
