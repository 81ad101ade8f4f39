"""The distinct beginnings of the lines of a batch: the rows that an LSTM computes at each step.

Shapes: B positions of all lines, T positions of the longest line, N rows.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class PrefixPlan:
    """The distinct beginnings of some lines, one row each: first those of one token, then those of two, and so on.

    The state of a recurrent network depends only on what it has read, so lines share it until they differ.
    """

    tokens: Tensor
    """(N,) integers: the last token of each beginning."""
    sizes: tuple[int, ...]
    """(T,) how many beginnings have one token, two tokens, and so on, some rows of padding included."""
    parents: tuple[Tensor | None, ...]
    """For each size but the first, (size,) integers: the row of each beginning without its last token, among those of
    the size before. None if row i continues row i."""
    inverse: Tensor
    """(B,) integers: the row of each position, one line after the other."""
