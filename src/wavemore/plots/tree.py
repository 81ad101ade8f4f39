"""What a model is: its characters as points, and the tree in which they meet.

C channels, V vocabulary.
"""

import unicodedata
from collections.abc import Sequence
from math import prod

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from wavemore.errors import UsageError
from wavemore.plots.style import (
    BLUE,
    FAINT,
    GREEN,
    INK,
    ORANGE,
    PAPER,
    VERMILION,
    canvas,
    empty,
    headline,
    legend,
    one,
    sign,
    styled,
    words,
)

LARGEST_LABELLED = 400
"""Characters that are written into the plane; of more the others are dots."""
FEW = 120
"""Characters that have room for large letters."""
KINDS = {
    "vowels": (VERMILION, "o"),
    "other letters": (BLUE, "s"),
    "digits": (GREEN, "^"),
    "other signs": (ORANGE, "D"),
}


@styled
def embedding(vectors: ArrayLike, labels: Sequence[str], *, title: str = "Embedding of the characters") -> Figure:
    """The (V, C) vectors of the characters in the plane in which they vary most (principal components).

    The axes say how much of the variance they show; an empty label is the boundary.
    """
    points = np.atleast_2d(np.asarray(vectors, float))
    if points.ndim != 2 or len(points) != len(labels):
        raise ValueError(f"vectors of shape {points.shape} and {len(labels)} labels do not belong together")
    figure, axes = one(title, "first component", "second component", width=6.5, height=6.0)
    if not len(labels) or points.size == 0 or not np.isfinite(points).all():
        empty(axes, "no characters" if not len(labels) or points.size == 0 else "the vectors are not finite")
        return figure
    places, shares = principal_plane(points)
    handles, names = [], []
    kinds = np.array([_kind(label) for label in labels])
    written = len(labels) <= LARGEST_LABELLED
    for kind, (color, marker) in KINDS.items():
        chosen = kinds == kind
        if chosen.any():
            handles.append(
                axes.scatter(
                    places[chosen, 0],
                    places[chosen, 1],
                    s=230 if written else 9,
                    c=color,
                    marker=marker,
                    alpha=0.22 if written else 0.7,
                    lw=0,
                )
            )
            names.append(kind)
    for (x, y), label in zip(places[:LARGEST_LABELLED].tolist(), labels, strict=False):
        shown = sign(label) if len(label) < 2 else words(label, 12)
        size = 12 if len(shown) <= 2 else 6
        if len(labels) > FEW:
            size //= 2
        if size > 3:  # a number of a letter that no font has could not be read among so many
            axes.text(x, y, shown, ha="center", va="center", fontsize=size)
    for name, share, label in zip("xy", shares, ("first", "second"), strict=True):
        axes.set(**{f"{name}label": f"{label} component ({share:.0%} of the variance)"})
    axes.grid(True)
    axes.margins(0.08)
    axes.set_aspect("equal", adjustable="datalim")
    legend(axes, handles, names, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=4, markerscale=0.6 if written else 2)
    return figure


