"""Writing that is whole or not at all, and tensors on disk that say whether they were damaged. No pickle."""

import contextlib
import hashlib
import json
import os
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from wavemore.errors import RunError


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` beside `path` and move it there, so that a reader finds the old content or the new one.

    Raises `RunError` when the disk is full or the place cannot be written; what was there stays.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror}; what was written before is still there") from None


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: str = "{}") -> None:
    """Write named tensors and some JSON with a digest of both."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    note = json.dumps({"sha256": _digest(tensors, facts), "facts": facts})
    write_whole(path, safetensors.torch.save(tensors, metadata={"wavemore": note}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote.

    Raises `RunError` when the file is missing, is no safetensors file, or does not hold what was written.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            note = json.loads((file.metadata() or {})["wavemore"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts = str(note["facts"])
        intact = _digest(tensors, facts) == note["sha256"]
    except FileNotFoundError:
        raise RunError(f"{path} is missing") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, KeyError, ValueError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise RunError(f"{path} is damaged or was changed: its content does not fit its checksum")
    return tensors, facts


def _digest(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.flatten().numpy().tobytes())
    return digest.hexdigest()
