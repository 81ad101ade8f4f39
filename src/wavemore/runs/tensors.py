"""Tensor files with a checksum, in the format of safetensors: no pickle."""

import hashlib
import json
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from wavemore.errors import RunError
from wavemore.files import write_atomic
from wavemore.runs.json_file import PUT_BACK


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: str = "{}") -> None:
    """Write named tensors and some JSON, with a checksum of both."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # One key: several would be in any order, and the same content would not be the same bytes.
    metadata = {"wavemore": json.dumps({"facts": facts, "sha256": _sha256(tensors, facts)})}
    write_atomic(path, safetensors.torch.save(tensors, metadata=metadata))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote.

    Raises `RunError` for a file that is missing, is no safetensors file, or does not match its checksum.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = json.loads((file.metadata() or {})["wavemore"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts = str(metadata["facts"])
        intact = _sha256(tensors, facts) == metadata["sha256"]
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {PUT_BACK}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, LookupError, ValueError, TypeError, AttributeError, RuntimeError):
        intact = False
    if not intact:
        raise RunError(f"{path} is damaged or was changed: its content does not match its checksum; {PUT_BACK}")
    return tensors, facts


def read_facts(path: Path) -> dict[str, Any]:
    """Read only the JSON of what `write_tensors` wrote, unchecked; empty if there is none or it is damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            facts = json.loads(json.loads((file.metadata() or {})["wavemore"])["facts"])
    except (OSError, safetensors.SafetensorError, LookupError, ValueError, TypeError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _sha256(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
