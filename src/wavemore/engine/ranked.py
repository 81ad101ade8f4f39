"""Which of many lines that were drawn to show: the best, the typical, the surprising, or varied good ones.

Lines are compared by their nats per character, the end included. It imports no torch.
"""

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from math import ceil
from statistics import median
from typing import TYPE_CHECKING, Literal

import numpy as np

from wavemore.errors import all_of, require, require_kind, whole

if TYPE_CHECKING:
    from wavemore.engine.line_source import Sample

Rank = Literal["best", "typical", "surprising"]
"""Lowest nats per character; nearest to the middle of the val lines; the most unusual ones that are still plausible."""

PER_LINE, LEAST, MOST = 50, 1_000, 50_000
"""Lines that are drawn for each one wanted, and in all, at least and at most (but twice as many as are wanted)."""
PLAUSIBLE = 95
"""Percentile of the val lines: what is less likely than that is not plausible."""
KEEPERS_TEMPERATURE = 0.8
"""At which `keepers` is given lines of any list that vary as real ones do; `docs/defaults.md` has the evidence."""
PER_KEPT, PER_KEPT_OF_MANY, MANY = 4, 2, 5_000
"""Lines that are drawn for each one that is kept, and for each of more than `MANY`."""
LINES = "lines as `generate` draws them"
BLOCK, MAX_SPARE = 1_000, 50_000
"""Lines that are kept together, and lines that are remembered if too few follow: a million need little memory."""


def pool_size(n: int) -> int:
    """Return how many lines are drawn, to choose `n` of them.

    >>> [pool_size(n) for n in (0, 1, 20, 100, 10_000, 1_000_000)]
    [0, 1000, 1000, 5000, 50000, 2000000]
    """
    return max(min(MOST, max(LEAST, PER_LINE * n)), 2 * n) if n else 0


def ranked(
    samples: Iterable["Sample"], n: int, rank: Rank, percentiles: Sequence[float] | None = None
) -> list["Sample"]:
    """Draw a pool of `pool_size(n)` lines, and return the `n` that come first in the order of `rank`.

    `samples` are those of `generate`, which is told to draw at least as many. `percentiles` are those of the nats per
    character of the val lines (`Summary.val_line_percentiles`), by default those of the pool. A line that was drawn
    twice counts once, and of lines that are equally likely, the one that was drawn first comes first. Fewer lines are
    returned if the pool has fewer. "surprising" begins with the most unusual of the plausible ones; if these are too
    few, the least unusual of the others follow.

    >>> from wavemore.engine.line_source import Sample
    >>> pool = [Sample(text, nats, new=True) for text, nats in [("ana", 8), ("xq", 12), ("anna", 5), ("ana", 8)]]
    >>> [sample.text for sample in ranked(pool, 2, "best")]
    ['anna', 'ana']
    >>> [sample.text for sample in ranked(pool, 3, "surprising", percentiles=[1.0 + k / 50 for k in range(101)])]
    ['ana', 'anna', 'xq']
    """
    n = whole(n, "n")
    require(rank in ("best", "typical", "surprising"), "rank", rank, "best, typical or surprising")
    distinct: dict[str, Sample] = {}
    for sample in _first_of(samples, pool_size(n)):
        distinct.setdefault(sample.row, sample)
    pool = list(distinct.values())
    nats = [nats_per_char(sample) for sample in pool]
    if rank == "best":
        return _first(pool, nats, n)
    if rank == "typical":
        middle = percentiles[50] if percentiles else median(nats or [0.0])
        return _first(pool, [abs(value - middle) for value in nats], n)
    limit = percentiles[PLAUSIBLE] if percentiles else float(np.percentile(nats or [0.0], PLAUSIBLE))
    return _first(pool, [-value if value <= limit else value for value in nats], n)


def keepers_pool(n: int) -> int:
    """Return how many lines `keepers` chooses `n` from.

    >>> [keepers_pool(n) for n in (0, 1, 20, 5_000, 100_000)]
    [0, 4, 80, 20000, 200000]
    """
    return n * (PER_KEPT if n <= MANY else PER_KEPT_OF_MANY)


def keepers(samples: Iterable["Sample"], n: int) -> Iterator["Sample"]:
    """Yield `n` good lines that differ as much as lines that are drawn at random do, in the order they were drawn in.

    The likeliest lines of a pool are short and begin and end alike. So these are the likeliest ones of which no more
    begin with one character, or end in the same two, than of the pool: if a tenth of it begins with b, a tenth of the
    kept ones does. What all lines have in common, such as a prefix, does not count.

    `samples` are `keepers_pool(n)` distinct lines, or fewer if there are no more; then all of them may be kept.

    >>> from wavemore.engine.line_source import Sample
    >>> pool = [Sample(text, nats, new=True) for text, nats in [("ana", 4), ("anna", 5), ("bo", 9), ("bob", 7)]]
    >>> [sample.text for sample in keepers(pool, 2)]
    ['ana', 'bob']
    """
    n = whole(n, "n")
    require_kind(samples, "samples", Iterable, LINES)
    iterator, missing, spare = iter(samples), n, deque["Sample"](maxlen=MAX_SPARE)
    while missing and (pool := _first_of(iterator, keepers_pool(n) // n * min(missing, BLOCK))):
        kept = _by_quotas(pool, min(missing, BLOCK))
        yield from (pool[number] for number in kept)
        spare.extend(pool[number] for number in sorted({*range(len(pool))} - {*kept}))
        missing -= len(kept)
    yield from islice(spare, missing)  # if there were no more lines to draw


def _first_of(samples: Iterable["Sample"], count: int) -> list["Sample"]:
    from wavemore.engine.line_source import Sample

    require_kind(samples, "samples", Iterable, LINES)
    return all_of(islice(samples, count), "samples", Sample, LINES)


def _by_quotas(pool: Sequence["Sample"], n: int) -> list[int]:
    """Choose the `n` likeliest lines within the quotas of beginnings and endings, then the likeliest of the others."""
    texts = [sample.text for sample in pool]
    before, after = _common(texts), _common([text[::-1] for text in texts])
    keys = [(text[before : before + 1], text[: len(text) - after][-2:]) for text in texts]
    quotas = [
        {key: ceil(n * count / len(pool)) for key, count in Counter(kind).items()} for kind in zip(*keys, strict=True)
    ]
    within, others = list[int](), list[int]()
    for number in sorted(range(len(pool)), key=[nats_per_char(sample) for sample in pool].__getitem__):
        fits = all(quota[key] for quota, key in zip(quotas, keys[number], strict=True))
        (within if fits else others).append(number)
        for quota, key in zip(quotas, keys[number], strict=True):
            quota[key] -= fits
    return sorted([*within, *others][:n])


def _common(texts: Sequence[str]) -> int:
    """Return the length of the beginning that all texts share."""
    first, last = min(texts), max(texts)
    return next((place for place, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(map(len, texts)))


def nats_per_char(sample: "Sample") -> float:
    """Return the mean nats of the characters of a line and of its end."""
    return sample.nats / (len(sample.text) + 1)


def _first(pool: Sequence["Sample"], keys: Sequence[float], n: int) -> list["Sample"]:
    """Return the `n` with the lowest keys, in their order; of equal ones, the first in the pool comes first."""
    return [pool[number] for number in sorted(range(len(pool)), key=keys.__getitem__)[:n]]
