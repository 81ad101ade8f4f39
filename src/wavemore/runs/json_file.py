"""The JSON files of a run: written atomically, read with errors of one line."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from wavemore.errors import RunError, WavemoreError
from wavemore.files import MAX_BYTES, read_file, write_atomic

T = TypeVar("T")

PUT_BACK = "put it back, or train again"
MAX_REASON = 200
"""Characters of a reason in an error."""


def write_json(path: Path, value: object) -> None:
    """Write `value` as indented JSON. Raises `RunError` as `json_bytes` does."""
    write_atomic(path, json_bytes(path, value))


def json_bytes(path: Path, value: object) -> bytes:
    """Return the file that `write_json` writes.

    Raises `RunError` for a value that JSON cannot hold, such as text that is not valid Unicode.
    """
    try:
        return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    except (UnicodeEncodeError, OverflowError) as error:
        raise RunError(f"cannot write {path}: {error}; change that value") from None


def read_json(path: Path, decode: Callable[[bytes], T], remedy: str, limit: int = MAX_BYTES) -> T | None:
    """Read a file of at most `limit` bytes by `decode`; None if there is no such file.

    Raises `RunError` for a file that cannot be read, and for a damaged one with `remedy` as the advice.
    """
    try:
        return decode(read_file(path, limit))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from None
    except RunError:
        raise
    except (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError, WavemoreError) as error:
        raise RunError(f"{path} is damaged or was changed ({_reason(error)}); {remedy}") from None


def _reason(error: Exception) -> str:
    """The first line of an error, cut if it is long, as it may hold a value of the file."""
    line = next(iter(str(error).splitlines()), type(error).__name__)
    return line if len(line) <= MAX_REASON else f"{line[:MAX_REASON]}..."
