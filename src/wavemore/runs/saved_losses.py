"""The losses of a finished run by unit, `val.safetensors` and `test.safetensors`: the evidence for its verdicts."""

from typing import Literal

import torch

from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import RunError
from wavemore.runs.json_file import PUT_BACK
from wavemore.runs.run import Run
from wavemore.runs.tensors import read_tensors, write_tensors

TYPES = {"nats": torch.float64, "targets": torch.int64, "leak_free": torch.bool}


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
    tensors, _ = read_tensors(path)
    fits = {name: tensor.dtype for name, tensor in tensors.items()} == TYPES
    fits = fits and len({tensor.shape for tensor in tensors.values()}) == 1 and tensors["nats"].ndim == 1
    if not fits or not len(tensors["nats"]) or bool((tensors["targets"] < 1).any()):
        raise RunError(f"{path} does not hold the losses of a part: {PUT_BACK}")
    return UnitLosses(*(tensors[name].numpy() for name in TYPES))
