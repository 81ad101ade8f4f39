"""The embedding of the characters, drawn as points in a plane.

C channels, V vocabulary.
"""

import unicodedata
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from wavemore.plots.figure import legend, new_axes, nothing_to_show, styled
from wavemore.plots.style import BLUE, GREEN, ORANGE, VERMILION, drawn_sign, label

MAX_LABELLED = 400
"""Characters with a label; with more of them, the others are dots."""
MAX_LARGE = 120
"""Up to this number of characters the labels are large."""
KINDS = {
    "vowels": (VERMILION, "o"),
    "other letters": (BLUE, "s"),
    "digits": (GREEN, "^"),
    "other characters": (ORANGE, "D"),
}


@styled
def embedding(vectors: ArrayLike, labels: Sequence[str], *, title: str = "Embedding of the characters") -> Figure:
    """Draw the (V, C) vectors of the characters in the plane in which they vary most (principal components).

    The axis labels say how much of the variance they show; an empty label is the boundary.
    """
    points = np.atleast_2d(np.asarray(vectors, float))
    if points.ndim != 2 or len(points) != len(labels):
        raise ValueError(f"vectors of shape {points.shape} and {len(labels)} labels do not fit together")
    figure, axes = new_axes(title, "", "", width=6.5, height=6.0)
    if points.size == 0 or not np.isfinite(points).all():
        nothing_to_show(axes, "no characters" if points.size == 0 else "the vectors are not finite")
        return figure
    places, shares = principal_plane(points)
    size, alpha, scale = (230, 0.22, 0.6) if len(labels) <= MAX_LABELLED else (9, 0.7, 2.0)
    handles = {}
    kinds = np.array([_kind(text) for text in labels])
    for kind, (color, marker) in KINDS.items():
        xs, ys = places[kinds == kind].T
        if len(xs):
            handles[kind] = axes.scatter(xs, ys, s=size, c=color, marker=marker, alpha=alpha, lw=0)
    for (x, y), text in zip(places[:MAX_LABELLED].tolist(), labels, strict=False):
        shown = drawn_sign(text) if len(text) < 2 else label(text, 12)
        size = (12 if len(shown) <= 2 else 6) // (1 if len(labels) <= MAX_LARGE else 2)
        if size > 3:  # smaller text cannot be read
            axes.text(x, y, shown, ha="center", va="center", fontsize=size)
    axes.set_xlabel(f"first component ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"second component ({shares[1]:.0%} of the variance)")
    axes.grid(True)
    axes.margins(0.08)
    axes.set_aspect("equal", adjustable="datalim")
    legend(axes, handles, loc="upper left", bbox_to_anchor=(0, -0.1), ncols=4, markerscale=scale)
    return figure


def principal_plane(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[float, float]]:
    """Project (V, C) points onto their two largest principal components, (V, 2), with their shares of the variance.

    Each component's sign is such that the point farthest from the centre is on its positive side.

    >>> places, shares = principal_plane(np.array([[0.0, 0, 1], [0, 0, 3], [0, 0, 8]]))
    >>> places.round(6).tolist(), shares
    ([[-3.0, 0.0], [-1.0, 0.0], [4.0, 0.0]], (1.0, 0.0))
    """
    u, s, _ = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    places = np.zeros((len(points), 2))
    places[:, : len(s)] = (u * s)[:, :2]
    farthest = places[np.abs(places).argmax(axis=0), [0, 1]]
    places *= np.where(farthest < 0, -1.0, 1.0)
    total = float((s**2).sum())
    first, second = np.append(s, 0.0)[:2].tolist()
    return places, (first**2 / total, second**2 / total) if total > 0 else (0.0, 0.0)


def _kind(text: str) -> str:
    base = unicodedata.normalize("NFD", text).casefold()[:1] or " "
    if base in "aeiouæø":
        return "vowels"
    return {"L": "other letters", "N": "digits"}.get(unicodedata.category(base)[0], "other characters")
