"""Files of lines, in pieces: what is in memory is the text once and a small chunk of separate lines.

Only line feeds, carriage returns and the two together end a line. The other breaks that `str.splitlines`
knows, for example U+2028, are characters.
"""

import codecs
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wavemore.errors import DataError, UsageError
from wavemore.text.lines import MAX_LINE_LENGTH, Collector, Lines, Report, too_long

_CHUNK_BYTES = 1 << 18


def read_lines(path: Path, encoding: str = "utf-8") -> tuple[Lines, Report]:
    r"""Read a file with one thing a line: whitespace around lines is stripped, blank lines are skipped.

    A byte order mark is skipped. Raises `UsageError` for an unknown encoding, and `DataError` for a file that
    is missing, unreadable, empty, binary, not in the encoding, or has a line longer than `MAX_LINE_LENGTH`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "list.txt"
    ...     _ = path.write_bytes(b"emma\r\n\r\n  ava\n")
    ...     lines, report = read_lines(path)
    >>> list(lines)
    ['emma', 'ava']
    """
    return read_source(path, encoding)[:2]


def read_source(path: Path, encoding: str = "utf-8") -> tuple[Lines, Report, str]:
    """Read a file as `read_lines` does, and return the SHA-256 of its bytes too, in hexadecimal.

    The file is opened and read once, so that a pipe can be read as well.
    """
    codec = codec_of(encoding)
    sha256 = hashlib.sha256()
    collector = Collector()
    tail = ""  # the last line of a chunk, which goes on in the next one
    with opened(path) as file:
        for text in decoded(file, codec, sha256):
            *complete, tail = (tail + text).split("\n")
            collector.add(complete)
            if (length := len(tail.strip())) > MAX_LINE_LENGTH:  # do not gather a line without an end
                raise too_long(collector.seen + 1, f"at least {length:,}")
        if tail:
            collector.add([tail])
    lines, report = collector.finish()
    if not lines:
        what = "holds only blank lines" if collector.seen else "is empty"
        raise DataError(f"{path}: the file {what}; one thing a line is expected")
    return lines, report, sha256.hexdigest()


@contextmanager
def opened(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file to read its bytes; what goes wrong inside is a `DataError` that begins with the path."""
    try:
        with path.open("rb") as file:
            yield file
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


def codec_of(encoding: str) -> codecs.CodecInfo:
    """The codec of that name; raises `UsageError` where it is none of text."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs that make no text, such as 'hex'
        return codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(f"{encoding!r} is no text encoding; try utf-8, latin-1, cp1252 or utf-16") from error


@dataclass
class Place:
    """A place in a file between two pieces of its text, where its reading can be taken up again (if it is UTF-8)."""

    offset: int = 0
    """Bytes before it."""
    is_first: bool = True
    """Whether no text was read yet, so that a byte order mark may come."""
    newlines: int = 0
    """The state of Python's newline decoder: whether the last character was a carriage return."""


def decoded(
    file: io.BufferedReader, codec: codecs.CodecInfo, sha256: "hashlib._Hash", place: Place | None = None
) -> Iterator[str]:
    """Yield the text of a file in pieces, with every line end a line feed and without a byte order mark.

    `place` is where the file stands; it is moved on, and says how far the pieces go. UTF-8 text is yielded up to the
    first byte that is none, whatever the size of the pieces; then comes the `DataError`.
    """
    place = place or Place()
    decoder = codec.incrementaldecoder()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    newlines.setstate((b"", place.newlines))
    wide = codec.name.startswith(("utf-16", "utf-32"))  # where zero bytes are a part of plain text
    trouble: DataError | None = None
    at_end = False
    while not at_end and trouble is None:
        chunk = file.read(_CHUNK_BYTES)
        at_end = not chunk
        sha256.update(chunk)
        kept = len(decoder.getstate()[0])  # bytes of a character that goes on in this chunk
        if not wide and (zero := chunk.find(0)) >= 0:
            trouble = _zero_byte(place.offset + kept + zero)
            chunk = chunk[:zero]
        try:
            text = decoder.decode(chunk, final=at_end or trouble is not None)
            place.offset += kept + len(chunk) - len(decoder.getstate()[0])
        except UnicodeDecodeError as error:
            text = error.object[: error.start].decode() if codec.name == "utf-8" else ""
            trouble = _undecodable(error, place.offset, codec.name)
            place.offset += error.start
        except UnicodeError as error:
            text, trouble = "", DataError(f"not valid {codec.name} ({error}); try --encoding latin-1")
        if place.is_first and text:
            text, place.is_first = text.removeprefix("\ufeff"), False
        text = newlines.decode(text, final=at_end)
        place.newlines = newlines.getstate()[1]
        yield text
    if trouble is not None:
        raise trouble


def _zero_byte(offset: int) -> DataError:
    hint = "if it is text, try --encoding utf-16" if offset < 4 else "give a text file"
    return DataError(f"looks like a binary file (a zero byte at offset {offset:,}); {hint}")


def _undecodable(error: UnicodeDecodeError, begin: int, codec: str) -> DataError:
    offset, byte = begin + error.start, error.object[error.start]
    way_out = "give the encoding of the file, for example --encoding latin-1"
    if offset == 0 and byte in (0xFE, 0xFF):  # half of a byte order mark
        way_out = "it looks like UTF-16: try --encoding utf-16"
    trouble = DataError(f"byte 0x{byte:02x} at offset {offset:,} is not valid {codec}; {way_out}")
    trouble.__cause__ = error
    return trouble
