"""Several models beside each other: losses against what they cost, and the arms of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log10
from statistics import fmean, stdev
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from wavemore.plots.style import (
    BLUE,
    FAINT,
    INK,
    PAPER,
    RULE,
    VERMILION,
    canvas,
    empty,
    headline,
    legend,
    one,
    styled,
    words,
)

VAL_LOSS = "val loss (nats per character)"


@dataclass(frozen=True)
class Point:
    """A model or an experiment: what it costs (parameters, seconds), its loss, the deviation of that over seeds."""

    label: str
    x: float
    y: float
    std: float | None = None


@dataclass(frozen=True)
class Arm:
    """One of the things that a study compares: the loss of each seed, and a published one beside them."""

    label: str
    values: Sequence[float]
    published: float | None = None


@styled
def losses_against(
    points: Sequence[Point], x_label: str, *, y_label: str = VAL_LOSS, title: str | None = None
) -> Figure:
    """Losses against parameters or seconds, on a scale of powers of ten; each point says what it is.

    Bars are one standard deviation over seeds; the line joins the models that no cheaper one beats.
    """
    figure, axes = one(title or f"Loss against {x_label}", x_label, y_label, width=7.5, height=4.8)
    _draw_losses(axes, points)
    return figure


@styled
def losses_against_costs(parameters: Sequence[Point], seconds: Sequence[Point], *, title: str = "") -> Figure:
    """Val losses against parameters and, below, against seconds of training, each as `losses_against` draws it."""
    figure = canvas(7.5, 9.4)
    if title:
        headline(figure, title)
    for axes, points, x_label in zip(
        figure.subplots(2, 1), (parameters, seconds), ("parameters", "seconds of training"), strict=True
    ):
        axes.set_title(f"Loss against {x_label}")
        axes.set_xlabel(x_label)
        axes.set_ylabel(VAL_LOSS)
        _draw_losses(axes, points)
    return figure


def _draw_losses(axes: Axes, points: Sequence[Point]) -> None:
    good = [point for point in points if isfinite(point.y) and isfinite(point.x) and point.x > 0]
    if not good:
        empty(axes, "no finished runs")
        return
    best = front(good)
    axes.step([p.x for p in best], [p.y for p in best], where="post", color=RULE, linewidth=2.5, zorder=1)
    for point in good:
        axes.errorbar(
            point.x,
            point.y,
            point.std if point.std is not None and isfinite(point.std) else None,
            color=BLUE,
            marker="o" if point in best else "s",
            markerfacecolor=BLUE if point in best else PAPER,
            markersize=7,
            capsize=3,
            elinewidth=1.2,
            zorder=3,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
    axes.xaxis.set_minor_formatter("")
    low, high = min(p.x for p in good), max(p.x for p in good)
    room = max(0.25, 0.18 * log10(high / low))
    axes.set_xlim(low / 10**room, high * 10**room)
    if high / low < 100:
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    bottom, top = min(p.y - (p.std or 0) for p in good), max(p.y + (p.std or 0) for p in good)
    edge = 0.12 * (top - bottom) or 0.1
    axes.set_ylim(bottom - edge, top + edge)
    _write_labels(axes, good)
    axes.grid(True)


def front(points: Sequence[Point]) -> list[Point]:
    """The points than which no cheaper one has a lower loss, the cheapest first.

    >>> [point.label for point in front([Point("a", 1, 3.0), Point("b", 2, 2.0), Point("c", 3, 2.5)])]
    ['a', 'b']
    """
    chosen: list[Point] = []
    for point in sorted(points, key=lambda point: (point.x, point.y)):
        if not chosen or point.y < chosen[-1].y:
            chosen.append(point)
    return chosen


Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in typographic points."""

BESIDE = [(7, 10), (9, 0), (0, 14), (-7, -10), (-9, 0), (0, -14), (7, -10), (-7, 10)]
"""Where the label of a point may stand, in typographic points from it."""


