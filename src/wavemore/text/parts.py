"""The parts of a split: flat token ids, each of which is a target, and the contexts before them.

The ids of a list are those of the first line, a boundary, the second line, a boundary, and so on. The ids of a text are
those of its characters, with the boundary for line feeds. Legend: `N` targets, `B` positions, `T` ids of a context.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import UsageError
from wavemore.text.arrays import distinct, ranges
from wavemore.text.labels import LabelColumn
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import BOUNDARY, Ids, Vocabulary

Format = Literal["lines", "text"]
"""How a file is read: as one item per line, or as one continuous text."""

MAX_BLOCKS, MIN_BLOCK = 30, 100
"""The most blocks of a text that count as independent, and the fewest characters of one."""
SAMPLE_PIECES = 10
"""The most pieces of a text that a sample is made of."""


class Part(ABC):
    """One part of a split: flat token ids (N,), each of which is a target."""

    format: ClassVar[Format]
    tokens: Ids
    vocabulary: Vocabulary | None
    """What the ids mean, so that no model with another vocabulary predicts them; None if it is not known."""

    @property
    def labels(self) -> LabelColumn | None:
        """The label of each line; None if they have none."""
        return None

    @property
    def num_targets(self) -> int:
        """The number of targets: all characters, and for a list the end of every line."""
        return len(self.tokens)

    @property
    @abstractmethod
    def segments(self) -> NDArray[np.integer[Any]]:
        """Where each of S segments begins, and where the last one ends, (S + 1,).

        Those of a list are its lines. Those of a text are at most 30 blocks of at least 100 characters.
        """

    @property
    @abstractmethod
    def segment_units(self) -> NDArray[np.int64]:
        """The number of the unit of each segment, (S,): units are pieces of the data that count as independent.

        Those of a list are its distinct lines, as copies of a line have the same loss. Those of a text are its blocks,
        as lines that follow each other are alike.
        """

    @property
    def leak_free_segments(self) -> NDArray[np.bool_]:
        """Whether each segment is a line that train does not contain, (S,); all false for train and for a text."""
        return np.zeros(len(self.segments) - 1, np.bool_)

    @property
    def segment_weights(self) -> NDArray[np.int64] | None:
        """How often each segment counts, (S,); None if each counts once."""
        return None

    def target_weights(self) -> NDArray[np.int64] | None:
        """Return how often each target counts, (N,); None if each counts once."""
        weights = self.segment_weights
        return None if weights is None else np.repeat(weights, np.diff(self.segments))

    @property
    def leak_free_targets(self) -> NDArray[np.bool_]:
        """Whether each target belongs to a line that train does not contain, (N,)."""
        return np.repeat(self.leak_free_segments, np.diff(self.segments))

    def units(self) -> NDArray[np.int64]:
        """Return the number of the unit of each target, (N,)."""
        return np.repeat(self.segment_units, np.diff(self.segments))

    def batches(self, model: Any, **settings: Any) -> Any:
        """Make batches for a loop of your own, as `wavemore.batches` does."""
        import wavemore  # torch and models are above this package, which knows neither

        return wavemore.batches(self, model, **settings)

    @abstractmethod
    def as_lines(self, vocabulary: Vocabulary) -> "LinePart":
        """Return the part line by line; characters of a text after its last line end are left out."""

    @abstractmethod
    def sample(self, count: int) -> "Part":
        """Return a typical part of about `count` targets, always the same one; the part itself if it has no more.

        That of a list are random lines, at least one; that of a text are pieces at equal distances.
        """

    @abstractmethod
    def tail(self, count: int) -> "Part":
        """Return the end with at most `count` targets; for a list, whole lines and at least one."""


@dataclass(frozen=True, eq=False)
class LinePart(Part):
    """Lines of a list. `tokens` are the ids of each line followed by `BOUNDARY`, (N,).

    >>> tokens = Vocabulary("ab").encode_text("ab\\nba\\na\\n")
    >>> part = LinePart(Lines.from_iterable(["ab", "ba", "a"]), tokens, np.array([True, False, True]))
    >>> list(part.sample(6).lines), list(part.tail(4).lines), part.leak_free_targets.astype(int).tolist()
    (['ab', 'a'], ['a'], [1, 1, 1, 0, 0, 0, 1, 1])
    """

    format: ClassVar[Format] = "lines"

    lines: Lines
    tokens: Ids
    leak_free: NDArray[np.bool_]
    """Whether train does not contain the line; all false for train itself."""
    vocabulary: Vocabulary | None = None

    @property
    def labels(self) -> LabelColumn | None:
        """Those of the lines."""
        return self.lines.labels

    @property
    def segments(self) -> NDArray[np.integer[Any]]:
        """Where each line begins."""
        return self.lines.offsets  # the same as those of the tokens

    @property
    def segment_units(self) -> NDArray[np.int64]:
        """The number of the distinct line of each line.

        >>> part = LinePart(Lines.from_iterable(["b", "a", "b"]), np.array([2, 0, 1, 0, 2, 0]), np.zeros(3, np.bool_))
        >>> part.segment_units.tolist() in ([0, 1, 0], [1, 0, 1])
        True
        """
        hashes = self.lines.hashes()
        return np.searchsorted(distinct(hashes), hashes)

    @property
    def segment_weights(self) -> NDArray[np.int64] | None:
        """How often each line occurs."""
        return self.lines.counts

    @property
    def leak_free_segments(self) -> NDArray[np.bool_]:
        """The same as `leak_free`."""
        return self.leak_free

    def as_lines(self, vocabulary: Vocabulary) -> "LinePart":
        """Return the part itself."""
        return self

    def sample(self, count: int) -> "LinePart":
        """Return random lines in their order, with at most `count` targets together, but at least one line."""
        if self.num_targets <= count:
            return self
        order = np.random.default_rng(0).permutation(len(self.lines))
        ends = np.cumsum(self.lines.lengths[order] + 1, dtype=np.int64)
        return self._take(np.sort(order[: max(1, np.searchsorted(ends, count, side="right"))]))

    def tail(self, count: int) -> "LinePart":
        """Return the last lines with at most `count` targets together, but at least one line."""
        if self.num_targets <= count:
            return self
        start = int(np.searchsorted(self.segments, self.num_targets - count, side="left"))
        return self._take(np.arange(min(start, len(self.lines) - 1), len(self.lines)))

    def labelled(self, names: tuple[str, ...], number: int) -> "LinePart":
        """Return the same lines, all of them with one of some labels."""
        return replace(
            self, lines=self.lines.with_labels(LabelColumn(names, np.full(len(self.lines), number, np.uint16)))
        )

    def _take(self, numbers: NDArray[np.int64]) -> "LinePart":
        tokens = self.tokens[ranges(self.segments[numbers], self.lines.lengths[numbers] + 1)]
        return LinePart(self.lines.take(numbers), tokens, self.leak_free[numbers], self.vocabulary)


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
        lines = Lines(tokens, np.diff(ends, prepend=-1) - 1, vocabulary.codes)
        return LinePart(lines, tokens, np.zeros(len(lines), np.bool_), vocabulary)

    @property
    def segments(self) -> NDArray[np.int64]:
        """Where each block begins.

        >>> TextPart(np.zeros(350, np.uint8)).segments.tolist()
        [0, 117, 234, 350]
        """
        blocks = max(1, min(MAX_BLOCKS, self.num_targets // MIN_BLOCK))
        return -(-np.arange(blocks + 1) * self.num_targets // blocks)

    @property
    def segment_units(self) -> NDArray[np.int64]:
        """Each block is a unit."""
        return np.arange(len(self.segments) - 1)

    def sample(self, count: int) -> "TextPart":
        """Return the beginnings of equal blocks, `count` characters together.

        >>> TextPart(np.arange(20_000)).sample(10_000).tokens[[0, 999, 1_000, -1]].tolist()
        [0, 999, 2000, 18999]
        """
        if self.num_targets <= count:
            return self
        blocks = max(1, min(SAMPLE_PIECES, count // MIN_BLOCK))
        starts = np.arange(blocks) * self.num_targets // blocks
        pieces = [self.tokens[start : start + count // blocks] for start in starts]
        return TextPart(np.concatenate(pieces), self.vocabulary)

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
