"""What happens while a model learns: losses over the steps, what flows through the layers, how far weights move."""

import re
from collections.abc import Mapping, Sequence
from math import isfinite, log10, sqrt
from statistics import fmean
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wavemore.plots.style import (
    BLUE,
    FAINT,
    INK,
    LOSS,
    PAPER,
    VERMILION,
    canvas,
    empty,
    headline,
    legend,
    look,
    one,
    styled,
    words,
)

if TYPE_CHECKING:
    from wavemore.runs.record import Record

Histogram = tuple[NDArray[Any], NDArray[Any]]
"""Counts (n,) and edges (n + 1,)."""

WINDOWS = 40
"""So many points an averaged curve has by default."""


@styled
def learning_curves(
    curves: Mapping[str, Sequence["Record"]], average: int | None = None, *, title: str = "Learning curves"
) -> Figure:
    """Train and val loss over the steps, in nats per character, of one run or several by name.

    Records of the train loss are drawn faintly, and as means over windows of `average` records (without it: so many
    that a curve has about 40 points), each record weighted by its steps. The best val loss is marked.
    """
    figure, axes = one(title, "step", LOSS, height=4.2)
    handles: list[Any] = []
    names: list[str] = []
    seen: list[float] = []
    marked: list[tuple[float, float]] = []
    for number, (name, records) in enumerate(curves.items()):
        color, stroke, marker = look(number)
        before = f"{name}: " if len(curves) > 1 else ""
        steps, nats = _points(records, "train_nats")
        if len(steps):
            axes.plot(steps, nats, color=color, alpha=0.3, linewidth=0.8)
            centres, means = window_means(steps, nats, average)
            lone = "." if len(means) == 1 else ""
            handles += axes.plot(centres, means, color=color, linestyle=stroke, marker=lone)
            names.append(f"{before}train, averaged")
            seen += means[len(means) // 10 :].tolist()
        steps, nats = _points(records, "val_nats")
        if len(steps):
            handles += axes.plot(
                steps, nats, color=color, linestyle="none", marker=marker, markerfacecolor=PAPER, markeredgewidth=1.4
            )
            names.append(f"{before}val")
            best = int(nats.argmin())
            axes.plot(steps[best], nats[best], color=color, marker=marker, markersize=9)
            marked.append((float(steps[best]), float(nats[best])))
            seen += nats.tolist()
    if not handles:
        empty(axes, "no records yet")
        return figure
    low, high = min(seen), max(seen)
    room = 0.08 * (high - low) or 0.1
    axes.set_ylim(low - room, high + room)  # the first steps fall from ln V: what comes later would look flat
    for step, best_nats in marked if len(curves) == 1 else ():
        axes.annotate(
            f"best val {best_nats:.4f}\nafter step {step:,.0f}",
            (step, best_nats),
            xytext=(-8, 14),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=9,
        )
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes, handles, names, loc="upper right", ncols=1 if len(names) < 9 else 2)
    return figure


