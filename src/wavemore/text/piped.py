"""Data on standard input, which is kept as a file: a run reads its data again whenever it needs it."""

import hashlib
import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from wavemore.errors import DataError
from wavemore.files import move
from wavemore.progress import report

MAX_BYTES = 1 << 32
"""Bytes of standard input, which could be endless."""
_CHUNK = 1 << 20


def keep_input(stream: BinaryIO, folder: Path | None = None) -> Path:
    """Copy a stream to a file in `folder` (default: the user's cache folder) that is named after its checksum.

    Raises `DataError` if it is too long or cannot be written.
    """
    if folder is None:
        import platformdirs  # only needed here

        folder = Path(platformdirs.user_cache_dir("wavemore")) / "input"
    checksum, size = hashlib.sha256(), 0
    temporary = folder / f"{uuid.uuid4().hex}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > MAX_BYTES:
                    raise DataError(
                        f"standard input has more than {MAX_BYTES:,} bytes; save it to a file, and give that"
                    )
                checksum.update(chunk)
                file.write(chunk)
                report("reading standard input", 0, 1)
            if not size:
                raise DataError("standard input is empty; give a file, or pipe the data in")
            file.flush()
            os.fsync(file.fileno())
        path = folder / f"input-{checksum.hexdigest()[:16]}.txt"
        move(temporary, path)
        return path
    except OSError as error:
        raise DataError(
            f"standard input cannot be kept in {folder} ({error.strerror or error}); save it to a file, and give that"
        ) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
