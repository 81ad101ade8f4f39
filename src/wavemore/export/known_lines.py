"""The lines of the data as a Bloom filter: the page can tell that a line is new without holding any line.

Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", https://doi.org/10.1145/362686.362692. A known line
is always found. With 10 bits per line and 7 positions, a new line is taken for a known one in 0.8 % of cases, and the
page then draws another.
"""

import numpy as np
from numpy.typing import NDArray

BITS_PER_LINE, POSITIONS = 10, 7


def bloom_filter(hashes: NDArray[np.uint64]) -> NDArray[np.uint8]:
    """Return the filter of N hashes; bit b is bit b % 8 of byte b // 8.

    The positions of a hash are (low + i * high) modulo the number of bits, for its lower and upper 32 bits.

    >>> bloom_filter(np.array([5], np.uint64)).sum()
    np.uint64(32)
    """
    size = 8 * max(8, -(-len(hashes) * BITS_PER_LINE // 8))  # bits
    low, high = hashes & np.uint64(2**32 - 1), hashes >> np.uint64(32)
    bits = np.zeros(size, np.uint8)
    for i in range(POSITIONS):
        bits[(low + np.uint64(i) * high) % np.uint64(size)] = 1
    return np.packbits(bits, bitorder="little")
