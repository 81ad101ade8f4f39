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
from wavemore.text.corpus import Corpus, PartFile
from wavemore.text.id_file import IdFile, open_ids
from wavemore.text.lines import TextReport, pluralize
from wavemore.text.parts import Format, TextPart
from wavemore.text.splits import MIN_DISTINCT, SplitMethod
from wavemore.text.vocabulary import Ids, Vocabulary

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
    train_fraction: float = TRAIN_FRACTION,
    encoding: str = "auto",
    cleaning: Cleaning = AS_IS,
    name: str = "",
    cache: Path | None = None,
    val: Path | None = None,
    test: Path | None = None,
) -> TextCorpus:
    """Read, split and encode a text file of any size, of which only one piece is in memory at a time.

    `val` and `test` may be files that are all of that part: the text is then train and the other part, or all train.
    The ids are kept in the folder `cache` (default: the user's cache folder) for the next time. Raises `DataError` for
    a file that cannot be read (see `id_file.open_ids`) or is too short to split, and `UsageError` for an unknown
    encoding or a `train_fraction` that is not between 0 and 1.
    """
    if not 0 < train_fraction < 1:
        raise UsageError(f"`train_fraction` is {train_fraction}; it must be above 0 and below 1")
    if cache is None:
        import platformdirs  # only needed here

        cache = Path(platformdirs.user_cache_dir("wavemore")) / "texts"
    own = {part: file for part, file in (("val", val), ("test", test)) if file is not None}
    files = [open_ids(file, encoding, cache, cleaning) for file in (path, *own.values())]
    ids, length = files[0], len(files[0].tokens)
    cuts = _cuts(length, train_fraction, list(own))
    tokens = {part: ids.tokens[begin:end] for part, (begin, end) in cuts.items()}
    tokens |= {part: file.tokens for part, file in zip(own, files[1:], strict=True)}
    for part, piece in tokens.items():
        if len(piece) < MIN_PART_LENGTH:
            raise _too_short(own.get(part, path), part, len(piece), train_fraction, length, ids.report.line_feeds)
    vocabulary, origin = ids.vocabulary, {part: ids for part in cuts} | dict(zip(own, files[1:], strict=True))
    if len(files) > 1:
        vocabulary = Vocabulary("".join(file.vocabulary.characters for file in files), cleaning)
    parts = {part: TextPart(_renumbered(piece, origin[part], vocabulary), vocabulary) for part, piece in tokens.items()}
    part_files = {
        part: PartFile.of(own[part], file.sha256, file.encoding)
        for part, file in zip(own, files[1:], strict=True)
    }
    return TextCorpus(
        name=name or path.stem,
        source=str(path.absolute()),
        sha256=ids.sha256,
        encoding=ids.encoding,
        train_fraction=train_fraction,
        report=_report(files, vocabulary),
        vocabulary=vocabulary,
        train=parts["train"],
        val=parts["val"],
        test=parts["test"],
        val_file=part_files.get("val"),
        test_file=part_files.get("test"),
    )


def _cuts(length: int, train_fraction: float, own: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Return where each part of a text begins and ends that has no file of its own."""
    cut = int(train_fraction * length)
    middle = length - (length - cut) // 2
    if not own:
        return {"train": (0, cut), "val": (cut, middle), "test": (middle, length)}
    if len(own) == 2:
        return {"train": (0, length)}
    return {"train": (0, middle), "test" if own[0] == "val" else "val": (middle, length)}


def _renumbered(tokens: Ids, file: IdFile, vocabulary: Vocabulary) -> Ids:
    """Return ids of another vocabulary, which has all characters of the file."""
    if file.vocabulary == vocabulary:
        return tokens
    numbers = vocabulary.encode_text("\n" + file.vocabulary.characters)
    renumbered: Ids = numbers[tokens]
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
