"""The tree of a model: which characters are fused, level by level, up to the prediction."""

from collections.abc import Sequence
from math import prod

from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from wavemore.errors import UsageError
from wavemore.plots.figure import headline, new_figure, nothing_to_show, styled
from wavemore.plots.style import BLUE, FAINT, GREEN, INK, ORANGE, PAPER, drawn_sign, label

MAX_CONTEXT = 4_096


@styled
def tree(fuse: Sequence[int], text: str = "", *, title: str | None = None) -> Figure:
    """Draw which characters are fused, from the characters at the bottom to the prediction at the top.

    `text` comes before the predicted character. Its last characters fill the context; a boundary is drawn as ·.

    Raises `UsageError` for a fusion of less than one.
    """
    fuse = tuple(fuse)
    if not fuse or min(fuse) < 1:
        raise UsageError(f"`fuse` is {fuse}; it needs one number or more, each at least 1")
    context = prod(fuse)
    if context > MAX_CONTEXT:
        figure = new_figure()
        nothing_to_show(figure.add_subplot(), f"a tree over {context:,} characters is too wide to draw")
        return figure
    figure = new_figure(max(5.0, min(13.0, 2.6 + 0.56 * context)), 1.2 + 0.85 * (len(fuse) + 1))
    axes = figure.add_subplot()
    headline(figure, title or f"{_characters(context)}, fused {' x '.join(map(str, fuse))}")
    inches = (figure.get_size_inches()[0] - 2.2) / (context + 1)  # per character
    signs = ["·"] * max(0, context - len(text)) + [drawn_sign(character) for character in text[-context:]]
    below, names = [float(place) for place in range(context)], [_characters(context)]
    _draw_nodes(axes, 0, below, [[sign] for sign in signs], inches, BLUE)
    edges = []
    for level, n in enumerate(fuse, start=1):
        xs = [(below[first] + below[first + n - 1]) / 2 for first in range(0, len(below), n)]
        edges += [[(x, level - 1), (xs[child // n], level)] for child, x in enumerate(below)]
        span = context // len(xs)
        grams = [signs[first : first + span] for first in range(0, context, span)]
        _draw_nodes(axes, level, xs, grams, inches * span, GREEN if level == len(fuse) else ORANGE)
        names.append(f"{len(xs):,} node{'s' if len(xs) > 1 else ''} of {_characters(span)}")
        below = xs
    axes.add_collection(LineCollection(edges, colors=FAINT, linewidths=0.4 + 0.8 * min(1.0, 2 * inches), zorder=1))
    axes.set_yticks(range(len(names)), names)
    arrow = {"arrowstyle": "<-", "color": FAINT, "shrinkB": 9}
    top = (below[0], len(fuse))
    axes.annotate("next character", top, (0, 27), textcoords="offset points", ha="center", fontsize=9, arrowprops=arrow)
    axes.set(xlim=(-0.9, context - 0.1), ylim=(-0.5, len(fuse) + 0.7), xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count:,} characters"


def _draw_nodes(axes: Axes, level: int, xs: list[float], grams: list[list[str]], inches: float, color: str) -> None:
    """Draw the nodes of a level: boxes with their characters if these fit into the given width, otherwise dots."""
    box = {"boxstyle": "round,pad=0.3", "facecolor": PAPER, "edgecolor": color, "linewidth": 1.4}
    dots = []
    for x, signs in zip(xs, grams, strict=True):
        text = "".join(signs)
        size = 12 if max(map(len, signs)) == 1 else 7
        if 0.0087 * size * len(text) + 0.14 > inches:  # the width of an average character, and that of the box
            dots.append(x)
        else:
            shown = label(text, len(text))
            axes.text(x, level, shown, ha="center", va="center", fontsize=size, bbox=box, color=INK, zorder=3)
    axes.plot(dots, [level] * len(dots), "o", color=color, markersize=max(1.5, min(6.0, 50 * inches)), zorder=2)
