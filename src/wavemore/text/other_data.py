"""A file that a model was not trained on, as a part that it can predict."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.text.arrays import is_among
from wavemore.text.cleaning import Cleaner
from wavemore.text.datasets import detect_format, locate, required_layout
from wavemore.text.layout import ANY, PLAIN, Layout, Wanted
from wavemore.text.lines import Lines
from wavemore.text.opening import open_file
from wavemore.text.parts import Format, LinePart, Part, TextPart
from wavemore.text.reading import TextReader, read_lines
from wavemore.text.reports import pluralize
from wavemore.text.vocabulary import Vocabulary

SHOWN = 8
"""Unknown characters that are named."""


@dataclass(frozen=True)
class OtherData:
    """The part of a file that a vocabulary can encode, and what was left out of it."""

    part: Part
    how: str
    """How the file was read, in words; empty for one item per line."""
    unknown: dict[str, int]
    """How often each character occurs that is not in the vocabulary."""
    left_out: int
    """The lines of a list that have such characters."""

    @property
    def note(self) -> str:
        """What was left out, in words; empty if nothing was."""
        if not self.unknown:
            return ""
        names = " ".join(sorted(self.unknown, key=lambda character: -self.unknown[character])[:SHOWN])
        more = " ..." if len(self.unknown) > SHOWN else ""
        count = pluralize(sum(self.unknown.values()), "character")
        if self.part.format == "lines":
            lines = pluralize(self.left_out, "line")
            return f"{lines} with characters that the model does not know left out: {names}{more}"
        return f"{count} that the model does not know left out: {names}{more}"


def read_other(
    data: str | Path,
    format: Format,  # noqa: A002 - the name of the setting
    vocabulary: Vocabulary,
    known: NDArray[np.uint64] | None = None,
    wanted: Wanted = ANY,
    own_layout: Layout = PLAIN,
) -> OtherData:
    """Read a file or a data set of lines or of one text, cleaned as the vocabulary's data was.

    Tables, JSON and the like are recognised; `wanted` names their columns. Lines with unknown characters are left out,
    and such characters of a text. `known` are the hashes of the lines of the data that a model was trained on: all
    others count as leak-free. Raises `DataError` for a file that cannot be read, or of which nothing is left.
    """
    if format == "text":
        if any(wanted):
            raise UsageError("the model is of continuous text, which has no columns: leave the column out")
        return _read_text(data, vocabulary)
    lines, how = read_items(data, vocabulary, wanted, own_layout)
    return of_lines(lines, vocabulary, known, how=how, name=str(data))


def read_items(
    data: str | Path, vocabulary: Vocabulary, wanted: Wanted = ANY, own_layout: Layout = PLAIN
) -> tuple[Lines, str]:
    """Read the items of a file, cleaned as the vocabulary's data was; return also how, as in `OtherData`.

    `own_layout` is that of the vocabulary's data: items of several lines are looked for in other files too.
    """
    path, _, encoding = locate(data, "auto")
    separated = own_layout.kind == "separated"
    detected = None if separated else detect_format(data, wanted=wanted)
    recognized = None if detected is None else detected.recognized
    layout = own_layout if separated else PLAIN if recognized is None else required_layout(data, recognized)
    cleaning = replace(vocabulary.cleaning, min_count=1)  # an item that is rare there is an item
    lines = read_lines(path, encoding, cleaning, layout)[0]
    return lines, "" if recognized is None else f"{recognized.items} of {recognized.name}"


def of_lines(
    lines: Lines, vocabulary: Vocabulary, known: NDArray[np.uint64] | None, *, how: str = "", name: str = "the list"
) -> OtherData:
    """Return the lines that the vocabulary can encode; the arguments are those of `read_other`."""
    unknown: dict[str, int] = {}
    left_out = 0
    if strange := set(lines.characters) - set(vocabulary.characters):
        has = np.fromiter((not strange.isdisjoint(line) for line in lines), np.bool_, len(lines))
        unknown = dict(Counter(c for line in lines.take(np.flatnonzero(has)) for c in line if c in strange))
        left_out, lines = int(has.sum()), lines.take(np.flatnonzero(~has))
        if not len(lines):
            raise DataError(f"{name}: all of its lines have characters that the model does not know ({_some(strange)})")
    hashes = lines.hashes()
    leak_free = np.ones(len(lines), np.bool_) if known is None else ~is_among(hashes, known)
    part = LinePart(lines, lines.encode(vocabulary), leak_free, vocabulary)
    return OtherData(part, how, unknown, left_out)


def _read_text(data: str | Path, vocabulary: Vocabulary) -> OtherData:
    path, _, encoding = locate(data, "auto")
    unknown: Counter[str] = Counter()
    ids = [np.zeros(0, vocabulary.dtype)]
    known = {*vocabulary.characters, "\n"}
    with open_file(path) as file:
        for piece in Cleaner(vocabulary.cleaning).pieces(TextReader(file, encoding).pieces()):
            text = piece
            if strange := set(piece) - known:
                unknown.update(character for character in piece if character in strange)
                text = piece.translate(dict.fromkeys(map(ord, strange)))
            ids.append(vocabulary.encode_text(text))
    tokens = np.concatenate(ids)
    if not tokens.any():
        raise DataError(f"{path}: it has no characters that the model knows")
    return OtherData(TextPart(tokens, vocabulary), "", dict(unknown), 0)


def _some(characters: set[str]) -> str:
    return " ".join(sorted(characters)[:SHOWN])
