"""What happens while a model learns: losses over the steps, sizes of the updates, values in the layers."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from wavemore.plots.figure import headline, legend, new_axes, new_figure, nothing_to_show, styled
from wavemore.plots.style import BLUE, INK, LOSS, PAPER, VERMILION, label, series_style

Record = Mapping[str, Any]
"""A line of `metrics.jsonl`: `step`, `train_nats` and perhaps `val_nats` and `update_ratios`."""
Floats = NDArray[np.float64]
Histogram = tuple[NDArray[Any], NDArray[Any]]
"""Counts (n,) and edges (n + 1,)."""

POINTS = 40
"""Points of an averaged curve, by default."""
MAX_LINES = 12
"""More lines in one figure cannot be told apart."""
MAX_DRAWN = 60
"""More of them than this are left out."""


@styled
def learning_curves(
    curves: Mapping[str, Sequence[Record]], window: int | None = None, *, title: str = "Learning curves"
) -> Figure:
    """Draw train and val loss over the steps, in nats per character, of one run or of several by name.

    The train loss is drawn faintly per record, and as means over `window` records (by default as many as give about
    40 points), weighted by the steps of each record. The lowest val loss is marked.
    """
    figure, axes = new_axes(title, "step", LOSS, height=4.2)
    handles: dict[str, Any] = {}
    losses: list[float] = []
    for index, (name, records) in enumerate(curves.items()):
        color, stroke, marker = series_style(index)
        prefix = f"{name}: " if len(curves) > 1 else ""
        steps, nats = _finite(records, "train_nats")
        if len(steps):
            axes.plot(steps, nats, color=color, alpha=0.3, linewidth=0.8)
            centres, means = window_means(steps, nats, window)
            dot = "." if len(means) == 1 else ""
            [handles[f"{prefix}train, averaged"]] = axes.plot(centres, means, color=color, linestyle=stroke, marker=dot)
            losses += means[len(means) // 10 :].tolist()
        steps, nats = _finite(records, "val_nats")
        if len(steps):
            [handles[f"{prefix}val"]] = axes.plot(steps, nats, marker, color=color, markerfacecolor=PAPER, mew=1.4)
            best = int(nats.argmin())
            axes.plot(steps[best], nats[best], color=color, marker=marker, markersize=9)
            if len(curves) == 1:
                text = f"best val {nats[best]:.4f}\nafter step {steps[best]:,.0f}"
                place: dict[str, Any] = {"xytext": (-8, 14), "textcoords": "offset points", "ha": "right"}
                axes.annotate(text, (steps[best], nats[best]), fontsize=9, va="bottom", **place)
            losses += nats.tolist()
    if not handles:
        nothing_to_show(axes, "no records yet")
        return figure
    room = 0.08 * (max(losses) - min(losses)) or 0.1
    axes.set_ylim(min(losses) - room, max(losses) + room)  # the first steps fall so far that the rest would look flat
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes, handles, loc="upper right", ncols=1 if len(handles) < 9 else 2)
    return figure


def window_means(steps: Floats, nats: Floats, window: int | None = None) -> tuple[Floats, Floats]:
    """Return means over windows of records, (N,) -> (N / window,), at the middle of each window's steps.

    >>> steps, means = window_means(np.array([1.0, 2, 4, 6]), np.array([4.0, 2, 1, 1]), window=2)
    >>> steps.tolist(), means.tolist()
    ([1.0, 4.0], [3.0, 1.0])
    """
    size = max(1, window or -(-len(steps) // POINTS))
    starts = np.arange(0, len(steps), size)
    weights = np.diff(steps, prepend=0)  # a record is the mean over the steps since the previous one
    weights[weights <= 0] = 1
    totals = np.add.reduceat(weights, starts)
    ends = steps[np.append(starts[1:], len(steps)) - 1]
    return ends - totals / 2, np.add.reduceat(weights * nats, starts) / totals


@styled
def update_ratios(
    records: Sequence[Record], healthy: Mapping[str, float] | None = None, *, title: str = "Size of the updates"
) -> Figure:
    """Draw log10 of std(update) / std(weight) over the steps, one line per weight; of many blocks, their mean.

    `healthy` are the values that a good training has, by the name of the weights they hold for; they are drawn as
    dotted lines.
    """
    figure, axes = new_axes(title, "step", "log10 of std(update) / std(weight)", height=4.2)
    series: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for name, value in record.get("update_ratios", {}).items():
            if isfinite(value):
                series.setdefault(name, []).append((float(record["step"]), float(value)))
    if not series:
        nothing_to_show(axes, "the records contain no update ratios")
        return figure
    if len(series) > MAX_LINES:
        series = _mean_over_blocks(series)
        if len(series) > MAX_DRAWN:
            axes.set_title(f"{title}: {MAX_DRAWN} of {len(series):,} weights")
            series = dict(islice(series.items(), MAX_DRAWN))
    handles: dict[str, Any] = {}
    for index, name in enumerate(sorted(series, key=lambda name: -series[name][-1][1])):
        color, stroke, marker = series_style(index)
        steps, values = np.array(series[name]).T
        every = max(1, len(steps) // 6)
        markers: dict[str, Any] = {"marker": marker, "markevery": (index * every // len(series), every)}
        [handles[name]] = axes.plot(steps, values, color=color, linestyle=stroke, linewidth=1.3, **markers)
    for name, value in (healthy or {}).items():
        line = axes.axhline(value, color=INK, linewidth=1.4, linestyle=(0, (1, 1)))
        handles[f"{value:g}: healthy for {name}"] = line
    axes.xaxis.set_major_formatter("{x:,.0f}")
    legend(axes, handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.set_size_inches(8.5, max(4.2, 0.9 + 0.21 * len(handles)))
    return figure


def _mean_over_blocks(series: Mapping[str, list[tuple[float, float]]]) -> dict[str, list[tuple[float, float]]]:
    """Replace series whose names differ only in a number by their mean, at the steps that all of them have."""
    groups: dict[str, list[str]] = {}
    for name in series:
        groups.setdefault(re.sub(r"\b\d+\b", "*", name), []).append(name)
    means: dict[str, list[tuple[float, float]]] = {}
    for pattern, names in groups.items():
        if len(names) < 3:  # not blocks, only layers that are numbered
            means |= {name: series[name] for name in names}
            continue
        lines = [dict(series[name]) for name in names]
        steps = [step for step in lines[0] if all(step in line for line in lines)]
        if steps:
            means[f"{pattern} ({len(names)})"] = [(step, fmean(line[step] for line in lines)) for step in steps]
    return means


@styled
def activation_histograms(layers: Mapping[str, Histogram], *, title: str = "Activations by layer") -> Figure:
    """Draw a histogram of each layer's outputs, all on one scale, the first layer at the top."""
    return _histograms(layers, title, "activation", BLUE)