def window_means(
    steps: NDArray[np.float64], nats: NDArray[np.float64], average: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Means over windows of `average` records, (N,) -> (N / average,), at the middle of each window's steps.

    >>> steps, means = window_means(np.array([1.0, 2, 4, 6]), np.array([4.0, 2, 1, 1]), average=2)
    >>> steps.tolist(), means.tolist()
    ([1.0, 4.0], [3.0, 1.0])
    """
    size = max(1, average or -(-len(steps) // WINDOWS))
    begins = np.arange(0, len(steps), size)
    taken = np.diff(steps, prepend=0)  # a record is a mean over the steps since the one before
    taken[taken <= 0] = 1
    total = np.add.reduceat(taken, begins)
    ends = steps[np.append(begins[1:], len(steps)) - 1]
    return ends - total / 2, np.add.reduceat(taken * nats, begins) / total


@styled
def update_ratios(records: Sequence["Record"], *, title: str = "How far a step moves the weights") -> Figure:
    """log10 of the standard deviation of a step's update by that of the weights, over the steps, a line a parameter.

    About -3 is the lecture's rule for SGD; Muon moves its matrices by about -1.5 at its peak, and that is healthy. Of a
    model of many blocks, a line is the mean over blocks.
    """
    figure, axes = one(title, "step", "log10 of std(update) / std(weight)", height=4.2)
    series: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name, value in record.get("update_ratios", {}).items():
            if isfinite(value):
                series.setdefault(name, []).append((float(record["step"]), float(value)))
    if not series:
        empty(axes, "the records hold no update ratios")
        return figure
    if len(series) > MOST_LINES:
        series = _joined(series)
    handles: list[Any] = []
    ordered = sorted(series, key=lambda name: -series[name][-1][1])
    for number, name in enumerate(ordered):
        color, stroke, marker = look(number)
        steps, values = np.array(series[name]).T
        every = max(1, len(steps) // 6)
        offset = (number * every) // max(1, len(ordered))
        handles += axes.plot(
            steps, values, color=color, linestyle=stroke, marker=marker, markevery=(offset, every), linewidth=1.3
        )
    handles.append(axes.axhline(-3, color=INK, linewidth=1.4, linestyle=(0, (1, 1))))
    ordered.append("-3: the rule for SGD")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes, handles, ordered, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.set_size_inches(8.5, max(4.2, 0.9 + 0.21 * len(ordered)))
    return figure


MOST_LINES = 12
"""Of one figure, that can still be told apart."""


def _joined(series: Mapping[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """The means of lines whose names differ in a number alone, at the steps that all of them have.

    >>> _joined({f"blocks.{n}.skip": [(1, -n), (2, -n)] for n in (1, 2, 3)} | {"head.1": [(1, -1.0)]})
    {'blocks.*.skip (3)': [(1, -2.0), (2, -2.0)], 'head.1': [(1, -1.0)]}
    """
    together: dict[str, list[str]] = {}
    for name in series:
        together.setdefault(re.sub(r"\b\d+\b", "*", name), []).append(name)
    joined: dict[str, list[tuple[float, float]]] = {}
    for pattern, names in together.items():
        if len(names) < 3:  # no blocks, but layers that happen to be numbered
            joined |= {name: series[name] for name in names}
            continue
        lines = [dict(series[name]) for name in names]
        steps = [step for step in lines[0] if all(step in line for line in lines)]
        if steps:
            joined[f"{pattern} ({len(names)})"] = [(step, fmean(line[step] for line in lines)) for step in steps]
    return joined


@styled
def activation_histograms(layers: Mapping[str, Histogram], *, title: str = "Activations by layer") -> Figure:
    """How the outputs of each layer are distributed: a histogram a layer, all on one scale, the input at the top."""
    return _histograms(layers, title, "activation", BLUE)


@styled
def gradient_histograms(layers: Mapping[str, Histogram], *, title: str = "Gradients by layer") -> Figure:
    """How the gradients of the loss by each layer's outputs (or weights) are distributed, all on one scale."""
    return _histograms(layers, title, "gradient (nats per unit)", VERMILION)


def _histograms(layers: Mapping[str, Histogram], title: str, x_label: str, color: str) -> Figure:
    figure = canvas(7.0, 1.1 + 0.55 * max(2, len(layers)))
    headline(figure, title)
    if not layers:
        empty(figure.add_subplot(), "no layers")
        return figure
    every = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, (counts, edges)) in zip(every, layers.items(), strict=True):
        counts, edges = np.asarray(counts, float), np.asarray(edges, float)
        axes.set_ylabel(words(name, 28), rotation=0, ha="right", va="center", fontsize=9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if len(edges) != len(counts) + 1:
            raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, not {len(edges)}")
        total = counts.sum()
        if not (isfinite(total) and total > 0 and np.isfinite(edges).all()):
            axes.text(0.5, 0.3, "no finite values", transform=axes.transAxes, ha="center", color=FAINT, fontsize=9)
            continue
        density = counts / np.maximum(np.diff(edges), 1e-300)
        axes.stairs(density / density.max(), edges, fill=True, color=color, alpha=0.35)
        axes.stairs(density / density.max(), edges, color=color, linewidth=1.0)
        axes.set_ylim(0, 1.08)
        middles = (edges[1:] + edges[:-1]) / 2
        mean = float((counts * middles).sum() / total)
        std = sqrt(float((counts * (middles - mean) ** 2).sum() / total))
        axes.annotate(
            f"mean {number(mean)}, std {number(std)}", (1.01, 0.3), xycoords="axes fraction", fontsize=9, color=INK
        )
    every[-1].xaxis.set_major_locator(MaxNLocator(6))
    every[-1].set_xlabel(x_label)
    return figure


def number(value: float) -> str:
    """A number in a few letters.

    >>> number(0.0), number(0.634), number(-0.00001234)
    ('0', '0.634', '-1.2e-05')
    """
    if value == 0:
        return "0"
    return f"{value:.1e}" if abs(log10(abs(value))) > 3 else f"{value:.3g}"


def _points(records: Sequence["Record"], key: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The steps and the finite values of a field that not every record has."""
    found = [
        (record["step"], value)
        for record in records
        if isinstance(value := record.get(key), int | float) and isfinite(value)
    ]
    pairs = np.array(found, float).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
