"""A file that a model was not trained on, as a part that it can predict."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.signs import visible
from wavemore.text.arrays import is_among
from wavemore.text.cleaning import Cleaner
from wavemore.text.datasets import detect_format, locate, required_layout
from wavemore.text.labels import LabelColumn
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
    unknown_labels: dict[str, int] = field(default_factory=dict)
    """How many lines were left out for each label that the model does not know."""

    @property
    def note(self) -> str:
        """What was left out, in words; empty if nothing was."""
        return "; ".join(filter(None, [self._label_note, self._character_note]))

    @property
    def _label_note(self) -> str:
        if not self.unknown_labels:
            return ""
        names = ", ".join(map(visible, list(self.unknown_labels)[:SHOWN])) + (
            ", ..." if len(self.unknown_labels) > SHOWN else ""
        )
        lines = pluralize(sum(self.unknown_labels.values()), "line")
        return f"{lines} with labels that the model does not know left out: {names}"

    @property
    def _character_note(self) -> str:
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
    label: str | None = None,
) -> OtherData:
    """Read a file or a data set of lines or of one text, cleaned as the vocabulary's data was.

    Tables, JSON and the like are recognised; `wanted` names their columns. Lines with unknown characters are left out,
    and such characters of a text. `known` are the hashes of the lines of the data that a model was trained on: all
    others count as leak-free. If the vocabulary has labels, all lines have the `label`, or those of a table are in the
    columns of the data's `own_layout`. Raises `DataError` for a file that cannot be read, or of which nothing is left,
    and `UsageError` if there are no labels.
    """
    if label is not None:
        number, own_layout = vocabulary.labels.number(label), replace(own_layout, label=None)
    if format == "text":
        if any(wanted):
            raise UsageError("the model is of continuous text, which has no columns: leave the column out")
        return _read_text(data, vocabulary)
    lines, how = read_items(data, vocabulary, wanted, own_layout)
    if label is not None:
        names = vocabulary.labels.names
        lines = lines.with_labels(LabelColumn(names, np.full(len(lines), number, np.uint16)))
    elif vocabulary.labels and lines.labels is None:
        raise UsageError(
            f"the items of the run have labels, and {data} is not a table like its data: give one with the same "
            "columns, or a `label` of all items"
        )
    return of_lines(lines, vocabulary, known, how=how, name=str(data))


def read_items(
    data: str | Path, vocabulary: Vocabulary, wanted: Wanted = ANY, own_layout: Layout = PLAIN
) -> tuple[Lines, str]:
    """Read the items of a file, cleaned as the vocabulary's data was; return also how, as in `OtherData`.

    `own_layout` is that of the vocabulary's data: items of several lines are looked for in other files too, and labels
    in the same columns.
    """
    path, _, encoding = locate(data, "auto")
    separated = own_layout.kind == "separated"
    detected = None if separated else detect_format(data, wanted=wanted)
    recognized = None if detected is None else detected.recognized
    if recognized is not None and vocabulary.labels and wanted == ANY:
        detected = detect_format(data, wanted=_same_columns(own_layout))
        recognized = None if detected is None else detected.recognized
    layout = own_layout if separated else PLAIN if recognized is None else required_layout(data, recognized)
    cleaning = replace(vocabulary.cleaning, min_count=1)  # an item that is rare there is an item
    lines = read_lines(path, encoding, cleaning, layout)[0]
    return lines, "" if recognized is None else f"{recognized.items} of {recognized.name}"


def _same_columns(layout: Layout) -> Wanted:
    """Return the columns of the items and the labels, by number or name."""
    if layout.kind == "table":
        return Wanted(f"{layout.column + 1}", label_column=None if layout.label is None else f"{int(layout.label) + 1}")
    return Wanted(layout.field, label_column=None if layout.label is None else str(layout.label))


def of_lines(
    lines: Lines, vocabulary: Vocabulary, known: NDArray[np.uint64] | None, *, how: str = "", name: str = "the list"
) -> OtherData:
    """Return the lines that the vocabulary can encode; the arguments are those of `read_other`."""
    unknown: dict[str, int] = {}
    left_out, unknown_labels = 0, dict[str, int]()
    if lines.labels is not None:
        is_known = lines.labels.known_to(vocabulary.labels.names)
        names, counts = np.unique(np.array(lines.labels.names)[lines.labels.numbers[~is_known]], return_counts=True)
        unknown_labels = dict(zip(names.tolist(), counts.tolist(), strict=True))
        if not is_known.any():
            some = ", ".join(map(visible, list(unknown_labels)[:SHOWN]))
            raise DataError(f"{name}: the model knows none of its labels ({some})")
        lines = lines.take(np.flatnonzero(is_known)) if unknown_labels else lines
        assert lines.labels is not None
        lines = lines.with_labels(lines.labels.numbered_as(vocabulary.labels.names))
    if strange := set(lines.characters) - set(vocabulary.characters):
        has = np.fromiter((not strange.isdisjoint(line) for line in lines), np.bool_, len(lines))
        unknown = dict(Counter(c for line in lines.take(np.flatnonzero(has)) for c in line if c in strange))
        left_out, lines = int(has.sum()), lines.take(np.flatnonzero(~has))
        if not len(lines):
            raise DataError(f"{name}: all of its lines have characters that the model does not know ({_some(strange)})")
    hashes = lines.hashes()
    leak_free = np.ones(len(lines), np.bool_) if known is None else ~is_among(hashes, known)
    part = LinePart(lines, lines.encode(vocabulary), leak_free, vocabulary)
    return OtherData(part, how, unknown, left_out, unknown_labels)


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