def _write_labels(axes: Axes, points: Sequence[Point]) -> None:
    """A label beside each point, at the first of eight places where it covers the least of others."""
    width, height = 6.0 * 72, 3.7 * 72  # of the axes, near enough
    (left, right), (bottom, top) = np.log10(axes.get_xlim()), axes.get_ylim()
    spots = [((log10(p.x) - left) / (right - left) * width, (p.y - bottom) / (top - bottom) * height) for p in points]
    dots = [(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    taken: list[Box] = []
    for number, (point, spot) in enumerate(zip(points, spots, strict=True)):
        text = words(point.label, 32)
        others = [*taken, *dots[:number], *dots[number + 1 :]]
        boxes = [_box(spot, place, 5.2 * len(text)) for place in BESIDE]
        costs = [max(0.0, -box[0], box[2] - width) + sum(_overlap(box, other) for other in others) for box in boxes]
        best = costs.index(min(costs))
        taken.append(boxes[best])
        across = BESIDE[best][0]
        axes.annotate(
            text,
            (point.x, point.y),
            xytext=BESIDE[best],
            textcoords="offset points",
            ha="left" if across > 0 else "right" if across < 0 else "center",
            va="center",
            fontsize=9,
        )


def _box(spot: tuple[float, float], place: tuple[int, int], long: float) -> Box:
    begin = spot[0] + place[0] - (0 if place[0] > 0 else long if place[0] < 0 else long / 2)
    return begin, spot[1] + place[1] - 6, begin + long, spot[1] + place[1] + 6


def _overlap(a: Box, b: Box) -> float:
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))


@styled
def arms(rows: Sequence[Arm], *, x_label: str = VAL_LOSS, title: str = "Each seed, and the means") -> Figure:
    """The arms of a study, one below the other: a dot a seed, the mean, its 95 % interval, and a published loss."""
    figure = canvas(7.5, 1.6 + 0.55 * max(1, len(rows)))
    axes = figure.add_subplot()
    headline(figure, title)
    axes.set_xlabel(words(x_label, 80))
    handles: dict[str, Any] = {}
    for number, arm in enumerate(rows):
        values = [value for value in arm.values if isfinite(value)]
        axes.axhline(number, color=RULE, linewidth=0.7, zorder=0)
        if arm.published is not None and isfinite(arm.published):
            handles["published"] = axes.plot(
                arm.published, number + 0.26, "X", color=VERMILION, markersize=9, markeredgecolor=PAPER, zorder=2
            )[0]
        if not values:
            axes.annotate("no results", (0.5, number), xycoords=("axes fraction", "data"), color=FAINT, va="center")
            continue
        mean, half = fmean(values), half_interval(values)
        if half is not None:
            handles["95 % interval of the mean"] = axes.errorbar(
                mean, number, xerr=half, color=INK, capsize=4, elinewidth=1.6, marker="none", zorder=3
            )
        handles["mean"] = axes.plot(mean, number, "D", color=INK, markersize=7, zorder=4)[0]
        above = np.full(len(values), number - 0.24)
        handles["a seed"] = axes.plot(
            values, above, "o", color=BLUE, markersize=6, markeredgecolor=PAPER, alpha=0.85, zorder=5
        )[0]
        std = f" ± {stdev(values):.4f}" if len(values) > 1 else ""
        axes.annotate(
            f"{mean:.4f}{std}",
            (1.01, number),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.set_yticks(range(len(rows)), [words(arm.label, 40) for arm in rows])
    axes.set_ylim(max(1, len(rows)) - 0.5, -0.5)  # the first arm at the top
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    if handles:
        legend(figure, list(handles.values()), list(handles), loc="outside lower center", ncols=4)
        axes.margins(x=0.06)
        axes.grid(axis="x")
    else:
        empty(axes, "no results")
    return figure


def half_interval(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % interval of a mean over seeds, by Student's t; None for one seed.

    >>> round(half_interval([1.0, 2.0, 3.0]), 3), half_interval([1.0])
    (2.484, None)
    """
    if len(values) < 2:
        return None
    from scipy.stats import t

    return float(t.ppf(0.975, len(values) - 1) * stdev(values) / len(values) ** 0.5)
