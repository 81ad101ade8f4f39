"""Text files, read and decoded piece by piece.

Only line feeds, carriage returns and the two together end a line. The other breaks that `str.splitlines` knows, for
example U+2028, are characters.
"""

import codecs
import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wavemore.errors import DataError, UsageError
from wavemore.text.lines import MAX_LINE_LENGTH, Collector, LineReport, Lines, line_too_long

_CHUNK_BYTES = 1 << 18
_OTHER_ENCODING = "set `encoding` to that of the file, for example latin-1"


def read_lines(path: Path, encoding: str = "utf-8") -> tuple[Lines, LineReport, str]:
    r"""Read a file with one item per line, and return its lines, a report and the SHA-256 of its bytes.

    Whitespace around lines is stripped; blank lines and a byte order mark are skipped. The file is read once, so it may
    be a pipe. Raises `UsageError` for an unknown encoding, and `DataError` for a file that is missing, unreadable,
    empty, binary, not in the encoding, or has a line longer than `MAX_LINE_LENGTH`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "list.txt"
    ...     _ = path.write_bytes(b"emma\r\n\r\n  ava\n")
    ...     lines, report, sha256 = read_lines(path)
    >>> list(lines)
    ['emma', 'ava']
    """
    codec = find_codec(encoding)
    sha256 = hashlib.sha256()
    collector = Collector()
    tail = ""  # the last line of a piece, which may continue in the next one
    with open_file(path) as file:
        for text in text_pieces(file, codec, sha256):
            *complete, tail = (tail + text).split("\n")
            collector.add(complete)
            if (length := len(tail.strip())) > MAX_LINE_LENGTH:  # the line may have no end
                raise line_too_long(collector.num_lines + 1, f"at least {length:,}")
        if tail:
            collector.add([tail])
    lines, report = collector.finish()
    if not lines:
        problem = "holds only blank lines" if collector.num_lines else "is empty"
        raise DataError(f"{path}: the file {problem}; one item per line is expected")
    return lines, report, sha256.hexdigest()


@contextmanager
def open_file(path: Path) -> Iterator[io.BufferedReader]:
    """Open a file to read its bytes; an error in the block becomes a `DataError` that begins with the path."""
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


def find_codec(encoding: str) -> codecs.CodecInfo:
    """Return the codec of a text encoding; raises `UsageError` if there is none."""
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs that are not for text, such as 'hex'
        return codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(
            f"`encoding` is {encoding!r}, which is not a text encoding; try utf-8, latin-1, cp1252 or utf-16"
        ) from error


def text_pieces(
    file: io.BufferedIOBase, codec: codecs.CodecInfo, sha256: "hashlib._Hash | None" = None
) -> Iterator[str]:
    """Yield the text of a file in pieces, with line feeds for all line ends and without a byte order mark.

    The bytes are added to `sha256`. Raises `DataError` with the offset of the first zero byte or byte that is not in
    the encoding.
    """
    decoder = codec.incrementaldecoder()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    has_zeros = codec.name.startswith(("utf-16", "utf-32"))  # in plain text
    offset = 0
    at_start, at_end = True, False
    while not at_end:
        chunk = file.read(_CHUNK_BYTES)
        if sha256 is not None:
            sha256.update(chunk)
        zero = -1 if has_zeros else chunk.find(0)
        at_end = not chunk or zero >= 0
        pending = len(decoder.getstate()[0])  # bytes of a character that continues in this chunk
        try:
            text = newlines.decode(chunk if zero < 0 else chunk[:zero], final=at_end)
        except UnicodeError as error:
            raise DataError(_undecodable(error, offset - pending, codec.name)) from error
        if zero >= 0:
            advice = "if it is text, set `encoding` to utf-16" if offset + zero < 4 else "give a text file"
            raise DataError(f"looks like a binary file (a zero byte at offset {offset + zero:,}); {advice}")
        if at_start and text:
            text, at_start = text.removeprefix("\ufeff"), False
        offset += len(chunk)
        yield text


def _undecodable(error: UnicodeError, start: int, codec: str) -> str:
    """Return what is wrong with bytes that begin at the offset `start` of the file."""
    if not isinstance(error, UnicodeDecodeError):
        return f"not valid {codec} ({error}); {_OTHER_ENCODING}"
    offset, byte = start + error.start, error.object[error.start]
    half_mark = offset == 0 and byte in (0xFE, 0xFF)  # the first byte of a byte order mark
    advice = "it looks like UTF-16: set `encoding` to utf-16" if half_mark else _OTHER_ENCODING
    return f"byte 0x{byte:02x} at offset {offset:,} is not valid {codec}; {advice}"
