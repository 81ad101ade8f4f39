"""Text files, read and decoded piece by piece.

Only line feeds, carriage returns and the two together end a line. The other breaks that `str.splitlines` knows, for
example U+2028, are characters.
"""

import hashlib
import io
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from wavemore.errors import DataError
from wavemore.progress import report
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.encoding import (
    HEAD_BYTES,
    SAMPLE_BYTES,
    find_codec,
    is_binary,
    is_mostly_utf8,
    marked_encoding,
    suggest_encoding,
)
from wavemore.text.items import ItemReader
from wavemore.text.layout import PLAIN, Layout
from wavemore.text.lines import MAX_LINE_LENGTH, Collector, Lines, line_too_long
from wavemore.text.opening import Decompressed, open_file
from wavemore.text.other_formats import recognize_bytes
from wavemore.text.reports import LineReport

_CHUNK_BYTES = 1 << 18


class TextReader:
    """The text of an open file in pieces, with line feeds for all line ends and without a byte order mark.

    `encoding` may be "auto": UTF-8, or what a byte order mark says. Raises `UsageError` for an unknown encoding, and
    `DataError` for an archive or a binary file, and with the offset of the first byte that is not in the encoding.
    """

    def __init__(self, file: io.BufferedIOBase, encoding: str = "auto") -> None:
        self._file = file
        name = getattr(file, "name", None)
        self._path = str(name) if isinstance(name, str | Path) else "FILE"
        self._head = file.read(HEAD_BYTES)
        if archive := recognize_bytes(self._head):
            raise DataError(archive.advice(self._path))
        raw = getattr(file, "raw", None)
        self._compressed = raw if isinstance(raw, Decompressed) else None
        self._mark = marked_encoding(self._head)
        self._auto = encoding == "auto"
        self.encoding = (self._mark or "utf-8") if self._auto else encoding
        self.codec = find_codec(self.encoding)
        if is_binary(self._head, self.codec.name):
            raise DataError(f"has a zero byte at offset {self._head.find(0):,}; {self._advice(self._head)}")
        self._size = self._size_of_file()
        self._checksum = hashlib.sha256()
        self._line_ends: tuple[str, ...] = ()

    def pieces(self) -> Iterator[str]:
        """Yield the text."""
        decoder = self.codec.incrementaldecoder()
        newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
        offset, at_start = 0, True
        for chunk in self._chunks():
            self._checksum.update(chunk)
            pending = decoder.getstate()[0]  # bytes of a character that continues in this chunk
            try:
                text = newlines.decode(chunk, final=not chunk)
            except UnicodeError as error:
                raise DataError(self._undecodable(error, offset - len(pending), pending + chunk)) from error
            if at_start and text:
                text, at_start = text.removeprefix("\ufeff"), False
            offset += len(chunk)
            yield text
            done, size = self._compressed.progress() if self._compressed else (offset, self._size)
            report(f"reading {Path(self._path).name}", done, size)
        ends = newlines.newlines or ()
        self._line_ends = (ends,) if isinstance(ends, str) else ends

    @property
    def sha256(self) -> str:
        """The checksum of the file, in hexadecimal, once all of it has been read."""
        return self._checksum.hexdigest()

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was changed, in words, once the whole file has been read."""
        words = []
        if self._auto and self.encoding != "utf-8":
            words.append(f"read as {self.encoding.upper()}")
        elif self._mark == "utf-8":
            words.append("byte order mark removed")
        if kinds := [name for end, name in (("\r\n", "CRLF"), ("\r", "CR")) if end in self._line_ends]:
            words.append(f"{' and '.join(kinds)} line ends converted")
        return tuple(words)

    def _size_of_file(self) -> int:
        if self._compressed or not self._file.seekable():
            return 0
        position = self._file.tell()
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(position)
        return size

    def _chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._head), _CHUNK_BYTES):
            yield self._head[start : start + _CHUNK_BYTES]
        while chunk := self._file.read(_CHUNK_BYTES):
            yield chunk
        yield b""

    def _undecodable(self, error: UnicodeError, start: int, data: bytes) -> str:
        """Return what is wrong with `data`, which begins at the offset `start` of the file."""
        if not isinstance(error, UnicodeDecodeError):
            return f"not valid {self.codec.name} ({error}); {self._advice(data)}"
        byte = f"byte 0x{error.object[error.start]:02x} at offset {start + error.start:,}"
        return f"{byte} is not valid {self.codec.name}; {self._advice(data)}"

    def _advice(self, data: bytes) -> str:
        """Return how the file can be read; `data` is the part of it that was read last."""
        whole = True
        if self._file.seekable():
            self._file.seek(0)
            sample = self._file.read(SAMPLE_BYTES)
            whole = len(sample) < SAMPLE_BYTES
            data = sample if whole else sample + data
        if self.codec.name == "utf-8" and is_mostly_utf8(data):
            path = shlex.quote(self._path)
            return f"the rest is UTF-8, so leave such bytes out: iconv -c -f utf-8 -t utf-8 < {path} > corrected.txt"
        name = suggest_encoding(data, self.codec.name, whole=whole)
        if name is None:
            return "it looks like a binary file: give a text file"
        if name.startswith("utf"):
            return f"it looks like {name}: set `encoding` to {name}"
        return f"set `encoding` to that of the file, for example {name}"


@dataclass(frozen=True)
class ItemFile:
    """A file of items."""

    path: Path
    encoding: str = "auto"
    layout: Layout = PLAIN
    """Where the items are."""


class Read(NamedTuple):
    """What was read from some files."""

    lines: Lines
    """The items of all files."""
    report: LineReport
    readers: list[TextReader]
    """They have the encoding and the checksum of each file."""
    sizes: list[int]
    """The number of items of each part."""


def read_lines(
    path: Path, encoding: str = "auto", cleaning: Cleaning = AS_IS, layout: Layout = PLAIN
) -> tuple[Lines, LineReport, TextReader]:
    r"""Read a file of items, of which `layout` says where they are; return them, a report, and the reader.

    The reader has the encoding and the checksum. Whitespace around items is stripped; blank ones and a byte order mark
    are skipped. Raises `UsageError` for an unknown encoding, and `DataError` for a file that is missing, unreadable,
    empty, binary, not in the encoding or the layout, or has an item longer than `MAX_LINE_LENGTH` that may not be left
    out.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "list.txt"
    ...     _ = path.write_bytes(b"emma\r\n\r\n  ava\n")
    ...     lines, report, _ = read_lines(path)
    >>> list(lines), report.repairs
    (['emma', 'ava'], ('CRLF line ends converted', 'spaces stripped from 1 line'))
    """
    lines, report, readers, _ = read_files([ItemFile(path, encoding, layout)], cleaning)
    return lines, report, readers[0]


def read_files(files: Sequence[ItemFile], cleaning: Cleaning = AS_IS, parts: Sequence[int] = ()) -> Read:
    """Read the items of one or more files as `read_lines` does.

    `parts` has the numbers of the files, counted from 0, with which another part begins.
    """
    labelled = [file.layout.label is not None for file in files]
    if any(labelled) and not all(labelled):
        raise DataError(
            f"{files[labelled.index(False)].path}: its items have no labels, and those of "
            f"{files[labelled.index(True)].path} have: give a table with the same columns"
        )
    collector = Collector(cleaning, counted=any(file.layout.count is not None for file in files))
    readers, repairs = [], list[str]()
    for number, source in enumerate(files):
        if number in parts:
            collector.begin_part()
        items = ItemReader(source.layout)
        with open_file(source.path) as file:
            before = collector.num_kept, collector.num_lines, collector.num_long
            readers.append(reader := TextReader(file, source.encoding))
            if source.layout.kind == "plain":
                _collect_lines(collector, reader.pieces())
            else:
                for batch in items.batches(reader.pieces()):
                    collector.add(batch.texts, batch.counts, batch.labels)
            if collector.num_kept == before[0]:
                raise DataError(_what_it_holds(collector, *before[1:]) + "; one item per line is expected")
        repairs += [*reader.repairs, *items.repairs]
    lines, report = collector.finish()
    if not collector.sizes[0]:
        raise DataError(f"{files[0].path}: no item occurs {cleaning.min_count:,} times; choose a lower `min_count`")
    repairs = list(dict.fromkeys(repairs))  # several files may have the same ones
    return Read(lines, replace(report, repairs=(*repairs, *report.repairs)), readers, collector.sizes)


def _collect_lines(collector: Collector, pieces: Iterable[str]) -> None:
    tail = ""  # the last line of a piece, which may continue in the next one
    for text in pieces:
        *complete, tail = (tail + text).split("\n")
        collector.add(complete)
        if (length := len(tail.strip())) > MAX_LINE_LENGTH:  # the line may have no end
            if collector.cleaning.max_length is None and collector.cleaning.long_lines == "error":
                raise line_too_long(collector.num_lines + 1, f"at least {length:,}")
            tail = "x" * (MAX_LINE_LENGTH + 1)  # it will be left out
    if tail:
        collector.add([tail])


def _what_it_holds(collector: Collector, lines_before: int, long_before: int) -> str:
    if collector.num_long > long_before:
        most = collector.cleaning.max_length or MAX_LINE_LENGTH
        return f"the file holds only lines of more than {most:,} characters"
    return f"the file {'holds only blank lines' if collector.num_lines > lines_before else 'is empty'}"
