"""Figures: plain rows in, a matplotlib Figure out. Nothing here knows runs, models or torch, or opens a window.

- training: `learning_curves`, `update_ratios`, `activation_histograms`, `gradient_histograms`
- where the loss is: `surprise`, `loss_by_position`, `loss_by_length`
- models next to each other: `losses_against`, `arms`, `difference_by_position`
- the model itself: `tree`, `embedding`
- the trials of a tuning: `trials_over_time`, `slices`, `importances`

A figure displays itself in a notebook. A script saves it with `figure.savefig("curve.png")`, or turns it into bytes
with `to_png`, `to_svg` and `to_pdf`.

>>> from wavemore import plots
>>> figure = plots.surprise("ann", [2.9, 2.3, 2.0, 0.5])
>>> figure.get_supylabel()
'surprise (nats)'
"""

from wavemore.errors import UsageError

try:
    import matplotlib as _matplotlib  # noqa: F401 (here, so that the message comes before any other import fails)
except ImportError:
    raise UsageError("figures need matplotlib: pip install 'wavemore[plot]'") from None

from matplotlib.figure import Figure

from wavemore.plots.comparison import Arm, Difference, Point, arms, difference_by_position, losses_against
from wavemore.plots.embedding import embedding
from wavemore.plots.figure import to_pdf, to_png, to_svg
from wavemore.plots.lines import loss_by_length, loss_by_position, surprise
from wavemore.plots.training import activation_histograms, gradient_histograms, learning_curves, update_ratios
from wavemore.plots.tree import tree
from wavemore.plots.tuning import Trial, importances, slices, trials_over_time

__all__ = [
    "Arm",
    "Difference",
    "Figure",
    "Point",
    "Trial",
    "activation_histograms",
    "arms",
    "difference_by_position",
    "embedding",
    "gradient_histograms",
    "importances",
    "learning_curves",
    "loss_by_length",
    "loss_by_position",
    "losses_against",
    "slices",
    "surprise",
    "to_pdf",
    "to_png",
    "to_svg",
    "tree",
    "trials_over_time",
    "update_ratios",
]
