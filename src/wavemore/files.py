"""All files that wavemore reads and writes by itself: regular files of a limited size, written atomically.

A run folder may come from a stranger. A link in it could show or change a file elsewhere, and a pipe or a device could
be read for ever, so neither is opened.
"""

import contextlib
import os
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from wavemore.errors import RunError, require_kind

MAX_BYTES = 1 << 24
"""Limit of a file that holds no data, weights or records."""

PAUSES = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds between the attempts to move a file to its place."""

_SAFE_READ = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"))
_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def special_kind(path: Path, *, follow: bool = False) -> str:
    """What a path is if it is no regular file: "a symbolic link", "a folder", "a pipe", "a device"; else empty.

    With `follow`, a link is what it points to. Raises `FileNotFoundError` if there is nothing.
    """
    mode = (path.stat() if follow else path.lstat()).st_mode
    return "" if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "no regular file")


def is_present(path: str | Path) -> bool:
    """Whether there is anything at a path: false, not an error, for a name that no file can have."""
    return os.path.exists(path)  # noqa: PTH110


def check_regular(path: Path, limit: float = MAX_BYTES, *, follow: bool = False) -> None:
    """Raise `RunError` for anything but a regular file of at most `limit` bytes, `FileNotFoundError` for nothing.

    It is for files that a library opens by their path; `read_file` reads all others. With `follow`, a link is what it
    points to.
    """
    if kind := special_kind(path, follow=follow):
        raise RunError(f"{path} is {kind}, and only regular files are read: put the file itself there")
    size = path.stat().st_size
    if size > limit:
        raise RunError(f"{path} has {size:,} bytes, more than the {limit:,.0f} that such a file may have")


def open_file(path: Path, limit: float = MAX_BYTES) -> BufferedReader:
    """Open a file for reading. Raises the errors of `check_regular`, and `OSError`."""
    check_regular(path, limit)
    return open(os.open(path, _SAFE_READ), "rb")  # noqa: PTH123 (a descriptor, opened without following links)


def read_file(path: Path, limit: float = MAX_BYTES) -> bytes:
    """Read a whole file. Raises the errors of `check_regular`, and `OSError`."""
    with open_file(path, limit) as file:
        return file.read()


def path_of(value: str | os.PathLike[str], name: str) -> Path:
    """Return a path. Raises `UsageError` for anything else, such as bytes."""
    require_kind(value, name, str | os.PathLike, "the path of a folder or file")
    return Path(value)


def write_atomic(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file beside `path`, and move it there: `replaced` with the whole content."""
    with replaced(path) as file:
        file.write(content)


def write_all(contents: dict[Path, bytes], *, remove: Iterable[Path] = ()) -> None:
    """Write several files: once all are written, remove some others, and move each to its place, in this order.

    On a full disk, everything remains as it was. Raises the `RunError` of `replaced`.
    """
    with contextlib.ExitStack() as stack:
        for path, content in reversed(contents.items()):  # which are moved from the last one on
            file = stack.enter_context(replaced(path))
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        for path in remove:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def replaced(path: Path) -> Iterator[BinaryIO]:
    """Write to a temporary file beside `path` in the block, and move it there at its end.

    A reader finds the old content or the new content, never a part of either. The temporary file is a new one, and a
    link at `path` is replaced, not followed. If the block fails, the old content remains; if that is because the disk
    is full or the folder cannot be written, `RunError` is raised.
    """
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise RunError(f"cannot write {path}: no file can have this name") from None
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        move(temporary, path)
    except OSError as error:
        kept = "its old content is unchanged" if is_present(path) else "there is no file of that name yet"
        raise RunError(f"cannot write {path}: {error.strerror or error}; {kept}") from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def move(source: Path, target: Path) -> None:
    """Move a file to `target`, which is replaced if it is there.

    Windows refuses that while another program, such as a virus scanner, has one of them open, so it is tried again for
    a second or two. Raises `OSError` if it fails to the end.
    """
    for pause in PAUSES:
        try:
            source.replace(target)
        except PermissionError:
            time.sleep(pause)
        else:
            return
    source.replace(target)
