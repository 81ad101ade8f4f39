"""Tensors on disk with a checksum. No pickle."""

import hashlib
import json
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from wavemore.errors import RunError
from wavemore.files import write_atomic


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: str = "{}", *, owner: str = "") -> None:
    """Write named tensors and some JSON, with a digest of both, and whose they are: `owner` and the file's name."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    note = {"facts": facts, "owner": owner, "file": path.name, "sha256": _digest(tensors, facts)}
    write_atomic(path, safetensors.torch.save(tensors, metadata={"wavemore": json.dumps(note)}))


def read_tensors(path: Path, *, owner: str = "") -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote.

    Raises `RunError` when the file is missing, is no safetensors file, does not hold what was written, or was written
    for another owner or under another name.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})["wavemore"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts, written_for = str(note["facts"]), (note["owner"], note["file"])
        intact = _digest(tensors, facts) == note["sha256"]
    except FileNotFoundError:
        raise RunError(f"{path} is missing: put it back, or train again") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, LookupError, ValueError, TypeError, AttributeError, RuntimeError):
        intact = False
    if not intact:
        raise RunError(
            f"{path} is damaged or was changed: its content does not fit its checksum; put it back, or train again"
        )
    if written_for != (owner, path.name):
        raise RunError(
            f"{path} does not belong to this run, or config.json or vocabulary.json was changed: "
            "put the files back, or train again"
        )
    return tensors, facts


def _digest(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.flatten().numpy().tobytes())
    return digest.hexdigest()
