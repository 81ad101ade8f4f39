"""A corpus of one continuous text, in which line feeds are characters like any other.

The boundary token is the line feed. The context before the first character is boundaries, as if a new line began.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.corpus import Corpus
from wavemore.text.id_file import open_ids
from wavemore.text.lines import TextReport, pluralize
from wavemore.text.parts import Format, TextPart
from wavemore.text.splits import MIN_DISTINCT, SplitMethod

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
    extra_characters: str = "",
) -> TextCorpus:
    """Read, split and encode a text file of any size, of which only one piece is in memory at a time.

    The vocabulary has the characters of the text and `extra_characters`. The ids are kept in the folder `cache`
    (default: the user's cache folder) for the next time. Raises `DataError` for a file that cannot be read (see
    `id_file.open_ids`) or is too short to split, and `UsageError` for an unknown encoding or a `train_fraction` that is
    not between 0 and 1.
    """
    if not 0 < train_fraction < 1:
        raise UsageError(f"`train_fraction` is {train_fraction}; it must be above 0 and below 1")
    if cache is None:
        import platformdirs  # only needed here

        cache = Path(platformdirs.user_cache_dir("wavemore")) / "texts"
    ids = open_ids(path, encoding, cache, cleaning, extra_characters)
    length = len(ids.tokens)
    cut = int(train_fraction * length)
    middle = length - (length - cut) // 2
    for part, size in (("train", cut), ("val", middle - cut), ("test", length - middle)):
        if size < MIN_PART_LENGTH:
            is_default = train_fraction == TRAIN_FRACTION
            advice = (
                f"give a text of {10 * MIN_PART_LENGTH:,} characters or more" if is_default else "give a longer text"
            )
            if length > 3 * MIN_PART_LENGTH:
                advice += ", or another `train_fraction`"
            if ids.report.line_feeds >= MIN_DISTINCT:
                advice += ", or set `format` to lines if it is a list"
            raise DataError(
                f"{path}: too short: its {part} part would have {pluralize(size, 'character')} and needs "
                f"{MIN_PART_LENGTH}; {advice}"
            )
    return TextCorpus(
        name=name or path.stem,
        source=str(path.absolute()),
        sha256=ids.sha256,
        encoding=ids.encoding,
        train_fraction=train_fraction,
        report=ids.report,
        vocabulary=ids.vocabulary,
        extra_characters=ids.extra_characters,
        train=TextPart(ids.tokens[:cut], ids.vocabulary),
        val=TextPart(ids.tokens[cut:middle], ids.vocabulary),
        test=TextPart(ids.tokens[middle:], ids.vocabulary),
    )
