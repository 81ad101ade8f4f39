"""A text of any size as token ids in a file; only one piece of the text is in memory at a time.

The text is read twice. The first pass finds its checksum and its characters, which determine the ids; the second one
writes the ids to a file in a cache folder, named by the checksum. A text whose ids are there is read once.
"""

import hashlib
import io
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavemore.errors import DataError, UnknownCharacterError
from wavemore.files import move
from wavemore.text.cleaning import AS_IS, Cleaner, Cleaning
from wavemore.text.opening import open_file
from wavemore.text.reading import TextReader
from wavemore.text.reports import TextReport
from wavemore.text.vocabulary import Ids, Vocabulary, code_points

_STALE_SECONDS = 86_400


@dataclass(frozen=True, eq=False)
class IdFile:
    """A text as ids: (N,), read-only and mapped from a file. The id of a line feed is `BOUNDARY`."""

    tokens: Ids
    vocabulary: Vocabulary
    sha256: str
    """The checksum of the text's file, in hexadecimal."""
    encoding: str
    report: TextReport
    extra_characters: str
    """Characters of the vocabulary that are not in the text."""


def open_ids(path: Path, encoding: str, folder: Path, cleaning: Cleaning = AS_IS, extra_characters: str = "") -> IdFile:
    """Return the ids of a text file, which are written to `folder` if they are not there yet.

    The vocabulary has the characters of the text and `extra_characters`.
    The text is cleaned, line ends of all kinds become line feeds, and a byte order mark is skipped. Raises `DataError`
    for a file that is missing, unreadable, empty, binary or not in the encoding, and for a folder that cannot be
    written.
    """
    with _writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(folder)
    with open_file(path) as file:
        reader = TextReader(file, encoding)
        vocabulary, report = _survey(reader, cleaning)
        extra = "".join(sorted(set(extra_characters) - set(vocabulary.characters)))
        kind = "-".join([reader.codec.name, cleaning.normalize, cleaning.invisible, cleaning.case])
        if extra:  # the ids of all characters after them are others
            vocabulary = Vocabulary(vocabulary.characters + extra, cleaning)
            kind += "-" + hashlib.sha256(extra.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        ids_path = folder / f"{reader.sha256}-{kind}.ids"
        if not _is_complete(ids_path, report.characters * vocabulary.dtype.itemsize):
            file.seek(0)
            _write_ids(ids_path, file, reader, vocabulary)
        tokens = np.memmap(ids_path, vocabulary.dtype, mode="r")
        return IdFile(tokens, vocabulary, reader.sha256, reader.encoding, report, extra)


def _is_complete(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _survey(reader: TextReader, cleaning: Cleaning) -> tuple[Vocabulary, TextReport]:
    """Read a text, and return its vocabulary and counts."""
    cleaner = Cleaner(cleaning)
    occurs = np.zeros(sys.maxunicode + 1, np.bool_)
    length = line_feeds = 0
    for text in cleaner.pieces(reader.pieces()):
        codes = code_points(text)
        if not occurs.take(codes).all():  # true for few pieces, and looking up is faster than setting
            occurs[codes] = True
        length += len(text)
        line_feeds += text.count("\n")
    if length == line_feeds:
        raise DataError(f"the file {'holds only line ends' if length else 'is empty'}; text is expected")
    alphabet = int(occurs.sum())
    occurs[ord("\n")] = False
    vocabulary = Vocabulary(map(chr, np.flatnonzero(occurs).tolist()), cleaning)
    return vocabulary, TextReport(
        length, alphabet, line_feeds, (*reader.repairs, *cleaner.repairs), invisible=cleaner.invisible
    )


def _write_ids(path: Path, file: io.BufferedIOBase, first: TextReader, vocabulary: Vocabulary) -> None:
    """Encode a text, which `first` has read, into a temporary file beside `path`, and move it there at the end."""
    reader = TextReader(file, first.encoding)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}.tmp")
    with _writing_to(path.parent):
        try:
            with temporary.open("xb") as output:
                for text in Cleaner(vocabulary.cleaning).pieces(reader.pieces()):
                    output.write(vocabulary.encode_text(text).data)
                output.flush()
                os.fsync(output.fileno())
            if reader.sha256 != first.sha256:
                raise DataError("the file changed while it was being read; try again")
            if not _is_complete(path, temporary.stat().st_size):  # another process may have written it, and use it
                move(temporary, path)
        except UnknownCharacterError as error:
            raise DataError("the file changed while it was being read; try again") from error
        finally:
            temporary.unlink(missing_ok=True)


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
            f"the encoded text cannot be written to {folder} ({error.strerror or error}); free some space there"
            + (", or set XDG_CACHE_HOME to another folder" if sys.platform == "linux" else "")
        ) from error
