"""Text that is encoded while it is read, before all of its characters are known: it is in memory once, as ids.

N characters, V distinct ones, the line feed included.
"""

import numpy as np
from numpy.typing import NDArray

from wavemore.text.vocabulary import Ids, code_points

_CHUNK = 1 << 20  # ids that are renumbered at once


class IdBuffer:
    r"""Collects a text in pieces.

    >>> buffer = IdBuffer()
    >>> buffer.add("ba\n")
    >>> buffer.add("a\n")
    >>> ids, codes = buffer.finish()
    >>> ids.tolist(), "".join(map(chr, codes))
    ([2, 1, 0, 1, 0], '\nab')
    """

    def __init__(self) -> None:
        self._codes = np.array([ord("\n")], np.uint32)  # the code point of each id, in the order of the first use
        self._ids = np.zeros(128, np.uint32)  # 1 + id of each code point; 0 if it has none yet
        self._ids[ord("\n")] = 1
        self._buffer, self._dtype = bytearray(), np.dtype(np.uint8)

    def add(self, text: str) -> None:
        """Add a piece of the text."""
        codes = code_points(text)
        if (highest := int(codes.max(initial=0))) >= len(self._ids):
            self._ids = np.append(self._ids, np.zeros(highest + 1 - len(self._ids), np.uint32))
        if not (ids := self._ids.take(codes)).all():
            new = np.unique(codes[ids == 0])
            self._ids[new] = np.arange(len(new)) + len(self._codes) + 1
            self._codes = np.append(self._codes, new)
            self._widen()
            ids = self._ids.take(codes)
        self._buffer += (ids - np.uint32(1)).astype(self._dtype).data

    def _widen(self) -> None:
        """Give the ids a larger type if there are more than it holds."""
        dtype = np.min_scalar_type(len(self._codes) - 1)
        if dtype != self._dtype:
            ids = np.frombuffer(self._buffer, self._dtype).astype(dtype)
            self._buffer, self._dtype = bytearray(ids.data), dtype

    def finish(self) -> tuple[Ids, NDArray[np.uint32]]:
        """Return the ids, (N,), and their code points, (V,): the line feed, then the others in ascending order."""
        order = np.append(0, 1 + np.argsort(self._codes[1:]))
        rank = np.empty(len(order), self._dtype)
        rank[order] = np.arange(len(order))
        ids: Ids = np.frombuffer(self._buffer, self._dtype)
        for start in range(0, len(ids), _CHUNK):
            ids[start : start + _CHUNK] = rank[ids[start : start + _CHUNK]]
        return ids, self._codes[order]
