"""Files opened to be read, those that are compressed too."""

import bz2
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavemore.errors import DataError
from wavemore.files import special_kind

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MOST_EXPANDED, UNCHECKED = 200, 1 << 26
"""How many times its size a compressed file may expand to, and the bytes up to which that does not matter.

A text expands 3 to 10 times; a file that was made to fill the memory, a thousand times.
"""
ZSTD_BYTES = 1 << 12
"""Compressed bytes that are taken at once: their content is in memory."""
COMPRESSED = frozenset({".gz", ".bz2", ".xz", ".zst"})
"""Usual suffixes of compressed files; what a file is, its first bytes say."""
_DAMAGES = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


class Decompressed(io.RawIOBase):
    """The content of a compressed file."""

    def __init__(self, file: io.BufferedReader, kind: str, decompress: Callable[[io.BufferedReader], Any]) -> None:
        self.name = file.name
        self._file, self._kind, self._decompress = file, kind, decompress
        self._size = Path(file.name).stat().st_size
        self._stream = decompress(file)
        self._done = 0

    def readable(self) -> bool:  # noqa: D102 - as in io
        return True

    def seekable(self) -> bool:  # noqa: D102 - as in io
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go back to the beginning; there is no other place to go to."""
        if (offset, whence) != (0, io.SEEK_SET):
            raise io.UnsupportedOperation("only back to the beginning")
        self._file.seek(0)
        self._stream, self._done = self._decompress(self._file), 0
        return 0

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Read some bytes. Raises `DataError` for a damaged file, and one that becomes far too large."""
        view = memoryview(buffer).cast("B")
        try:
            data = self._stream.read(len(view))
        except _DAMAGES as error:
            reason = str(error) or type(error).__name__
            raise DataError(f"this {self._kind} file is damaged ({reason}); make it again, or give another") from None
        view[: len(data)] = data
        self._done += len(data)
        if self._done > UNCHECKED and self._done > MOST_EXPANDED * self._size:
            raise DataError(
                f"this {self._kind} file expands to more than {MOST_EXPANDED} times its size, which no list does; "
                "if it is what you want, decompress it and give the result"
            )
        return len(data)

    def progress(self) -> tuple[int, int]:
        """Return how many bytes of the file have been read, and how many there are."""
        return self._file.tell(), self._size


def _zstd(file: io.BufferedReader) -> Any:
    try:
        import zstandard  # in an extra
    except ImportError:
        raise DataError(
            "this is a zstd file, for which Python needs zstandard: pip install 'wavemore[zstd]', or zstd -d"
        ) from None
    return _Zstd(file, zstandard.ZstdDecompressor().decompressobj, zstandard.ZstdError)


class _Zstd:
    """Reads zstd frames one after the other; unlike zstandard's own reader it sees that the last one is not whole."""

    def __init__(self, file: io.BufferedReader, new: Callable[[], Any], error: type[Exception]) -> None:
        self._file, self._new, self._error = file, new, error
        self._frame: Any = None
        self._left, self._rest = b"", memoryview(b"")  # compressed bytes, and content

    def read(self, size: int) -> bytes:
        while not self._rest:
            data = self._left or self._file.read(ZSTD_BYTES)
            if not data:
                if self._frame is not None:
                    raise EOFError("it ends too early")
                return b""
            self._frame = self._frame or self._new()
            try:
                self._rest = memoryview(self._frame.decompress(data))
            except self._error as error:
                raise ValueError(str(error)) from None
            self._left = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        data, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return data


_KINDS: tuple[tuple[bytes, str, Callable[[io.BufferedReader], Any]], ...] = (
    (b"\x1f\x8b", "gzip", lambda file: gzip.GzipFile(fileobj=file)),
    (b"BZh[1-9]1AY&SY", "bzip2", bz2.BZ2File),  # an item may begin with BZh
    (b"\xfd7zXZ\0", "xz", lzma.LZMAFile),
    (rb"\x28\xb5\x2f\xfd", "zstd", _zstd),
)


def decompressed(file: io.BufferedReader) -> io.BufferedReader:
    """Return the file, or its content if it is compressed."""
    head = file.peek(10)
    for beginning, kind, decompress in _KINDS:
        if re.match(beginning, head):
            return io.BufferedReader(Decompressed(file, kind, decompress), 1 << 18)  # type: ignore[type-var,unused-ignore]
    return file


@contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader]:
    """Open a regular file to read its bytes, decompressed; an error in the block becomes a `DataError` with the path.

    A pipe or a device is refused: it can be endless, and cannot be read again when the data is needed later. So is a
    file without bytes, which a system can also have to be read without end.
    """
    try:
        kind = special_kind(path, follow=True)
        if kind and kind != "a folder":
            raise DataError(f"this is {kind}; save the data to a file, and give that")
        if not kind and path.stat().st_size == 0:
            raise DataError("the file is empty; one item per line is expected, or a text")
        with path.open("rb") as file:
            yield decompressed(file)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error.__cause__
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; check the path") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: this is a folder; give a file in it") from error
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it; change its permissions or give a copy") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); give another file") from error