@styled
def gradient_histograms(layers: Mapping[str, Histogram], *, title: str = "Gradients by layer") -> Figure:
    """Draw a histogram of the loss gradients of each layer's outputs (or weights), all on one scale."""
    return _histograms(layers, title, "gradient (nats per unit)", VERMILION)


def _histograms(layers: Mapping[str, Histogram], title: str, x_label: str, color: str) -> Figure:
    figure = new_figure(7.0, 1.1 + 0.55 * max(2, len(layers)))
    headline(figure, title)
    if not layers:
        nothing_to_show(figure.add_subplot(), "no layers")
        return figure
    all_axes = figure.subplots(len(layers), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (name, (counts, edges)) in zip(all_axes, layers.items(), strict=True):
        axes.set_ylabel(label(name, 28), rotation=0, ha="right", va="center", fontsize=9)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        _draw_histogram(axes, np.asarray(counts, float), np.asarray(edges, float), color)
    all_axes[-1].xaxis.set_major_locator(MaxNLocator(6))
    all_axes[-1].set_xlabel(x_label)
    return figure


def _draw_histogram(axes: Axes, counts: Floats, edges: Floats, color: str) -> None:
    if len(edges) != len(counts) + 1:
        raise ValueError(f"{len(counts)} counts need {len(counts) + 1} edges, not {len(edges)}")
    text = "no finite values"
    if counts.sum() > 0 and np.isfinite(edges).all():
        density = counts / np.maximum(np.diff(edges), 1e-300)
        axes.stairs(density / density.max(), edges, fill=True, color=color, alpha=0.35)
        axes.stairs(density / density.max(), edges, color=color, linewidth=1.0)
        axes.set_ylim(0, 1.08)
        middles = (edges[1:] + edges[:-1]) / 2
        mean = np.average(middles, weights=counts)
        text = f"mean {mean:.3g}, std {np.average((middles - mean) ** 2, weights=counts) ** 0.5:.3g}"
    axes.annotate(text, (1.01, 0.3), xycoords="axes fraction", fontsize=9)


def _finite(records: Sequence[Record], key: str) -> tuple[Floats, Floats]:
    """Return the steps and the finite values of a field that not every record has."""
    pairs = [
        (record["step"], value)
        for record in records
        if isinstance(value := record.get(key), int | float) and isfinite(value)
    ]
    steps, values = np.array(pairs, float).reshape(-1, 2).T
    return steps, values
