"""How usual a line is, against lines that the model was not trained on."""

from collections.abc import Sequence

import numpy as np

from wavemore.engine.batches import batches_of
from wavemore.engine.evaluate import token_nats
from wavemore.nn.model import Model
from wavemore.text.corpus import Part


def line_percentiles(model: Model, part: Part) -> tuple[float, ...]:
    """The 0th, 1st, ..., 100th percentile of the nats per character of the lines of `part`."""
    nats = token_nats(model, batches_of(part.tokens, model))
    targets = part.lines.lengths + 1  # a line's end is a target too
    starts = np.cumsum(targets) - targets
    return tuple(np.quantile(np.add.reduceat(nats, starts) / targets, np.linspace(0, 1, 101)).tolist())


def more_usual_than(percentiles: Sequence[float], nats_per_char: float) -> float:
    """The share of lines that are less usual than a line of `nats_per_char`, from the lines' percentiles.

    >>> percentiles = [1.0 + percent / 100 for percent in range(101)]
    >>> round(more_usual_than(percentiles, 1.25), 2), more_usual_than(percentiles, 9.0)
    (0.75, 0.0)
    """
    less_or_as_usual = np.interp(nats_per_char, percentiles, np.linspace(0, 1, len(percentiles)), left=0.0, right=1.0)
    return float(1 - less_or_as_usual)
