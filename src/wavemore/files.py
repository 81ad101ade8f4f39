"""Atomic writes: a reader finds the old content or the new one, never a part."""

import contextlib
import os
from pathlib import Path

from wavemore.errors import RunError


def write_atomic(path: Path, content: bytes) -> None:
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
