"""What lists and texts have in common: parts of token ids, a vocabulary, and where the data came from.

A feature that uses a `Corpus` works for both. `datasets.load_corpus` returns one of its two classes, `LineCorpus` or
`TextCorpus`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from wavemore.text.cleaning import Cleaning
from wavemore.text.layout import PLAIN, Layout
from wavemore.text.parts import Format, Part
from wavemore.text.recognize import HEADERS
from wavemore.text.reports import LineReport, TextReport
from wavemore.text.splits import SplitMethod
from wavemore.text.vocabulary import Vocabulary


@dataclass(frozen=True)
class DataFile:
    """A file of the data besides the first one."""

    source: str
    """Its absolute path."""
    sha256: str
    """The checksum of its bytes."""
    encoding: str
    size: Annotated[int, Meta(ge=1)]
    """Its bytes."""
    layout: Layout = PLAIN
    """Where the items of a list are in it."""

    @classmethod
    def of(cls, path: Path, sha256: str, encoding: str, layout: Layout = PLAIN) -> "DataFile":
        """Describe a file that was read."""
        return cls(str(path.absolute()), sha256, encoding, path.stat().st_size, layout)


@dataclass(frozen=True, eq=False, kw_only=True)
class Corpus:
    """Data that has been read, split and encoded."""

    format: ClassVar[Format]

    name: str
    source: str
    """The absolute path of the file; empty if there is none."""
    sha256: str
    """The checksum of the bytes of the file."""
    encoding: str
    split_method: SplitMethod
    split_seed: int
    report: LineReport | TextReport
    vocabulary: Vocabulary
    """The characters of all parts, and the `extra_characters`."""
    train: Part
    val: Part
    test: Part
    line_hashes: NDArray[np.uint64]
    """Sorted distinct hashes of all lines, to tell new lines from known ones; empty for a text."""
    train_fraction: float | None
    """The fraction of a text that is its train part; None for a list, which is split 80/10/10."""
    layout: Layout = PLAIN
    """Where the items of a list are in its file."""
    by_count: bool = True
    """Whether items weigh as much as their counts, if the layout has counts."""
    more_files: tuple[DataFile, ...] = ()
    """The files of the data after the first one."""
    val_file: DataFile | None = None
    """The file that is all of val, if there is one; the same for test."""
    test_file: DataFile | None = None
    extra_characters: str = ""
    """Characters of the vocabulary that are not in the data, sorted: those of a model that it begins with."""

    @property
    def cleaning(self) -> Cleaning:
        """How the text was cleaned."""
        return self.vocabulary.cleaning

    @property
    def case_variants(self) -> int:
        """The number of val lines that differ from a train line in upper and lower case only; 0 for a text."""
        return 0

    @property
    def longest_line(self) -> int:
        """Characters of the longest line; 0 for a text, whose lines are not items."""
        return self.report.longest if isinstance(self.report, LineReport) else 0

    @property
    def header(self) -> str:
        """The first item of a list if it looks like the header of a column; else empty."""
        first = self.report.first if isinstance(self.report, LineReport) and self.layout.kind == "plain" else ""
        return first if first.lower() in HEADERS else ""
