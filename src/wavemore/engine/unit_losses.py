"""The losses of a part by unit (see `Part.units`): what the verdicts of `compare`, `log` and `study` are made of.

U units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
