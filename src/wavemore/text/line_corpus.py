"""A corpus of separate lines: lists of names, words, places, products."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from wavemore import progress
from wavemore.text.arrays import distinct, is_among
from wavemore.text.cleaning import AS_IS, Cleaning
from wavemore.text.corpus import Corpus, DataFile
from wavemore.text.labels import Labels
from wavemore.text.layout import PLAIN, Layout
from wavemore.text.lines import Lines, collect
from wavemore.text.parts import Format, LinePart
from wavemore.text.reading import ItemFile, read_files
from wavemore.text.reports import LineReport
from wavemore.text.splits import Indices, SplitMethod, split
from wavemore.text.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False, kw_only=True)
class LineCorpus(Corpus):
    """A list with its split and its vocabulary.

    If there is no file, `sha256` is the checksum of the lines, each followed by a line feed, in UTF-8.

    >>> corpus = LineCorpus.from_lines("ada bea cleo dora ella fay gwen hope iris june".split())
    >>> len(corpus.train.lines), len(corpus.val.lines), len(corpus.test.lines)
    (8, 1, 1)
    """

    format: ClassVar[Format] = "lines"

    report: LineReport
    train: LinePart
    val: LinePart
    test: LinePart
    train_fraction: None = None

    @property
    def case_variants(self) -> int:
        """The number of val lines that are not in train, but differ from a line of it in upper and lower case only.

        >>> LineCorpus.from_lines("Ann ann Bob bob Cleo cleo Dora dora Ella ella".split()).case_variants
        1
        """
        if self.vocabulary.characters.casefold() == self.vocabulary.characters:
            return 0
        train, val = (
            np.concatenate([piece.hashes() for piece in part.lines.casefolded()]) for part in (self.train, self.val)
        )
        return int((is_among(val, np.sort(train)) & self.val.leak_free).sum())

    @classmethod
    def from_lines(
        cls,
        lines: Iterable[str],
        name: str = "lines",
        split_method: SplitMethod = "distinct",
        split_seed: int = 0,
        vocabulary: Vocabulary | None = None,
        cleaning: Cleaning | None = None,
        labels: Sequence[str] | None = None,
    ) -> "LineCorpus":
        """Make a corpus of strings; whitespace around them is stripped, and blank ones are skipped.

        They are cleaned by `cleaning` (default: that of the `vocabulary`, or normalisation to NFC). Without a
        `vocabulary`, one is made of the characters of all lines. `labels`, one per line, are conditions that the model
        is told. Raises `DataError` for too few lines, lines that are too long and unknown labels, and
        `UnknownCharacterError` for a character that is not in the given vocabulary.

        >>> lines, labels = "ada bea cleo dora ella fay gus hal ian jim".split(), ["f"] * 6 + ["m"] * 4
        >>> corpus = LineCorpus.from_lines(lines, labels=labels)
        >>> corpus.vocabulary.labels.names, corpus.train.labels.numbers.tolist()
        (('f', 'm'), [0, 0, 0, 0, 0, 1, 1, 1])
        """
        if cleaning is None:
            cleaning = Cleaning("nfc") if vocabulary is None else vocabulary.cleaning
        collected, report = collect(lines, cleaning, labels)
        sha256 = hashlib.sha256(collected.text.encode("utf-8", "surrogatepass")).hexdigest()
        return build_corpus(
            collected,
            report,
            name=name,
            sha256=sha256,
            split_method=split_method,
            split_seed=split_seed,
            vocabulary=vocabulary,
            cleaning=cleaning,
        )


def read_line_corpus(
    data: Sequence[ItemFile],
    *,
    name: str,
    cleaning: Cleaning,
    by_count: bool = True,
    split_method: SplitMethod = "distinct",
    split_seed: int = 0,
    own: Mapping[str, ItemFile] | None = None,
    extra_characters: str = "",
) -> LineCorpus:
    """Read, split and encode one or more files of items.

    `own` may have a file that is all of `val`, and one that is all of `test`. Without `by_count`, an item counts once,
    whatever its file says. Raises `DataError` for a file that cannot be read or split.
    """
    own = own or {}
    files = [*data, *own.values()]
    lines, report, readers, sizes = read_files(files, cleaning, range(len(data), len(files)))
    if not by_count:
        lines.counts = None
    others = [
        DataFile.of(file.path, reader.sha256, reader.encoding, file.layout)
        for file, reader in zip(files, readers, strict=True)
    ]
    return build_corpus(
        lines,
        report,
        name=name,
        source=others[0].source,
        sha256=others[0].sha256,
        encoding=others[0].encoding,
        cleaning=cleaning,
        layout=others[0].layout,
        by_count=by_count,
        split_method=split_method,
        split_seed=split_seed,
        more_files=others[1 : len(data)],
        own_files=dict(zip(own, others[len(data) :], strict=True)),
        sizes=sizes,
        extra_characters=extra_characters,
    )


def build_corpus(
    lines: Lines,
    report: LineReport,
    *,
    name: str,
    sha256: str,
    source: str = "",
    encoding: str = "utf-8",
    split_method: SplitMethod = "distinct",
    split_seed: int = 0,
    vocabulary: Vocabulary | None = None,
    cleaning: Cleaning = AS_IS,
    layout: Layout = PLAIN,
    by_count: bool = True,
    more_files: Sequence[DataFile] = (),
    own_files: Mapping[str, DataFile] | None = None,
    sizes: Sequence[int] = (),
    extra_characters: str = "",
) -> LineCorpus:
    """Split and encode clean lines as `LineCorpus.from_lines` does; the other arguments become attributes.

    Without a `vocabulary`, it has the characters of the lines and `extra_characters`. The lines may have parts whose
    `sizes` are given: first the data, then the `own_files` that are all of val or test.
    """
    own_files = own_files or {}
    report_step = partial(progress.report, "splitting the lines", total=4)
    lines.hashes()
    parts = _parts(lines, sizes or [len(lines)], list(own_files), split_method, split_seed)
    report_step(1)
    extra = sorted(set(extra_characters) - set(lines.characters)) if extra_characters else []
    vocabulary = _vocabulary(lines, parts[0], vocabulary, cleaning, "".join(extra))
    train_hashes = np.sort(lines.hashes()[parts[0]])
    lines.encode(vocabulary)

    def part(number: int) -> LinePart:
        chosen = lines.take(parts[number])
        leak_free = ~is_among(chosen.hashes(), train_hashes)
        report_step(number + 2)
        return LinePart(chosen, chosen.encode(vocabulary), leak_free, vocabulary)

    return LineCorpus(
        name=name,
        source=source,
        sha256=sha256,
        encoding=encoding,
        split_method=split_method,
        split_seed=split_seed,
        report=report,
        vocabulary=vocabulary,
        train=part(0),
        val=part(1),
        test=part(2),
        line_hashes=distinct(lines.hashes()),
        layout=layout,
        by_count=by_count,
        more_files=tuple(more_files),
        val_file=own_files.get("val"),
        test_file=own_files.get("test"),
        extra_characters="".join(extra),
    )


def _parts(lines: Lines, sizes: Sequence[int], own: Sequence[str], method: SplitMethod, seed: int) -> list[Indices]:
    """Return the indices of the train, val and test lines.

    The first lines are the data; all others are of files that are a part of their own. What would have been that part
    of the data is train.
    """
    if not own:
        return list(split(lines, method, seed))
    ends = np.cumsum(sizes)
    everything = np.arange(sizes[0])
    if len(own) == 2:
        train, *held = everything, everything[:0], everything[:0]
    else:
        train, *held = split(lines.take(everything), method, seed)
    parts = dict(zip(("val", "test"), held, strict=True))
    for name, begin, end in zip(own, ends[:-1], ends[1:], strict=True):
        train, parts[name] = np.append(train, parts[name]), np.arange(begin, end)
    return [np.sort(train) if method == "distinct" else train, parts["val"], parts["test"]]


def _vocabulary(
    lines: Lines, train: NDArray[np.int64], given: Vocabulary | None, cleaning: Cleaning, extra: str
) -> Vocabulary:
    """Return the characters and the labels of all lines; given labels decide the numbers of those of the lines."""
    column = lines.labels
    if column is None:
        return given or Vocabulary(lines.characters + extra, cleaning)
    if given is not None and given.labels:
        lines.labels = column.numbered_as(given.labels.names)
        return given
    labels = Labels(column.names, tuple(np.bincount(column.numbers[train], minlength=len(column.names)).tolist()))
    if given is not None:
        return Vocabulary(given.characters, given.cleaning, labels)
    return Vocabulary(lines.characters + extra, cleaning, labels)
