"""Which trials are stopped early.

Trials of different kinds and learning rates fall at different times, so a trial is not compared with the others at the
same point. It is stopped if even a large fall from here would leave it worse than the best ones: a fall as large as
that of nine in ten finished trials of its kind, from the same part of their training to their end.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

LEAST_FINISHED = 3
"""Finished trials of a kind from which its falls are known, and the number of best trials that are to be reached."""
FIRST_EVALUATION = 3
"""Of ten: before it, the losses say too little about the end."""
LARGE_FALL = 0.9
MARGIN = 0.002
"""Nats: about as much as two seeds of one recipe differ."""


class Curve(NamedTuple):
    """The val losses of a finished trial on its way, and its result."""

    kind: str
    losses: Mapping[int, float]
    """By the number of the evaluation: with as many evaluations in each trial, these are equal parts of a training."""
    result: float


def is_hopeless(kind: str, losses: Mapping[int, float], finished: Sequence[Curve]) -> bool:
    """Whether a trial of a kind, with these losses so far, cannot be expected to be among the best.

    >>> finished = [Curve("lstm", {3: 2.5, 4: 2.2}, result) for result in (2.0, 2.1, 2.1)]
    >>> is_hopeless("lstm", {3: 2.5}, finished), is_hopeless("lstm", {3: 2.9}, finished)
    (False, True)
    """
    now = max(losses, default=0)
    if now < FIRST_EVALUATION or len(finished) < LEAST_FINISHED:
        return False
    own = [curve for curve in finished if curve.kind == kind and now in curve.losses]
    if len(own) < LEAST_FINISHED:
        return False
    falls = [min(loss for step, loss in curve.losses.items() if step <= now) - curve.result for curve in own]
    best = sorted(curve.result for curve in finished)[LEAST_FINISHED - 1]
    return min(losses.values()) - float(np.quantile(falls, LARGE_FALL)) > best + MARGIN
