"""The n-gram by which the page looks ahead for its wishes, estimated from what the model predicts.

engine/lookahead.py says what it is for. The page chooses a context for each set of wishes, so it gets the n-grams of
0, 1 and, with few characters, 2 characters of context.
"""

import numpy as np

from wavemore.engine.line_source import LineSource
from wavemore.engine.lookahead import NextCounts
from wavemore.engine.sampling import Sampling
from wavemore.export.packing import Packer
from wavemore.nn.model import Model
from wavemore.text.vocabulary import Vocabulary

MAX_VALUES = 2**15
"""Numbers of the largest n-gram."""
MAX_LENGTH = 200
"""The longest line that is drawn; the chance of an end in a longer one is that at this length."""


def count_next(model: Model, vocabulary: Vocabulary, temperature: float, longest: int) -> NextCounts:
    """Return what a model predicts after each context of lines that it draws."""
    size = len(vocabulary)
    k = max(k for k in range(3) if k == 0 or size ** (k + 1) <= MAX_VALUES)
    sampling = Sampling(temperature=temperature, max_length=min(2 * longest, MAX_LENGTH))
    return LineSource(model, vocabulary, sampling, np.zeros(0, np.uint64)).count(k)


def shorter(counts: NextCounts) -> NextCounts:
    """Return the same counts for contexts without their oldest character."""
    size, length = counts.vocabulary_size, len(counts.ends)
    result = NextCounts(counts.k - 1, size, length - 1)
    result.sums = counts.sums.view(size, -1, size).sum(dim=0)
    result.visits = counts.visits.view(length, size, -1).sum(dim=1)
    result.ends = counts.ends
    return result


def describe_lookahead(counts: NextCounts, packer: Packer) -> list[dict[str, int]]:
    """Return the n-grams from the longest context to none: `p` (C, V), and the `ratios` of the ends at each length."""
    levels = [counts]
    while levels[-1].k:
        levels.append(shorter(levels[-1]))
    result = []
    for level in levels:
        p = level.probabilities()
        result.append(
            {
                "k": level.k,
                "p": packer.probabilities(p.flatten().numpy()),
                "ratios": packer.vector(level.end_ratios(p)[None]),
            }
        )
    return result
