"""Tensor files with a checksum, in the format of safetensors: no pickle."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from wavemore.errors import RunError
from wavemore.files import check_regular, write_atomic
from wavemore.memory import memory_bytes
from wavemore.runs.json_file import PUT_BACK

DTYPES = {torch.float32: "F32", torch.float64: "F64", torch.int64: "I64", torch.bool: "BOOL"}
"""The types of a run's tensors, by the names of safetensors."""


def write_tensors(path: Path, tensors: dict[str, Tensor], facts: str = "{}") -> None:
    """Write named tensors and some JSON, with a checksum of both."""
    write_atomic(path, tensor_bytes(tensors, facts))


def tensor_bytes(tensors: dict[str, Tensor], facts: str = "{}") -> bytes:
    """Return the file that `write_tensors` writes."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    # One key: several would be in any order, and the same content would not be the same bytes.
    metadata = {"wavemore": json.dumps({"facts": facts, "sha256": _sha256(tensors, facts)})}
    return safetensors.torch.save(tensors, metadata=metadata)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """Read what `write_tensors` wrote.

    Raises `RunError` for a file that is missing, is no safetensors file, or does not match its checksum.
    """
    with _open(path) as file:
        metadata = json.loads((file.metadata() or {})["wavemore"])
        # Copies: what maps the file keeps it open, and Windows could not replace it.
        tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (no mapping)
        facts = str(metadata["facts"])
        if _sha256(tensors, facts) != metadata["sha256"]:
            raise ValueError
    return tensors, facts


def write_hashes(path: Path, hashes: NDArray[np.uint64]) -> None:
    """Write the hashes of lines."""
    write_atomic(path, hash_bytes(hashes))


def hash_bytes(hashes: NDArray[np.uint64]) -> bytes:
    """Return the file that `write_hashes` writes."""
    return tensor_bytes({"hashes": torch.from_numpy(hashes.view(np.int64))})  # old versions of safetensors lack uint64


def read_hashes(path: Path) -> NDArray[np.uint64]:
    """Read the hashes of lines, which are sorted and distinct. Raises the errors of `read_tensors`."""
    check_types(path, {"hashes": torch.empty(0, dtype=torch.int64)}, any_length=True)
    hashes: NDArray[np.uint64] = read_tensors(path)[0]["hashes"].numpy().view(np.uint64)
    if (hashes[1:] <= hashes[:-1]).any():
        raise RunError(f"{path} is damaged or was changed (its hashes are not sorted); {PUT_BACK}")
    return hashes


def tensor_names(path: Path) -> set[str]:
    """Read the names of the tensors in a file. Raises the errors of `read_tensors`."""
    with _open(path) as file:
        return set(file.keys())


def check_types(path: Path, expected: Mapping[str, Tensor], *, any_length: bool = False) -> None:
    """Raise `RunError` unless a file has exactly these names, types and shapes; no tensor is read.

    The expected tensors may be on the meta device. With `any_length` only the number of dimensions counts.
    """
    with _open(path) as file:
        names = set(file.keys())
        if wrong := sorted(names ^ expected.keys()):
            raise _misfit(path, f"{wrong[0][:100]} is {'missing' if wrong[0] in expected else 'unknown'}")
        for name, value in expected.items():
            entry = file.get_slice(name)
            dtype, shape = entry.get_dtype(), tuple(entry.get_shape())
            same = len(shape) == value.ndim if any_length else shape == tuple(value.shape)
            if dtype != DTYPES[value.dtype] or not same:
                wanted = "" if any_length else f", and should be {DTYPES[value.dtype]} of {tuple(value.shape)}"
                raise _misfit(path, f"{name} is {dtype} of {shape}{wanted}")


def _misfit(path: Path, reason: str) -> RunError:
    return RunError(f"{path} does not fit config.json and vocabulary.json: {reason}; {PUT_BACK}")


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    try:
        check_regular(path, memory_bytes())
        with safetensors.safe_open(path, framework="pt") as file:
            yield file
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {PUT_BACK}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from None
    except (safetensors.SafetensorError, LookupError, ValueError, TypeError, AttributeError, RuntimeError):
        raise RunError(
            f"{path} is damaged or was changed: its content does not match its checksum; {PUT_BACK}"
        ) from None


def read_facts(path: Path) -> dict[str, Any]:
    """Read only the JSON of what `write_tensors` wrote, unchecked; empty if there is none or it is damaged."""
    try:
        with _open(path) as file:
            facts = json.loads(json.loads((file.metadata() or {})["wavemore"])["facts"])
    except RunError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _sha256(tensors: dict[str, Tensor], facts: str) -> str:
    digest = hashlib.sha256(facts.encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()
