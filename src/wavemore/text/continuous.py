"""Continuous text: one long stretch of characters instead of a list, its line feeds characters like any other.

The ids lie flat, as those of a list do, and id 0 is the line feed. It is also what stands before the first character
of a text, as if a page began there. Legend: `N` characters of a part.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavemore.errors import DataError, UsageError
from wavemore.text.corpus import Part
from wavemore.text.id_file import encode
from wavemore.text.lines import Lines, counted
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary

SHARE = 0.9
"""Of a text that is trained on, its beginning; the rest is for validation."""

LEAST = 100
"""Characters that each part has at least: fewer say nothing about a model."""


@dataclass(frozen=True)
class StreamReport:
    """What was found while a text was read.

    >>> print(StreamReport(characters=1_115_394, alphabet=65, line_feeds=40_000))
    1,115,394 characters of 65 kinds, 40,000 line ends
    """

    characters: int
    """Line feeds included."""
    alphabet: int
    """Distinct characters, the line feed included where there is one."""
    line_feeds: int

    def __str__(self) -> str:
        return (
            f"{counted(self.characters, 'character')} of {counted(self.alphabet, 'kind')}, "
            f"{counted(self.line_feeds, 'line end')}"
        )


@dataclass(frozen=True, eq=False)
class StreamPart:
    """One side of a text: its ids (N,), mapped from a file. It stands for itself: before it is nothing."""

    tokens: Ids

    @property
    def targets(self) -> int:
        """The number of targets: every character is one."""
        return len(self.tokens)

    def as_lines(self, vocabulary: Vocabulary) -> Part:
        r"""The same targets as those of lines, for whoever looks at lines: the text is then in memory.

        A last line without an end is left out, and none is said to be in train.

        >>> tokens = Vocabulary("ab").encode_text("ab\n\nba\na")
        >>> part = StreamPart(tokens).as_lines(Vocabulary("ab"))
        >>> list(part.lines), part.targets
        (['ab', '', 'ba'], 7)
        """
        ends = np.flatnonzero(self.tokens == BOUNDARY)
        tokens = self.tokens[: int(ends[-1]) + 1 if len(ends) else 0]
        lines = Lines(vocabulary.decode_text(tokens), np.diff(ends, prepend=-1) - 1)
        return Part(lines, tokens, np.ones(len(lines), np.bool_))


@dataclass(frozen=True, eq=False)
class TextStream:
    """A text with its split and its vocabulary, which knows the characters of both parts.

    `source` is the absolute path of the file, `sha256` of its bytes. `share` of the text, from its beginning, is
    `train`; the rest is `val`. There is no test part: give a third text of its own where one is needed.
    """

    name: str
    source: str
    sha256: str
    encoding: str
    share: float
    report: StreamReport
    vocabulary: Vocabulary
    train: StreamPart
    val: StreamPart


def load_stream(
    path: str | Path, *, share: float = SHARE, encoding: str = "utf-8", name: str = "", cache: Path | None = None
) -> TextStream:
    r"""Read, split and encode a text file of any size; what is in memory is a piece of it at a time.

    The ids are kept in `cache` (without one: in the user's cache folder) and found there the next time. Raises
    `DataError` for a file that cannot be read (see `encoding.encode`) or is too short to split, and `UsageError` for an
    unknown encoding or a share that leaves nothing.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "text.txt"
    ...     _ = path.write_text("to be or not to be\n" * 100)
    ...     stream = load_stream(path, cache=Path(folder))
    ...     print(stream.report)
    ...     stream.train.targets, stream.val.targets, stream.vocabulary.decode_text(stream.val.tokens[:8])
    1,900 characters of 8 kinds, 100 line ends
    (1710, 190, 'to be or')
    """
    if not 0 < share < 1:
        raise UsageError(f"the share of the text to train on is {share}; it must be above 0 and below 1")
    path = Path(path)
    found = encode(path, encoding, cache or _cache())
    count = len(found.tokens)
    cut = int(share * count)
    for part, size in (("train", cut), ("val", count - cut)):
        if size < LEAST:
            raise DataError(
                f"{path}: of {counted(count, 'character')} the {part} part has {size}, too few to say anything "
                f"(at least {LEAST}); give more text" + (", or another --split-share" if count >= 2 * LEAST else "")
            )
    return TextStream(
        name=name or path.stem,
        source=str(path.absolute()),
        sha256=found.sha256,
        encoding=encoding,
        share=share,
        report=StreamReport(count, len(found.vocabulary) - (found.line_feeds == 0), found.line_feeds),
        vocabulary=found.vocabulary,
        train=StreamPart(found.tokens[:cut]),
        val=StreamPart(found.tokens[cut:]),
    )


def _cache() -> Path:
    import platformdirs  # only here: a cache that is given needs it not

    return Path(platformdirs.user_cache_dir("wavemore")) / "streams"