def principal_plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Places in the plane of the two largest principal components, (V, C) -> (V, 2), and their shares of the variance.

    The sign of each component is such that the point farthest out is on its positive side.

    >>> places, shares = principal_plane(np.array([[0.0, 0, 1], [0, 0, 3], [0, 0, 8]]))
    >>> places.round(6).tolist(), shares
    ([[-3.0, 0.0], [-1.0, 0.0], [4.0, 0.0]], (1.0, 0.0))
    """
    centred = points - points.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    places = np.zeros((len(points), 2))
    places[:, : min(2, len(s))] = (u * s)[:, :2]
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    places *= np.where(farthest < 0, -1.0, 1.0)
    total = float((s**2).sum())
    shares = [float(value) ** 2 / total if total > 0 else 0.0 for value in s[:2]] + [0.0, 0.0]
    return places, (shares[0], shares[1])


def _kind(label: str) -> str:
    base = unicodedata.normalize("NFD", label)[:1].casefold()
    if base and base in "aeiouæø":
        return "vowels"
    category = unicodedata.category(base[:1]) if base else "Zs"
    return "other letters" if category[0] == "L" else "digits" if category[0] == "N" else "other signs"


@styled
def tree(fuse: Sequence[int], text: str = "", *, title: str | None = None) -> Figure:
    """Which characters meet where: `fuse` neighbours at a time, from the characters at the bottom to the prediction.

    `text` is what stands before the predicted character: its last characters fill the context, boundaries (·) what
    is left of it.

    Raises `UsageError` for a fusion of less than one.
    """
    fuse = tuple(fuse)
    if not fuse or min(fuse) < 1:
        raise UsageError(f"fuse is {fuse}; it needs one number or more, each at least 1")
    context = prod(fuse)
    if context > LARGEST_TREE:
        figure, axes = one(title or "The tree", "", "")
        empty(axes, f"a tree over {context:,} characters is too wide to draw")
        return figure
    signs = ["·"] * max(0, context - len(text)) + [sign(character) for character in text[max(0, len(text) - context) :]]
    figure = canvas(max(5.0, min(13.0, 2.6 + 0.56 * context)), 1.2 + 0.85 * (len(fuse) + 1))
    axes = figure.add_subplot()
    headline(figure, title or f"{_characters(context)}, fused {' x '.join(map(str, fuse))}")
    levels = levels_of(fuse)
    inches = (figure.get_size_inches()[0] - 2.2) / (context + 1)  # what a character takes
    edges = [
        [(levels[level - 1][child], level - 1), (x, level)]
        for level, n in enumerate(fuse, start=1)
        for node, x in enumerate(levels[level])
        for child in range(node * n, node * n + n)
    ]
    axes.add_collection(LineCollection(edges, colors=FAINT, linewidths=0.4 + 0.8 * min(1.0, 2 * inches), zorder=1))
    names = []
    for level, xs in enumerate(levels):
        span = context // len(xs)
        nodes = "1 node of " if len(xs) == 1 else f"{len(xs):,} nodes of "
        names.append(_characters(context) if level == 0 else nodes + _characters(span))
        color = BLUE if level == 0 else GREEN if level == len(levels) - 1 else ORANGE
        _nodes(
            axes, level, xs, [signs[begin : begin + span] for begin in range(0, context, span)], inches * span, color
        )
    axes.set_yticks(range(len(levels)), names)
    axes.annotate(
        "next character",
        (levels[-1][0], len(fuse)),
        xytext=(0, 27),
        textcoords="offset points",
        ha="center",
        va="bottom",
        arrowprops={"arrowstyle": "<-", "color": FAINT, "shrinkB": 9},
        fontsize=9,
    )
    axes.set(xlim=(-0.9, context - 0.1), ylim=(-0.5, len(fuse) + 0.7), xticks=[])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


LARGEST_TREE = 4_096


def levels_of(fuse: Sequence[int]) -> list[list[float]]:
    """Where the nodes of each level stand, between the characters below them, which stand at 0, 1, 2, ...

    >>> levels_of((2, 2))
    [[0.0, 1.0, 2.0, 3.0], [0.5, 2.5], [1.5]]
    """
    levels = [[float(place) for place in range(prod(fuse))]]
    for n in fuse:
        below = levels[-1]
        levels.append([(below[i] + below[i + n - 1]) / 2 for i in range(0, len(below), n)])
    return levels


def _characters(number: int) -> str:
    return "1 character" if number == 1 else f"{number:,} characters"


def _nodes(axes: Axes, level: int, xs: list[float], grams: list[list[str]], inches: float, color: str) -> None:
    """The nodes of a level: boxes with their characters where they fit into so many inches, else dots."""
    box = {"boxstyle": "round,pad=0.3", "facecolor": PAPER, "edgecolor": color, "linewidth": 1.4}
    dots = []
    for x, signs in zip(xs, grams, strict=True):
        size = 12 if max(map(len, signs)) == 1 else 7
        letters = sum(map(len, signs))
        if 0.0087 * size * letters + 0.14 > inches:  # of letters as wide as most, and the box
            dots.append(x)
        else:
            text = words("".join(signs), letters)
            axes.text(x, level, text, ha="center", va="center", fontsize=size, bbox=box, color=INK, zorder=3)
    axes.plot(dots, [level] * len(dots), "o", color=color, markersize=max(1.5, min(6.0, 50 * inches)), zorder=2)
