"""A corpus of one continuous text, in which line feeds are characters like any other.

The boundary token is the line feed. The context before the first character is boundaries, as if a new line began.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.corpus import Corpus, DataFile
from wavemore.text.id_file import IdFile, open_ids
from wavemore.text.parts import Format, TextPart
from wavemore.text.reports import TextReport, pluralize
from wavemore.text.splits import MIN_DISTINCT, SplitMethod
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary

TRAIN_FRACTION = 0.8
"""The default fraction of a text that is its train part; half of the rest is val, half is test."""
MIN_PART_LENGTH = 100
"""The fewest characters of a part: a loss on fewer means little."""


@dataclass(frozen=True, eq=False, kw_only=True)
class TextCorpus(Corpus):
    """A text with its split and its vocabulary.

    The first `train_fraction` of the text is `train`, the first half of the rest is `val`, the end is `test`.
    """

    format: ClassVar[Format] = "text"

    report: TextReport
    train: TextPart
    val: TextPart
    test: TextPart
    train_fraction: float
    split_method: SplitMethod = "position"
    split_seed: int = 0
    line_hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


def read_text_corpus(
    path: Path,
    *,
    more: Sequence[Path] = (),
    train_fraction: float = TRAIN_FRACTION,
    encoding: str = "auto",
    cleaning: Cleaning = AS_IS,
    name: str = "",
    cache: Path | None = None,
    val: Path | None = None,
    test: Path | None = None,
    extra_characters: str = "",
) -> TextCorpus:
    """Read, split and encode a text file of any size, of which only one piece is in memory at a time.

    The vocabulary has the characters of the text and `extra_characters`. With `more` files, all are one text, with a
    line end after each, whose ids are in memory. `val` and `test` may be files that are all of that part: the text is
    then train and the other part, or all train. The ids are kept in the folder `cache` (default: the user's cache
    folder) for the next time. Raises `DataError` for a file that cannot be read (see `id_file.open_ids`) or is too
    short to split, and `UsageError` for an unknown encoding or a `train_fraction` that is not between 0 and 1.
    """
    if not 0 < train_fraction < 1:
        raise UsageError(f"`train_fraction` is {train_fraction}; it must be above 0 and below 1")
    cache = cache or _cache_folder()
    own = {part: file for part, file in (("val", val), ("test", test)) if file is not None}
    data = [path, *more]
    paths = [*data, *own.values()]
    files = [open_ids(file, encoding, cache, cleaning, extra_characters) for file in paths]
    vocabulary = files[0].vocabulary
    if len(files) > 1:
        vocabulary = Vocabulary("".join(file.vocabulary.characters for file in files), cleaning)
    text = _joined(files[: len(data)], vocabulary)
    cuts = _cuts(len(text), train_fraction, list(own))
    tokens = {part: text[begin:end] for part, (begin, end) in cuts.items()}
    for part, file in zip(own, files[len(data) :], strict=True):
        tokens[part] = _renumbered(file, vocabulary)
    for part, piece in tokens.items():
        if len(piece) < MIN_PART_LENGTH:
            raise _too_short(
                own.get(part, path), part, len(piece), train_fraction, len(text), files[0].report.line_feeds
            )
    parts = {part: TextPart(piece, vocabulary) for part, piece in tokens.items()}
    others = [DataFile.of(path, file.sha256, file.encoding) for path, file in zip(paths, files, strict=True)]
    part_files = dict(zip(own, others[len(data) :], strict=True))
    return TextCorpus(
        name=name or path.stem,
        source=others[0].source,
        sha256=others[0].sha256,
        encoding=others[0].encoding,
        train_fraction=train_fraction,
        report=_report(files, vocabulary),
        vocabulary=vocabulary,
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        extra_characters=_extra(files),
        more_files=tuple(others[1 : len(data)]),
        val_file=part_files.get("val"),
        test_file=part_files.get("test"),
    )


def _cache_folder() -> Path:
    import platformdirs  # only needed here

    return Path(platformdirs.user_cache_dir("wavemore")) / "texts"


def _extra(files: Sequence[IdFile]) -> str:
    """Return the characters of the vocabulary that no file has, sorted."""
    return "".join(sorted(set.intersection(*(set(file.extra_characters) for file in files))))


def _cuts(length: int, train_fraction: float, own: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return where each part of a text begins and ends that has no file of its own."""
    cut = int(train_fraction * length)
    middle = length - (length - cut) // 2
    if not own:
        return {"train": (0, cut), "val": (cut, middle), "test": (middle, length)}
    if len(own) == 2:
        return {"train": (0, length)}
    return {"train": (0, middle), "test" if own[0] == "val" else "val": (middle, length)}


def _joined(files: Sequence[IdFile], vocabulary: Vocabulary) -> Ids:
    """Return the ids of all files, each of which ends a line."""
    pieces = [_renumbered(file, vocabulary) for file in files]
    if len(pieces) == 1:
        return pieces[0]
    ended = [piece if piece[-1] == BOUNDARY else np.append(piece, piece.dtype.type(BOUNDARY)) for piece in pieces]
    joined: Ids = np.concatenate(ended)
    return joined


def _renumbered(file: IdFile, vocabulary: Vocabulary) -> Ids:
    """Return the ids that a vocabulary with all characters of the file gives to them."""
    if file.vocabulary == vocabulary:
        return file.tokens
    numbers = vocabulary.encode_text("\n" + file.vocabulary.characters)
    renumbered: Ids = numbers[file.tokens]
    return renumbered


def _report(files: Sequence[IdFile], vocabulary: Vocabulary) -> TextReport:
    """Return the report of several files together."""
    if len(files) == 1:
        return files[0].report
    reports = [file.report for file in files]
    line_feeds = sum(report.line_feeds for report in reports)
    return TextReport(
        characters=sum(report.characters for report in reports),
        alphabet=len(vocabulary.characters) + (line_feeds > 0),
        line_feeds=line_feeds,
        repairs=tuple(dict.fromkeys(repair for report in reports for repair in report.repairs)),
        invisible=files[0].report.invisible,
    )


def _too_short(path: Path, part: str, size: int, train_fraction: float, length: int, line_feeds: int) -> DataError:
    is_default = train_fraction == TRAIN_FRACTION
    advice = f"give a text of {10 * MIN_PART_LENGTH:,} characters or more" if is_default else "give a longer text"
    if length > 3 * MIN_PART_LENGTH:
        advice += ", or another `train_fraction`"
    if line_feeds >= MIN_DISTINCT:
        advice += ", or set `format` to lines if it is a list"
    return DataError(
        f"{path}: too short: its {part} part would have {pluralize(size, 'character')} and needs "
        f"{MIN_PART_LENGTH}; {advice}"
    )
