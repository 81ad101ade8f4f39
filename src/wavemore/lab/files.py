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


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: str = "{}", *, owner: str = "") -> None:
    """Write named tensors and some JSON, with a digest of both, and whose they are: `owner` and the file's name."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    note = {"facts": facts, "owner": owner, "file": path.name, "sha256": _digest(tensors, facts)}
    write_whole(path, safetensors.torch.save(tensors, metadata={"wavemore": json.dumps(note)}))


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
