"""Atomic writes: a reader finds the old content or the new content, never a part of either."""

import contextlib
import os
from pathlib import Path

from wavemore.errors import RunError


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, and move it there.

    Raises `RunError` if the disk is full or the folder cannot be written; the old content then remains.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {error.strerror or error}; its old content is unchanged") from None
