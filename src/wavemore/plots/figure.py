"""How a figure is made and turned into bytes; the same rows always give the same bytes."""

import io
import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Literal, ParamSpec

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from wavemore.plots.style import FAINT, INK, ON_DARK, label, rc_params

P = ParamSpec("P")


class Picture(Figure):
    """A Figure that notebooks display, and that looks the same under any settings of matplotlib."""

    def draw(self, renderer: Any) -> None:
        """Draw with our settings: matplotlib reads some of them only now."""
        with matplotlib.rc_context(rc_params()):
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the picture for a notebook, sharp on high-resolution screens, with its size in pixels."""
        width, height = self.get_size_inches() * 100
        return to_png(self), {"width": round(width), "height": round(height)}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Make a drawing function use our settings and restore the caller's afterwards."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(rc_params()):
            figure = draw(*args, **kwargs)
            engine = figure.get_layout_engine()
            assert engine is not None
            engine.execute(figure)  # each execution moves things a little, so it is done once, here
            figure.set_layout_engine("none")
            return figure

    return inside


def new_figure(width: float = 7.0, height: float = 4.0) -> Picture:
    """Return an empty figure, its size in inches."""
    return Picture(figsize=(width, height), layout="constrained")


def new_axes(title: str, x_label: str, y_label: str, *, width: float = 7.0, height: float = 4.0) -> tuple[Figure, Axes]:
    """Return a figure with one labelled pair of axes."""
    figure = new_figure(width, height)
    axes = figure.add_subplot()
    axes.set_title(label(title, 80))
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.grid(axis="y")
    return figure, axes


def axes_with_counts(title: str, x_label: str, y_label: str, counts_label: str) -> tuple[Figure, Axes, Axes]:
    """Return a figure with two pairs of axes on one scale: large ones, and low ones below them for bars of counts."""
    figure = new_figure(7.0, 4.7)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    axes.set_title(label(title, 80))
    axes.set_ylabel(y_label)
    axes.grid(axis="y")
    below.set(xlabel=x_label, ylabel=counts_label)
    below.yaxis.set_major_formatter("{x:,.0f}")
    return figure, axes, below


def headline(figure: Figure, title: str) -> None:
    """Set the title of a figure whose axes begin far from its left edge."""
    figure.suptitle(label(title, 80), x=0.01, ha="left", fontsize=11, fontweight="bold")


def nothing_to_show(axes: Axes, reason: str) -> None:
    """Write in the middle of the axes why they are empty."""
    axes.text(0.5, 0.5, reason, transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set(xticks=[], yticks=[])
    axes.grid(False)


def right_of(axes: Axes, y: float, text: str, color: str = INK) -> None:
    """Write text to the right of the axes, at a height given as data."""
    place: Any = ("axes fraction", "data")
    axes.annotate(text, (1.01, y), xycoords=place, va="center", fontsize=9, color=color, annotation_clip=False)


def legend(owner: Axes | Figure, handles: Mapping[str, Artist], **options: Any) -> None:
    """Add a legend with any names; matplotlib's own leaves out those that begin with an underscore."""
    texts = owner.legend(list(handles.values()), list(map(str, range(len(handles)))), **options).get_texts()
    for text, name in zip(texts, handles, strict=True):
        text.set_text(label(name))


def to_png(figure: Figure, dpi: float = 200) -> bytes:
    """Return the figure as PNG."""
    return _saved(figure, "png", {"Software": None}, dpi=dpi)


def to_svg(figure: Figure, *, page: Literal["white", "any"] = "white") -> bytes:
    """Return the figure as SVG.

    With `page="any"` it has no background, and its colours follow the reader's choice of a light or a dark page.
    """
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    svg = _saved(figure, "svg", metadata, transparent=page == "any")
    return _with_both_themes(svg.decode()).encode() if page == "any" else svg


def to_pdf(figure: Figure) -> bytes:
    """Return the figure as PDF, for print."""
    return _saved(figure, "pdf", dict.fromkeys(("CreationDate", "Creator", "Producer")))


def _saved(figure: Figure, kind: str, metadata: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    with matplotlib.rc_context(rc_params()):
        figure.savefig(file, format=kind, metadata=metadata, **options)
    return file.getvalue()


def _with_both_themes(svg: str) -> str:
    """Replace each colour by a variable that has one value for light pages and one for dark pages."""
    names = {color: f"--c{index}" for index, color in enumerate(ON_DARK)}
    svg = re.sub("|".join(ON_DARK), lambda match: f"var({names[match[0]]})", svg)
    light = "".join(f"{name}:{color};" for color, name in names.items())
    dark = "".join(f"{name}:{ON_DARK[color]};" for color, name in names.items())
    rules = f"svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
    return svg.replace("<defs>", f"<style>{rules}</style>\n<defs>", 1)
