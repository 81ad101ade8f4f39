"""Files of lines, in pieces: what is in memory is the text once and a small chunk of separate lines.

Only line feeds, carriage returns and the two together end a line. The other breaks that `str.splitlines`
knows, for example U+2028, are characters.
"""

import codecs
import hashlib
import io
from collections.abc import Iterator
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
    codec = _codec(encoding)
    sha256 = hashlib.sha256()
    collector = Collector()
    tail = ""  # the last line of a chunk, which goes on in the next one
    try:
        with path.open("rb") as file:
            for text in _decoded(file, codec, sha256):
                *complete, tail = (tail + text).split("\n")
                collector.add(complete)
                if (length := len(tail.strip())) > MAX_LINE_LENGTH:  # do not gather a line without an end
                    raise too_long(collector.seen + 1, f"at least {length:,}")
        if tail:
            collector.add([tail])
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
    lines, report = collector.finish()
    if not lines:
        what = "holds only blank lines" if collector.seen else "is empty"
        raise DataError(f"{path}: the file {what}; one thing a line is expected")
    return lines, report, sha256.hexdigest()


def _codec(encoding: str) -> codecs.CodecInfo:
    try:
        io.TextIOWrapper(io.BytesIO(), encoding)  # refuses codecs that make no text, such as 'hex'
        return codecs.lookup(encoding)
    except (LookupError, ValueError) as error:
        raise UsageError(f"{encoding!r} is no text encoding; try utf-8, latin-1, cp1252 or utf-16") from error


def _decoded(file: io.BufferedReader, codec: codecs.CodecInfo, sha256: "hashlib._Hash") -> Iterator[str]:
    """Yield the text of a file in pieces, with every line end a line feed and without a byte order mark."""
    decoder = codec.incrementaldecoder()
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    wide = codec.name.startswith(("utf-16", "utf-32"))  # where zero bytes are a part of plain text
    first = True
    done = 0  # bytes given to the decoder so far
    while True:
        chunk = file.read(_CHUNK_BYTES)
        sha256.update(chunk)
        if not wide and b"\0" in chunk:
            hint = "; if it is text, try --encoding utf-16" if done == 0 else "; give a text file"
            raise DataError(f"looks like a binary file (a zero byte at offset {done + chunk.index(0):,}){hint}")
        pending = len(decoder.getstate()[0])
        try:
            text = decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as error:
            offset = done - pending + error.start
            raise DataError(
                f"byte 0x{error.object[error.start]:02x} at offset {offset:,} is not valid {codec.name}; "
                f"give the encoding of the file, for example --encoding latin-1"
            ) from error
        except UnicodeError as error:
            raise DataError(f"not valid {codec.name} ({error}); try --encoding latin-1") from error
        if first and text:
            text, first = text.removeprefix("\ufeff"), False
        yield newlines.decode(text, final=not chunk)
        if not chunk:
            return
        done += len(chunk)
