"""Labels of the items of a list: a language, a category, or whatever a column says about each of them.

Shapes: N items, K labels.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wavemore.errors import DataError, UsageError
from wavemore.signs import visible

MAX_LABELS = 1_000
"""The most labels: a column with more different values has items, or numbers."""
MAX_LABEL_LENGTH = 100
"""The most characters of a label."""
_SHOWN = 10  # labels that an error names
_SURROGATE = re.compile("[\ud800-\udfff]")

Numbers = NDArray[np.unsignedinteger[Any]]


def tidy(label: str) -> str:
    r"""Return a label as it is kept: without spaces around it, and with single ones for any white space within.

    >>> tidy(" New\n Zealand ")
    'New Zealand'
    """
    return " ".join(label.split())


@dataclass(frozen=True)
class Labels:
    """The distinct labels of a list in alphabetical order, and how many items of the train part have each.

    Raises `DataError` for labels that are not sorted and distinct, empty, too long or too many.

    >>> labels = Labels(("de", "fi"), (20, 60))
    >>> labels.number("fi"), labels.shares.tolist()
    (1, [0.25, 0.75])
    >>> labels.number("sv")
    Traceback (most recent call last):
    wavemore.errors.UsageError: `label` is 'sv'; the data has de, fi
    """

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names, counts = self.names, self.counts
        fits = len(names) == len(counts) <= MAX_LABELS and all(0 < len(name) <= MAX_LABEL_LENGTH for name in names)
        is_text = all(name == tidy(name) and not _SURROGATE.search(name) for name in names)
        if not fits or not is_text or list(names) != sorted(set(names)):
            raise DataError("labels must be distinct, in alphabetical order, short, and as many as their counts")
        if names and (min(counts) < 0 or not 0 < sum(counts) < 2**53):
            raise DataError("the counts of labels must be whole numbers of items, at least one together")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The fraction of the items of train that have each label, (K,)."""
        counts = np.array(self.counts, np.float64)
        shares: NDArray[np.float64] = counts / counts.sum()
        return shares

    def number(self, name: str) -> int:
        """Return the number of a label, from 0. Raises `UsageError` for one that the data does not have."""
        if not self.names:
            raise UsageError("`label` is for models of items with labels, and this one has none: leave it out")
        if tidy(name) not in self.names:
            more = f", and {len(self) - _SHOWN:,} more" if len(self) > _SHOWN else ""
            raise UsageError(f"`label` is {name[:80]!r}; the data has {', '.join(self.names[:_SHOWN])}{more}")
        return self.names.index(tidy(name))


NO_LABELS = Labels()
"""Those of data without labels."""


class LabelColumn(NamedTuple):
    """The label of each of N items, as its number among the distinct ones."""

    names: tuple[str, ...]
    """In alphabetical order."""
    numbers: Numbers
    """(N,)"""

    def take(self, indices: NDArray[np.integer[Any]]) -> "LabelColumn":
        """Return the labels of some items."""
        return LabelColumn(self.names, self.numbers[indices])

    def known_to(self, names: tuple[str, ...]) -> NDArray[np.bool_]:
        """Whether the label of each item is one of some names, (N,)."""
        return np.array([name in names for name in self.names], np.bool_)[self.numbers]

    def numbered_as(self, names: tuple[str, ...]) -> "LabelColumn":
        """Return the same labels as numbers among other names. Raises `DataError` for a label that is not there.

        >>> LabelColumn(("b",), np.array([0, 0])).numbered_as(("a", "b")).numbers.tolist()
        [1, 1]
        """
        places = {name: number for number, name in enumerate(names)}
        numbers = np.array([places.get(name, -1) for name in self.names], np.int64)[self.numbers]
        if (numbers < 0).any():
            unknown = self.names[self.numbers[(numbers < 0).argmax()]]
            raise DataError(f"the label {visible(unknown)} is not one of {', '.join(map(visible, names[:_SHOWN]))}")
        return LabelColumn(names, numbers.astype(np.uint16))


class LabelCollector:
    """Collects the labels of items, some thousand at a time, as numbers."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._pieces: list[NDArray[np.uint16]] = []

    def add(self, labels: Sequence[str]) -> None:
        """Add the labels of some items. Raises `DataError` for a label that is too long, or one too many."""
        for label in labels:
            if label in self._numbers:
                continue
            if len(label) > MAX_LABEL_LENGTH:
                raise DataError(
                    f"the label {visible(label[:30])}... has {len(label):,} characters, more than {MAX_LABEL_LENGTH}: "
                    "set `label_column` to a column of short labels"
                )
            if len(self._numbers) == MAX_LABELS:
                examples = ", ".join(visible(name[:30]) for name in list(self._numbers)[:3])
                raise DataError(
                    f"the column of labels has more than {MAX_LABELS:,} different ones ({examples}, ...), as a column "
                    "of items or numbers has: set `label_column` to a column of categories"
                )
            self._numbers[label] = len(self._numbers)
        self._pieces.append(np.fromiter(map(self._numbers.__getitem__, labels), np.uint16, len(labels)))

    def finish(self) -> LabelColumn:
        """Return the labels of all items."""
        names = tuple(sorted(self._numbers))
        ranks = np.empty(len(names), np.uint16)
        ranks[[self._numbers[name] for name in names]] = np.arange(len(names))
        numbers = np.concatenate([np.zeros(0, np.uint16), *self._pieces])
        return LabelColumn(names, ranks[numbers] if names else numbers)
