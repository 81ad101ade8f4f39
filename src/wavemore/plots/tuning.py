"""The trials of a tuning: their losses one after the other, against each setting, and which settings mattered."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import quantiles
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from wavemore.plots.comparison import VAL_LOSS
from wavemore.plots.figure import headline, legend, new_axes, new_figure, nothing_to_show, right_of, styled
from wavemore.plots.style import BLUE, FAINT, INK, PAPER, RULE, VERMILION, label, series_style

MOST_LABELS = 12
"""Choices that an axis names."""
COLUMNS = 3
SPACE_ABOVE = 3.0
"""How far above the best loss an axis goes, in terms of the better half of the trials."""


@dataclass(frozen=True)
class Trial:
    """A trial: its number, its kind, its val loss, or the lowest one before it was pruned, and its settings."""

    number: int
    kind: str
    nats: float
    pruned: bool
    values: Mapping[str, str | float]


@styled
def trials_over_time(trials: Sequence[Trial], winner: int) -> Figure:
    """Draw the loss of each trial by its number, and the lowest so far; worse ones are at the upper edge."""
    figure, axes = new_axes("All trials, and the best so far", "trial", VAL_LOSS, width=8.0)
    drawn = [trial for trial in trials if isfinite(trial.nats)]
    if not drawn:
        nothing_to_show(axes, "no trials")
        return figure
    top = _limits(axes, drawn)
    handles: dict[str, Any] = {}
    for index, kind in enumerate(dict.fromkeys(trial.kind for trial in drawn)):
        color, _, marker = series_style(index)
        for pruned in (True, False):
            own = [trial for trial in drawn if trial.kind == kind and trial.pruned == pruned]
            if own:
                points = [trial.number for trial in own], [min(trial.nats, top) for trial in own]
                style: dict[str, Any] = {"color": color, "marker": marker, "linestyle": "none", "clip_on": False}
                style |= {"markersize": 4, "markerfacecolor": PAPER, "alpha": 0.7} if pruned else {"markersize": 5.5}
                [handles[f"{kind}, pruned" if pruned else kind]] = axes.plot(*points, **style)
    finished = [trial for trial in drawn if not trial.pruned]
    best = [min(other.nats for other in finished[: place + 1]) for place in range(len(finished))]
    [handles["best so far"]] = axes.step(
        [trial.number for trial in finished], best, where="post", color=INK, linewidth=1.4, zorder=1
    )
    for trial in drawn:
        if trial.number == winner:
            style = {
                "markerfacecolor": "none",
                "markeredgecolor": VERMILION,
                "markeredgewidth": 1.8,
                "linestyle": "none",
            }
            [handles["winner"]] = axes.plot(trial.number, min(trial.nats, top), "o", markersize=13, **style)
    legend(figure, handles, loc="outside right upper")
    return figure


@styled
def slices(trials: Sequence[Trial], winner: int, scales: Mapping[str, bool | None]) -> Figure:
    """Draw the loss against each setting. `scales` names the settings, and whether their scale is logarithmic.

    A setting without a scale (None) has its choices side by side.
    """
    rows = max(1, ceil(len(scales) / COLUMNS))
    figure = new_figure(8.0, 0.5 + 2.3 * rows)
    headline(figure, "Loss against each setting")
    all_axes = figure.subplots(rows, COLUMNS, squeeze=False, sharey=True).flatten()
    drawn = [trial for trial in trials if isfinite(trial.nats)]
    for axes in all_axes[len(scales) :]:
        axes.set_visible(False)
    for axes, (name, is_log) in zip(all_axes, scales.items(), strict=False):
        axes.set_xlabel(label(name.replace("_", " "), 40))
        own = [trial for trial in drawn if name in trial.values]
        if own:
            _draw_slice(axes, own, name, winner, is_log)
            _limits(axes, drawn)
        else:
            nothing_to_show(axes, "no trials")
        axes.grid(axis="y")
    for row in range(rows):
        all_axes[row * COLUMNS].set_ylabel("val loss")
    return figure


def _draw_slice(axes: Axes, trials: Sequence[Trial], name: str, winner: int, is_log: bool | None) -> None:
    places: dict[str, int] = {}
    if is_log is None:
        choices = sorted({trial.values[name] for trial in trials}, key=lambda value: (isinstance(value, str), value))
        places = {str(choice): place for place, choice in enumerate(choices)}
        axes.set_xticks(range(len(places)), [label(choice, 12) for choice in places])
        axes.margins(x=0.2)
    elif is_log and all(float(trial.values[name]) > 0 for trial in trials):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=4))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter("")
    for pruned in (True, False):
        own = [trial for trial in trials if trial.pruned == pruned]
        x = [places[str(trial.values[name])] if places else float(trial.values[name]) for trial in own]
        style: dict[str, Any] = {"markersize": 3.5, "linestyle": "none", "marker": "o", "color": BLUE}
        style |= {"markerfacecolor": PAPER, "color": FAINT, "alpha": 0.6} if pruned else {}
        axes.plot(x, [trial.nats for trial in own], **style)
    for trial in trials:
        if trial.number == winner:
            place = places[str(trial.values[name])] if places else float(trial.values[name])
            axes.plot(
                place, trial.nats, "o", markersize=10, markerfacecolor="none", color=VERMILION, markeredgewidth=1.8
            )


@styled
def importances(values: Mapping[str, float]) -> Figure:
    """Draw the importance of each setting as a bar; their sum is 1."""
    figure = new_figure(7.0, 1.1 + 0.34 * max(1, len(values)))
    axes = figure.add_subplot()
    headline(figure, "Which settings mattered")
    if not values:
        nothing_to_show(axes, "too few trials")
        return figure
    names = [label(name.replace("_", " "), 40) for name in values]
    axes.barh(range(len(values)), list(values.values()), 0.62, color=BLUE)
    for row, value in enumerate(values.values()):
        right_of(axes, row, f"{value:.0%}")
    axes.set_yticks(range(len(values)), names)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.tick_params(axis="y", length=0)
    axes.axvline(0, color=RULE)
    axes.grid(axis="x")
    return figure


def _limits(axes: Axes, trials: Sequence[Trial]) -> float:
    """Show the good trials large: return the upper end of the axis, above which there may be others."""
    finished = sorted(trial.nats for trial in trials if not trial.pruned) or sorted(trial.nats for trial in trials)
    best, worst = finished[0], max(trial.nats for trial in trials)
    middle = quantiles(finished, n=2)[0] if len(finished) > 1 else finished[0]
    top = min(worst, best + SPACE_ABOVE * max(middle - best, 0.004))
    low, high = best - 0.06 * (top - best) - 1e-4, top + 0.04 * (top - best) + 1e-4
    axes.set_ylim(low, high)
    return top
