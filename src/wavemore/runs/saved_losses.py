"""The losses of a finished run by unit, `val.safetensors` and `test.safetensors`: the evidence for its verdicts."""

from typing import Literal

import torch

from wavemore.engine.recipe import MAX_NATS
from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import RunError
from wavemore.runs.json_file import PUT_BACK
from wavemore.runs.run import Run
from wavemore.runs.tensors import check_types, read_tensors, write_tensors

TYPES = {"nats": torch.float64, "targets": torch.int64, "leak_free": torch.bool}
EXPECTED = {name: torch.empty(1, dtype=dtype, device="meta") for name, dtype in TYPES.items()}
MAX_TARGETS = 2**40
"""Of a unit."""


def save_unit_losses(run: Run, split: Literal["val", "test"], losses: UnitLosses) -> None:
    """Write the losses of the best weights on a part."""
    tensors = {name: torch.from_numpy(getattr(losses, name)) for name in TYPES}
    write_tensors(run.path / f"{split}.safetensors", tensors)


def saved_unit_losses(run: Run, split: Literal["val", "test"]) -> UnitLosses | None:
    """The losses of the best weights on a part; None if they were not computed.

    Raises `RunError` if they are damaged.
    """
    path = run.path / f"{split}.safetensors"
    if not path.exists():
        return None
    check_types(path, EXPECTED, any_length=True)
    tensors, _ = read_tensors(path)
    nats, targets = tensors["nats"], tensors["targets"]
    fits = len({len(tensor) for tensor in tensors.values()}) == 1 and len(nats) > 0
    if not fits or not bool(((targets >= 1) & (targets <= MAX_TARGETS) & (nats.abs() <= MAX_NATS * targets)).all()):
        raise RunError(f"{path} does not hold the losses of a part: {PUT_BACK}")
    return UnitLosses(*(tensors[name].numpy() for name in TYPES))
