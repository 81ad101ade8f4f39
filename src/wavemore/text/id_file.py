"""A text of any size as token ids in a file; only one piece of the text is in memory at a time.

The text is read twice. The first pass finds its checksum and its characters, which determine the ids; the second one
writes the ids to a file in a cache folder, named by the checksum. A text whose ids are there is read once.
"""

import codecs
import hashlib
import io
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavemore.errors import DataError, UnknownCharacterError
from wavemore.text.reading import find_codec, open_file, text_pieces
from wavemore.text.vocabulary import Ids, Vocabulary, code_points

_STALE_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class IdFile:
    """A text as ids: (N,), read-only and mapped from a file. The id of a line feed is `BOUNDARY`."""

    tokens: Ids
    vocabulary: Vocabulary
    sha256: str
    """The checksum of the text's file, in hexadecimal."""
    line_feeds: int


def open_ids(path: Path, encoding: str, folder: Path) -> IdFile:
    """Return the ids of a text file, which are written to `folder` if they are not there yet.

    Line ends of all kinds become line feeds; a byte order mark is skipped. A text that can be read only once, from a
    pipe, is copied to a temporary file in `folder` first. Raises `DataError` for a file that is missing, unreadable,
    empty, binary or not in the encoding, and for a folder that cannot be written.
    """
    codec = find_codec(encoding)
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
    with open_file(path) as source, _rereadable(source, folder) as file:
        vocabulary, sha256, length, line_feeds = _survey(file, codec)
        ids_path = folder / f"{sha256}-{codec.name}.ids"
        if not ids_path.is_file() or ids_path.stat().st_size != length * vocabulary.dtype.itemsize:
            file.seek(0)
            _write_ids(ids_path, file, codec, vocabulary, sha256)
        return IdFile(np.memmap(ids_path, vocabulary.dtype, mode="r"), vocabulary, sha256, line_feeds)


def _survey(file: io.BufferedIOBase, codec: codecs.CodecInfo) -> tuple[Vocabulary, str, int, int]:
    """Read a text, and return its vocabulary, its checksum, its length and the number of its line feeds."""
    checksum = hashlib.sha256()
    occurs = np.zeros(sys.maxunicode + 1, np.bool_)
    length = line_feeds = 0
    for text in text_pieces(file, codec, checksum):
        codes = code_points(text)
        if not occurs.take(codes).all():  # true for few pieces, and looking up is faster than setting
            occurs[codes] = True
        length += len(text)
        line_feeds += text.count("\n")
    if length == line_feeds:
        raise DataError(f"the file {'holds only line ends' if length else 'is empty'}; text is expected")
    occurs[ord("\n")] = False
    vocabulary = Vocabulary(map(chr, np.flatnonzero(occurs).tolist()))
    return vocabulary, checksum.hexdigest(), length, line_feeds


def _write_ids(path: Path, file: io.BufferedIOBase, codec: codecs.CodecInfo, vocabulary: Vocabulary, sha: str) -> None:
    """Encode a text into a temporary file beside `path`, and move it there when it is complete."""
    checksum = hashlib.sha256()
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with _writing_to(path.parent):
        try:
            with temporary.open("wb") as output:
                for text in text_pieces(file, codec, checksum):
                    output.write(vocabulary.encode_text(text).data)
                output.flush()
                os.fsync(output.fileno())
            if checksum.hexdigest() != sha:
                raise DataError("the file changed while it was being read; try again")
            temporary.replace(path)
        except UnknownCharacterError as error:
            raise DataError("the file changed while it was being read; try again") from error
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _rereadable(source: io.BufferedReader, folder: Path) -> Iterator[io.BufferedIOBase]:
    """The file itself, or a temporary copy of a pipe, which cannot be read twice."""
    if source.seekable():
        yield source
        return
    with _writing_to(folder), tempfile.TemporaryFile(dir=folder) as copy:
        shutil.copyfileobj(source, copy)
        copy.seek(0)
        yield copy


def _remove_leftovers(folder: Path) -> None:
    """Remove temporary files of killed processes."""
    for path in folder.glob("*.ids.*.tmp"):
        with suppress(OSError):  # another process removed it first
            if time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


@contextmanager
def _writing_to(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DataError(
            f"the encoded text cannot be written to {folder} ({error.strerror or error}); "
            "free some space there, or set XDG_CACHE_HOME to another folder"
        ) from error
