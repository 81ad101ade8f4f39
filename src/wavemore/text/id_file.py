"""A text of any size as ids in a file: encoded in one pass over its bytes, a piece in memory at a time, and kept.

Ids follow the order of the code points, which is known only when all characters were seen. So the pass numbers the
characters as they come, line feeds with 0, and the numbers are changed to ids in the file afterwards.
"""

import codecs
import hashlib
import io
import itertools
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError
from wavemore.text.lines import counted
from wavemore.text.reading import Place, codec_of, decoded, opened
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary

_BLOCK = 1 << 20  # bytes, or ids, at once where a file is read again
_CODE_POINTS = 0x110000
_STALE_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class Encoded:
    """A text as ids: (N,), mapped from a file and read-only; a line feed is `BOUNDARY`."""

    tokens: Ids
    vocabulary: Vocabulary
    sha256: str
    """Of the bytes of the text's file, in hexadecimal."""
    line_feeds: int


def encode(path: Path, encoding: str, folder: Path) -> Encoded:
    r"""Encode a text file into `folder`, or find what an earlier call left there for the same bytes.

    Line ends of all kinds are line feeds; a byte order mark is skipped. UTF-8 that is cut short by a byte that is none
    is kept up to there: when the byte has been mended, encoding goes on from it. Raises `DataError` for a file that is
    missing, unreadable, empty, binary or not in the encoding, and for a folder that cannot be written.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "text.txt"
    ...     _ = path.write_bytes(b"ba\r\nab\n")
    ...     found = encode(path, "utf-8", Path(folder) / "cache")
    ...     found.tokens.tolist(), found.tokens.dtype, found.vocabulary
    ([2, 1, 0, 1, 2, 0], dtype('uint8'), Vocabulary('ab'))
    """
    codec = codec_of(encoding)
    with _written(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _sweep(folder)
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size and any(
            folder.glob(f"*-{size}-{codec.name}.json")
        ):  # perhaps of these bytes: only then read them twice
            sha256 = hashlib.sha256()
            while block := file.read(_BLOCK):
                sha256.update(block)
            if (found := _find(folder, f"{sha256.hexdigest()}-{size}-{codec.name}")) is not None:
                return found
            file.seek(0)
        return _encode(path, file, codec, folder)


def _encode(path: Path, file: io.BufferedReader, codec: codecs.CodecInfo, folder: Path) -> Encoded:
    cut_short, place, sha256 = _CutShort(path, codec, folder), Place(), hashlib.sha256()
    with _Writer(folder) as writer:
        if cut_short.exists():
            if cut_short.is_of(file, sha256):
                place = cut_short.take_up(writer)
            else:
                file.seek(0)
                sha256 = hashlib.sha256()
        try:
            for text in decoded(file, codec, sha256, place):
                writer.add(text)
        except DataError as error:
            if codec.name == "utf-8" and path.is_file() and writer.written:
                kept = cut_short.keep(writer, place)
                raise DataError(f"{error}; the {counted(kept, 'character')} before it stay encoded") from error
            raise
        if not writer.written:
            raise DataError("the file is empty; text is expected")
        if len(writer.kinds) == 1:
            raise DataError("the file holds only line ends; text is expected")
        vocabulary = Vocabulary(map(chr, writer.kinds[1:]))
        line_feeds = writer.to_ids(vocabulary)
        stem = f"{sha256.hexdigest()}-{place.offset}-{codec.name}"
        facts = _Facts(_FORMAT, writer.written, vocabulary.characters, sha256.hexdigest(), line_feeds)
        with _written(folder):
            writer.move_to(folder / f"{stem}.ids")
            _write_json(folder / f"{stem}.json", asdict(facts))  # last: with it the ids are whole
    cut_short.forget()
    found = _find(folder, stem)
    assert found is not None, "what was written just now is there"
    return found


_FORMAT = 1


@dataclass(frozen=True)
class _Facts:
    format: int
    length: int
    characters: str
    sha256: str
    line_feeds: int


def _find(folder: Path, stem: str) -> Encoded | None:
    """What was kept under that name; None where there is nothing whole."""
    try:
        facts = _Facts(**json.loads((folder / f"{stem}.json").read_text(encoding="ascii")))
        if facts.format != _FORMAT:
            return None
        vocabulary = Vocabulary(facts.characters)
        tokens: Ids = np.memmap(folder / f"{stem}.ids", vocabulary.dtype, mode="r")
    except (OSError, ValueError, TypeError, DataError):  # TypeError: other fields
        return None
    if len(tokens) != facts.length:
        return None
    return Encoded(tokens, vocabulary, facts.sha256, facts.line_feeds)


class _Writer:
    """Characters to numbers in a file: each kind has the next number when it is seen first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kinds = [ord("\n")]
        self.written = 0
        self.dtype: np.dtype[Any] = np.dtype(np.uint8)
        self._place = self._new_place()
        with _written(folder):
            self._file = self._place.open("w+b")
        self._number_the_kinds()

    def _new_place(self) -> Path:
        return self.folder / f".{os.getpid()}-{next(_serial)}.tmp"

    def __enter__(self) -> "_Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._place.unlink(missing_ok=True)

    def _number_the_kinds(self) -> None:
        # The largest number is that of characters which have none yet.
        self._unknown = np.iinfo(self.dtype).max
        self._numbers = np.full(_CODE_POINTS, self._unknown, self.dtype)
        self._numbers[self.kinds] = np.arange(len(self.kinds))
        self._ascii = self._numbers[:256].tobytes()

    def add(self, text: str) -> None:
        """Write the next piece of the text."""
        self.written += len(text)
        if text.isascii() and self.dtype == np.uint8:  # bytes to bytes is several times as fast
            codes = text.encode("ascii")
            numbers = codes.translate(self._ascii)
            if self._unknown not in numbers:
                self._write(numbers)
                return
        wide = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), "<u4")
        for start in range(0, len(wide), _BLOCK // 8):
            block = wide[start : start + _BLOCK // 8]
            taken = self._numbers.take(block)
            if (unknown := taken == self._unknown).any():
                self._meet(np.unique(block[unknown]))
                taken = self._numbers.take(block)
            self._write(taken.data)

    def _write(self, numbers: bytes | memoryview) -> None:
        with _written(self.folder):
            self._file.write(numbers)

    def _meet(self, codes: NDArray[Any]) -> None:
        known = set(self.kinds)
        self.kinds += [code for code in codes.tolist() if code not in known]
        if len(self.kinds) > self._unknown:
            self._widen(np.dtype(np.uint16 if len(self.kinds) < 2**16 else np.uint32))
        self._number_the_kinds()

    def _widen(self, dtype: np.dtype[Any]) -> None:
        """Write the numbers so far anew, in a larger type."""
        place = self._new_place()
        with _written(self.folder):
            wide = place.open("w+b")
            try:
                for block in self._blocks():
                    wide.write(block.astype(dtype).data)
            except BaseException:
                wide.close()
                place.unlink(missing_ok=True)
                raise
            self._file.close()
            self._place.unlink()
        self._file, self._place, self.dtype = wide, place, dtype

    def _blocks(self) -> Iterator[NDArray[Any]]:
        self._file.seek(0)
        while block := self._file.read(_BLOCK):
            yield np.frombuffer(block, self.dtype)

    def to_ids(self, vocabulary: Vocabulary) -> int:
        """Change the numbers in the file to ids of the vocabulary's type, and count the boundaries."""
        ids = np.zeros(len(self.kinds), vocabulary.dtype)
        ids[np.argsort(self.kinds[1:]) + 1] = np.arange(1, len(self.kinds))
        boundaries = read = 0
        with _written(self.folder):
            end = 0  # of what is written: never beyond what is read, as ids are no wider than numbers
            while True:
                self._file.seek(read)
                block = np.frombuffer(self._file.read(_BLOCK), self.dtype)
                if not len(block):
                    break
                read += block.nbytes
                changed = ids.take(block)
                boundaries += int(np.count_nonzero(changed == BOUNDARY))
                self._file.seek(end)
                self._file.write(changed.data)
                end += changed.nbytes
            self._file.truncate(end)
        self.dtype = vocabulary.dtype
        return boundaries

    def move_to(self, path: Path) -> None:
        """Give the file its name; nothing can be written afterwards."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._place.replace(path)

    def go_on_with(self, path: Path, kinds: list[int], written: int, dtype: str) -> None:
        """Take over the numbers of a writer that was cut short."""
        self._file.close()
        path.replace(self._place)
        self._file = self._place.open("r+b")
        self._file.seek(0, os.SEEK_END)
        self.kinds, self.written, self.dtype = kinds, written, np.dtype(dtype)
        self._number_the_kinds()


_serial = itertools.count()


class _CutShort:
    """What was encoded of a file before a byte that is not UTF-8: numbers, and where to go on in the file."""

    def __init__(self, path: Path, codec: codecs.CodecInfo, folder: Path) -> None:
        name = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
        self.path, self.codec, self.folder = path, codec, folder
        self.numbers, self.facts = folder / f"{name}-cut-short.ids", folder / f"{name}-cut-short.json"
        self.found: dict[str, Any] = {}

    def exists(self) -> bool:
        """Whether there is something of a file of that path, which may have changed."""
        return self.codec.name == "utf-8" and self.facts.exists() and self.path.is_file()

    def is_of(self, file: io.BufferedReader, sha256: "hashlib._Hash") -> bool:
        """Whether the file begins with the same bytes; if so, it has been read up to where to go on."""
        try:
            found = json.loads(self.facts.read_text(encoding="ascii"))
            whole = self.numbers.stat().st_size == found["written"] * np.dtype(found["dtype"]).itemsize
            _hash_up_to(file, found["place"]["offset"], sha256)
            fits = found["sha256"] == sha256.hexdigest()
        except (OSError, ValueError, TypeError, KeyError):
            return False
        self.found = found
        return bool(whole and fits)

    def take_up(self, writer: _Writer) -> Place:
        """Hand the numbers to a writer, and say where in the file to go on."""
        found = self.found
        with _written(self.folder):
            self.facts.unlink()
            writer.go_on_with(self.numbers, found["kinds"], found["written"], found["dtype"])
        return Place(**found["place"])

    def keep(self, writer: _Writer, place: Place) -> int:
        """Keep what a writer has, and return how many characters that are."""
        sha256 = hashlib.sha256()
        with self.path.open("rb") as file:
            _hash_up_to(file, place.offset, sha256)
        found = {
            "place": asdict(place),
            "sha256": sha256.hexdigest(),
            "kinds": writer.kinds,
            "written": writer.written,
            "dtype": writer.dtype.name,
        }
        with _written(self.folder):
            self.forget()
            writer.move_to(self.numbers)
            _write_json(self.facts, found)
        return writer.written

    def forget(self) -> None:
        """Remove it."""
        self.facts.unlink(missing_ok=True)
        self.numbers.unlink(missing_ok=True)


def _hash_up_to(file: io.BufferedReader, offset: int, sha256: "hashlib._Hash") -> None:
    while offset > 0 and (block := file.read(min(offset, _BLOCK))):
        sha256.update(block)
        offset -= len(block)


def _write_json(path: Path, facts: dict[str, Any]) -> None:
    beside = path.with_name(f".{os.getpid()}-{next(_serial)}.tmp")
    beside.write_text(json.dumps(facts), encoding="ascii")
    beside.replace(path)


def _sweep(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the encoded text cannot be written to {folder} ({error.strerror or error}); "
            "make room there, or let XDG_CACHE_HOME name another folder"
        ) from error
