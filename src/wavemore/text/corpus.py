"""The corpus: lines that are read, split and encoded, and the contexts that stand before each target.

The ids of a part lie flat: the characters of a line, a boundary, the next line. Each of these ids is a
target. Legend: `N` targets, `B` positions, `T` ids of a context.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError
from wavemore.text.lines import Lines, Report, collect
from wavemore.text.splits import SplitName
from wavemore.text.splits import split as split_lines
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary


@dataclass(frozen=True, eq=False)
class Part:
    """One side of a split.

    `tokens` are the flat ids (N,), each line followed by `BOUNDARY`. `leak_free` is true for every line that
    train does not hold, so it is false for all lines of train itself.
    """

    lines: Lines
    tokens: Ids
    leak_free: NDArray[np.bool_]

    @property
    def targets(self) -> int:
        """The number of targets: all characters, and the end of every line."""
        return len(self.tokens)

    @property
    def leak_free_targets(self) -> NDArray[np.bool_]:
        """Whether each target belongs to a line that train does not hold, (N,)."""
        return np.repeat(self.leak_free, self.lines.lengths + 1)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Lines with their split and their vocabulary, which knows the characters of all parts.

    `source` is the absolute path of the file, empty where there is none; `sha256` is of the bytes of the
    file, or of the lines, each ended by a line feed, in UTF-8. `line_hashes` are the sorted distinct hashes
    of all lines.

    >>> corpus = Corpus.from_lines("ada bea cleo dora ella fay gwen hope iris june".split())
    >>> len(corpus.train.lines), len(corpus.val.lines), len(corpus.test.lines)
    (8, 1, 1)
    >>> corpus.val.targets == len(corpus.val.lines[0]) + 1
    True
    """

    name: str
    source: str
    sha256: str
    encoding: str
    split: SplitName
    split_seed: int
    report: Report
    vocabulary: Vocabulary
    train: Part
    val: Part
    test: Part
    line_hashes: NDArray[np.uint64]

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[str],
        name: str = "lines",
        split: SplitName = "distinct",
        split_seed: int = 0,
        vocabulary: Vocabulary | None = None,
    ) -> "Corpus":
        """Make a corpus of any lines, stripped and without blank ones, as a file would be read.

        Without a `vocabulary`, it is made of the characters of all lines. Raises `DataError` for too few
        lines or lines that are too long, and `UnknownCharacterError` for a character that a given vocabulary
        does not hold.

        >>> lines = [f"{number} bis" for number in range(20)]
        >>> Corpus.from_lines(lines, split="lecture").vocabulary
        Vocabulary(' 0123456789bis')
        """
        gathered, report = collect(lines)
        sha256 = hashlib.sha256(gathered.text.encode("utf-8", "surrogatepass")).hexdigest()
        return build_corpus(
            gathered,
            report,
            name=name,
            sha256=sha256,
            split=split,
            split_seed=split_seed,
            vocabulary=vocabulary,
        )


def build_corpus(
    lines: Lines,
    report: Report,
    *,
    name: str,
    sha256: str,
    source: str = "",
    encoding: str = "utf-8",
    split: SplitName = "distinct",
    split_seed: int = 0,
    vocabulary: Vocabulary | None = None,
) -> Corpus:
    """Split and encode lines that were read; the other values are kept as they are.

    Raises `DataError` for too few lines, and `UnknownCharacterError` as `Corpus.from_lines` does.
    """
    train_lines, val_lines, test_lines = (lines.take(indices) for indices in split_lines(lines, split, split_seed))
    vocabulary = vocabulary or Vocabulary(set(lines.text) - {"\n"})
    train_hashes = train_lines.hashes()

    def part(of: Lines) -> Part:
        return Part(of, vocabulary.encode_text(of.text), ~np.isin(of.hashes(), train_hashes))

    return Corpus(
        name=name,
        source=source,
        sha256=sha256,
        encoding=encoding,
        split=split,
        split_seed=split_seed,
        report=report,
        vocabulary=vocabulary,
        train=part(train_lines),
        val=part(val_lines),
        test=part(test_lines),
        line_hashes=np.unique(lines.hashes()),
    )


def windows(tokens: Ids, positions: NDArray[np.integer[Any]], context: int) -> Ids:
    """Return the `context` ids before each of the flat positions: (N,) and (B,) -> (B, T).

    A context never reaches into the line before: the nearest boundary and all ids before it are `BOUNDARY`,
    and so is what would lie before the first id. A position may be any from 0 to N, N included. Raises
    `UsageError` for a context shorter than 1.

    >>> tokens = Vocabulary("abc").encode_text("abc\\nba\\n")
    >>> windows(tokens, np.arange(7), context=3).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 2], [0, 2, 1]]
    """
    if context < 1:
        raise UsageError(f"a context of {context} is too short; give at least 1")
    places = np.asarray(positions, np.int64)[:, None] + np.arange(-context, 0)  # (B, T)
    ids: Ids = tokens[np.maximum(places, 0)]
    ids[places < 0] = BOUNDARY
    # From the newest id to the oldest: alive until the first boundary, and not again after it.
    alive = np.logical_and.accumulate(ids[:, ::-1] != BOUNDARY, axis=1)[:, ::-1]
    ids[~alive] = BOUNDARY
    return ids
