"""The parts of a split: flat token ids, each of which is a target, and the contexts before them.

The ids of a list are those of the first line, a boundary, the second line, a boundary, and so on. The ids of a text are
those of its characters, with the boundary for line feeds. Legend: `N` targets, `B` positions, `T` ids of a context.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary

Format = Literal["lines", "text"]
"""How a file is read: as one item per line, or as one continuous text."""

MAX_BLOCKS, MIN_BLOCK = 30, 100
"""The most blocks of a text that count as independent, and the fewest characters of one."""


class Part(ABC):
    """One part of a split: flat token ids (N,), each of which is a target."""

    format: ClassVar[Format]
    tokens: Ids
    vocabulary: Vocabulary | None
    """What the ids mean, so that no model with another vocabulary predicts them; None if it is not known."""

    @property
    def num_targets(self) -> int:
        """The number of targets: all characters, and for a list the end of every line."""
        return len(self.tokens)

    @property
    def leak_free_targets(self) -> NDArray[np.bool_]:
        """Whether each target belongs to a line that train does not contain, (N,); all false for a text."""
        return np.zeros(self.num_targets, np.bool_)

    @abstractmethod
    def as_lines(self, vocabulary: Vocabulary) -> "LinePart":
        """Return the part line by line; characters of a text after its last line end are left out."""

    @abstractmethod
    def units(self) -> NDArray[np.int64]:
        """Return the number of the unit of each target, (N,): units are pieces of the data that count as independent.

        Those of a list are its distinct lines, as copies of a line have the same loss. Those of a text are at most 30
        blocks of at least 100 characters, as lines that follow each other are alike.
        """

    @abstractmethod
    def head(self, count: int) -> "Part":
        """Return the beginning with at most `count` targets; for a list, whole lines and at least one."""

    @abstractmethod
    def tail(self, count: int) -> "Part":
        """Return the end with at most `count` targets; for a list, whole lines and at least one."""


@dataclass(frozen=True, eq=False)
class LinePart(Part):
    """Lines of a list. `tokens` are the ids of each line followed by `BOUNDARY`, (N,).

    >>> tokens = Vocabulary("ab").encode_text("ab\\nba\\na\\n")
    >>> part = LinePart(Lines.from_iterable(["ab", "ba", "a"]), tokens, np.array([True, False, True]))
    >>> list(part.head(6).lines), list(part.tail(4).lines), part.leak_free_targets.astype(int).tolist()
    (['ab', 'ba'], ['a'], [1, 1, 1, 0, 0, 0, 1, 1])
    """

    format: ClassVar[Format] = "lines"

    lines: Lines
    tokens: Ids
    leak_free: NDArray[np.bool_]
    """Whether train does not contain the line; all false for train itself."""
    vocabulary: Vocabulary | None = None

    @property
    def leak_free_targets(self) -> NDArray[np.bool_]:
        """Whether each target belongs to a line that train does not contain, (N,)."""
        return np.repeat(self.leak_free, self.lines.lengths + 1)

    def as_lines(self, vocabulary: Vocabulary) -> "LinePart":
        """Return the part itself."""
        return self

    def units(self) -> NDArray[np.int64]:
        """Return the number of the distinct line of each target, (N,).

        >>> part = LinePart(Lines.from_iterable(["b", "a", "b"]), np.array([2, 0, 1, 0, 2, 0]), np.zeros(3, np.bool_))
        >>> part.units().tolist() in ([0, 0, 1, 1, 0, 0], [1, 1, 0, 0, 1, 1])
        True
        """
        _, lines = np.unique(self.lines.hashes(), return_inverse=True)
        return np.repeat(lines.astype(np.int64), self.lines.lengths + 1)

    def head(self, count: int) -> "LinePart":
        """Return the first lines with at most `count` targets together, but at least one line."""
        stop = int(np.searchsorted(self.lines.offsets, count, side="right")) - 1
        return self._between(0, max(1, stop))

    def tail(self, count: int) -> "LinePart":
        """Return the last lines with at most `count` targets together, but at least one line."""
        start = int(np.searchsorted(self.lines.offsets, self.num_targets - count, side="left"))
        return self._between(max(0, min(start, len(self.lines) - 1)), len(self.lines))

    def _between(self, start: int, stop: int) -> "LinePart":
        if start == 0 and stop >= len(self.lines):
            return self
        offsets = self.lines.offsets  # the same as those of the tokens
        tokens = self.tokens[offsets[start] : offsets[stop]]
        return LinePart(self.lines[start:stop], tokens, self.leak_free[start:stop], self.vocabulary)


@dataclass(frozen=True, eq=False)
class TextPart(Part):
    """A stretch of a text: the ids of its characters (N,), mapped from a file. No context reaches before its start."""

    format: ClassVar[Format] = "text"

    tokens: Ids
    vocabulary: Vocabulary | None = None

    def as_lines(self, vocabulary: Vocabulary) -> LinePart:
        r"""Return the text line by line, blank lines included. The whole text is then in memory.

        Characters after the last line end are left out, and no line counts as leak-free.

        >>> tokens = Vocabulary("ab").encode_text("ab\n\nba\na")
        >>> part = TextPart(tokens).as_lines(Vocabulary("ab"))
        >>> list(part.lines), part.num_targets
        (['ab', '', 'ba'], 7)
        """
        ends = np.flatnonzero(self.tokens == BOUNDARY)
        tokens = self.tokens[: int(ends[-1]) + 1 if len(ends) else 0]
        lines = Lines(vocabulary.decode_text(tokens), np.diff(ends, prepend=-1) - 1)
        return LinePart(lines, tokens, np.zeros(len(lines), np.bool_), vocabulary)

    def units(self) -> NDArray[np.int64]:
        """Return the number of the block of each target, (N,).

        >>> np.bincount(TextPart(np.zeros(250, np.uint8)).units()).tolist()
        [125, 125]
        """
        blocks = max(1, min(MAX_BLOCKS, self.num_targets // MIN_BLOCK))
        return np.arange(self.num_targets, dtype=np.int64) * blocks // self.num_targets

    def head(self, count: int) -> "TextPart":
        """Return the first `count` characters, or all if there are fewer."""
        return TextPart(self.tokens[:count], self.vocabulary)

    def tail(self, count: int) -> "TextPart":
        """Return the last `count` characters, or all if there are fewer."""
        return TextPart(self.tokens[max(0, self.num_targets - count) :], self.vocabulary)


def windows(tokens: Ids, positions: NDArray[np.integer[Any]], context: int) -> Ids:
    """Return the `context` ids before each position: tokens (N,) and positions (B,) -> (B, T).

    A context does not reach into the previous line: the nearest boundary and all ids before it are `BOUNDARY`, and so
    are ids before the first one. Positions are 0 to N, N included. Raises `UsageError` for a context shorter than 1.

    >>> tokens = Vocabulary("abc").encode_text("abc\\nba\\n")
    >>> windows(tokens, np.arange(7), context=3).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3], [0, 0, 0], [0, 0, 2], [0, 2, 1]]
    """
    if context < 1:
        raise UsageError(f"`context` is {context}; it must be at least 1")
    indices = np.asarray(positions, np.int64)[:, None] + np.arange(-context, 0)  # (B, T)
    ids: Ids = tokens[np.maximum(indices, 0)]
    ids[indices < 0] = BOUNDARY
    # True from the newest id back to the nearest boundary, false from there on.
    in_line = np.logical_and.accumulate(ids[:, ::-1] != BOUNDARY, axis=1)[:, ::-1]
    ids[~in_line] = BOUNDARY
    return ids
