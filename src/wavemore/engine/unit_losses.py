"""The losses of a part by unit (see `Part.units`): what the verdicts of `compare`, `log` and `study` are made of.

N targets, U units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import token_nats
from wavemore.nn.model import Model
from wavemore.text.parts import Part


@dataclass(frozen=True, eq=False)
class UnitLosses:
    """The sum of the losses of each unit, its number of targets, and whether train does not contain it: (U,) each."""

    nats: NDArray[np.float64]
    targets: NDArray[np.int64]
    leak_free: NDArray[np.bool_]
    """All false for a text."""

    @property
    def mean(self) -> float:
        """The loss of the part in nats per character."""
        return float(self.nats.sum() / self.targets.sum())

    @property
    def leak_free_mean(self) -> float | None:
        """The loss of the units that train does not contain; None if there are none."""
        nats, targets = self.nats[self.leak_free], self.targets[self.leak_free]
        return float(nats.sum() / targets.sum()) if len(targets) else None


def unit_losses(model: Model, part: Part) -> UnitLosses:
    """Compute the losses of a part in eval mode."""
    nats, units = token_nats(model, evaluation_batcher(part, model)), part.units()
    return UnitLosses(
        np.bincount(units, weights=nats).astype(np.float64),
        np.bincount(units).astype(np.int64),
        np.bincount(units, weights=part.leak_free_targets) > 0,
    )
