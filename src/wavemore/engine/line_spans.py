"""The lines in flat token ids, each line followed by a boundary.

Shapes: N targets of a part, L lines, B positions of targets.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavemore.text.arrays import ranges
from wavemore.text.parts import LinePart
from wavemore.text.vocabulary import BOUNDARY, Ids

_PIECE = 1 << 20  # tokens that are looked at together


class LineSpans(NamedTuple):
    """The first position of each line and its number of targets, the end of the line included: (L,) each."""

    starts: NDArray[np.int64]
    lengths: NDArray[np.integer[Any]]

    @classmethod
    def of(cls, tokens: Ids) -> "LineSpans":
        """Find the lines in flat ids, (N,)."""
        pieces = range(0, len(tokens), _PIECE)
        ends = np.concatenate([start + np.flatnonzero(tokens[start : start + _PIECE] == BOUNDARY) for start in pieces])
        starts = np.concatenate(([0], ends[:-1] + 1))
        return cls(starts, (ends - starts + 1).astype(np.int32))

    def positions(self, lines: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return the positions of all targets of some lines, one line after the other: (L,) -> (B,)."""
        return ranges(self.starts[lines], self.lengths[lines])


def positions_in_line(tokens: Ids) -> NDArray[np.int64]:
    """Return the position of every target in its line, from 0: (N,).

    >>> positions_in_line(np.array([5, 6, 0, 7, 0], dtype=np.uint8)).tolist()
    [0, 1, 2, 0, 1]
    """
    starts, lengths = LineSpans.of(tokens)
    return np.subtract(np.arange(len(tokens)), np.repeat(starts, lengths))


def line_sums(part: LinePart, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the values of the targets of each line: (N,) -> (L,)."""
    sums: NDArray[np.float64] = np.add.reduceat(values, LineSpans.of(part.tokens).starts)
    return sums
