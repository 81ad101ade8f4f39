"""Figures: rows in, Figure out. Nothing here reads a disk, shows a window or keeps a state.

Every function returns a `matplotlib.figure.Figure` that draws itself in a notebook and belongs to no window; a script
keeps it by `figure.savefig("curve.png")`, or as bytes by `to_png` and `to_svg`.

>>> from wavemore import plots
>>> figure = plots.loss_by_position([2.9, 2.3, 2.0])
>>> figure.axes[0].get_ylabel()
'loss (nats per character)'
"""

from wavemore.errors import UsageError

try:
    import matplotlib as _matplotlib  # noqa: F401 (asked for here, before any of the rooms below needs it)
except ImportError:
    raise UsageError("figures need matplotlib: pip install 'wavemore[plot]'") from None

from matplotlib.figure import Figure

from wavemore.plots.comparison import Arm, Point, arms, losses_against, losses_against_costs
from wavemore.plots.differences import Difference, difference_by_position
from wavemore.plots.lines import loss_by_length, loss_by_position, surprise
from wavemore.plots.style import to_pdf, to_png, to_svg
from wavemore.plots.training import activation_histograms, gradient_histograms, learning_curves, update_ratios
from wavemore.plots.tree import embedding, tree

__all__ = [
    "Arm",
    "Difference",
    "Figure",
    "Point",
    "activation_histograms",
    "arms",
    "difference_by_position",
    "embedding",
    "gradient_histograms",
    "learning_curves",
    "loss_by_length",
    "loss_by_position",
    "losses_against",
    "losses_against_costs",
    "surprise",
    "to_pdf",
    "to_png",
    "to_svg",
    "tree",
    "update_ratios",
]
