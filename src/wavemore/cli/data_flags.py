"""The flags that say how data is read and split."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from wavemore.cli.options import NO_HINT, File, FloatOrAuto, Length, Name, Number, Text, YesOrNo
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.text.corpus import Corpus
    from wavemore.text.parts import Format

KINDS = {"lines": "a list, one item per line", "text": "continuous text"}


def source_of(sources: Sequence[str], data: str | None) -> tuple[str, ...]:
    """Return the data, which may be given as it is or with --data. Raises `UsageError` if both differ."""
    if sources and data is not None and tuple(sources) != (data,):
        raise UsageError(f"the data is given twice, as {' '.join(sources)} and with --data as {data}; give it once")
    return tuple(sources) or ("names" if data is None else data,)


def _keep_input() -> Path:
    from wavemore.text.piped import keep_input

    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError("there is no data on standard input: give a file, or pipe the data in")
    return keep_input(sys.stdin.buffer)


@dataclass(frozen=True, kw_only=True)
class DataFlags:
    """How the data is read and split into train, val and test."""

    format: Annotated[Literal["auto", "lines", "text"], NO_HINT] = "auto"
    """lines: a list, one item per line; text: one continuous text; auto: what the file looks like"""
    column: Annotated[Text, NO_HINT, arg(aliases=("--field",))] = None
    """for a table or JSON: name or number of the column or field with the items (default: the only one with texts)"""
    label_column: Annotated[Text, NO_HINT, arg(aliases=("--label-field",))] = None
    """for a table or JSON: name or number of the column with the labels of the items, which condition the model"""
    count_column: Annotated[Text, NO_HINT] = None
    """name or number of the column that says how often each item occurs: its weight in training and in losses"""
    by_count: YesOrNo = True
    """whether counts are weights in training and in losses (the default), or used for --min-count only"""
    separator: Annotated[Text, NO_HINT] = None
    """for items of several lines: the line between them, such as ---; '' for blank lines"""
    val: File = None
    """a file to use as the val part; what would have been the val part of the data is then trained on"""
    test: File = None
    """a file to use as the test part; what would have been the test part of the data is then trained on"""
    split_method: Literal["distinct", "lecture"] = "distinct"
    """for a list: distinct (no line in two parts) or lecture (Karpathy's split, with duplicates); 80/10/10"""
    split_seed: Number = 0
    """for a list: a different seed gives a different split (distinct only)"""
    train_fraction: FloatOrAuto = "auto"
    """for continuous text: the fraction, from the beginning, to train on (auto: 0.8); the rest is val and test"""
    encoding: Annotated[Name, NO_HINT] = "auto"
    """encoding of the file (auto: UTF-8, or UTF-16 with a byte order mark)"""
    normalize: Literal["nfc", "none"] = "nfc"
    """one form for é and the like, in prefixes and scored lines too: nfc (Unicode's composed form) or none"""
    invisible: Literal["keep", "strip", "strip-all"] = "keep"
    """invisible characters: keep, strip (remove; odd spaces become plain), strip-all (also those that emoji need)"""
    long_lines: Literal["error", "skip"] = "error"
    """for a list: stop at a line of more than 10,000 characters, or leave it out"""
    max_length: Length = None
    """for a list: leave out lines of more than this many characters"""
    min_count: Number = 1
    """for a list: leave out items that occur fewer than N times, copies and counts added up"""
    case: Literal["keep", "lower"] = "keep"
    """lower: convert everything to lower case, prefixes and scored lines too"""

    def load(self, sources: Sequence[str], extra_characters: str = "") -> tuple["Corpus", str]:
        """Read and split the data; return also how it is read, empty for a data set of lines.

        The vocabulary has the `extra_characters` too.

        Raises `UsageError` for a flag of the other format, and `DataError` for a table, JSON and the like.
        """
        from wavemore.text.datasets import files_of, load_corpus

        kept = ""
        if "-" in sources:
            if len(sources) > 1:
                raise UsageError("standard input (-) cannot be joined with files: give one or the other")
            sources = [str(_keep_input())]
            kept = f"standard input, kept as {sources[0]}: "
        files = files_of(sources)
        if len(files) > 1:
            kept = f"{len(files):,} files: "
        explanation = self._explained(files[0])
        corpus = load_corpus(
            files,
            format=self.format,
            column=self.column,
            count_column=self.count_column,
            label_column=self.label_column,
            separator=self.separator,
            split_method=self.split_method,
            split_seed=self.split_seed,
            train_fraction=None if self.train_fraction == "auto" else self.train_fraction,
            encoding=self.encoding,
            normalize=self.normalize,
            invisible=self.invisible,
            long_lines=self.long_lines,
            case=self.case,
            max_length=self.max_length,
            min_count=self.min_count,
            by_count=self.by_count,
            val=self.val,
            test=self.test,
            extra_characters=extra_characters,
        )
        if self.separator is not None:
            explanation = f"{corpus.layout}"
        return corpus, kept + explanation if explanation else ""

    def _explained(self, file: str | Path) -> str:
        """Check the flags, and return how a file is read, in words; empty for a data set of lines."""
        from wavemore.text.datasets import detect_format
        from wavemore.text.layout import Wanted

        wanted = Wanted(self.column, self.count_column, self.label_column)
        for name, column in wanted._asdict().items():
            if column is not None and self.format != "auto":
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(f"{flag} is for tables and JSON, and --format is {self.format}: leave out one of them")
        if not self.by_count and self.count_column is None:
            raise UsageError("--no-by-count is for data with counts: name their column with --count-column")
        detected = None if self.separator is not None else detect_format(file, self.encoding, wanted)
        recognized = detected.recognized if detected is not None and self.format == "auto" else None
        looks = "lines" if detected is None else detected.format
        resolved: Format = looks if self.format == "auto" else self.format
        other = "lines" if resolved == "text" else "text"
        reason = f"--format {resolved}" if self.format != "auto" or detected is None else detected.reason
        for flag in self._flags_of(other):
            raise UsageError(f"{flag} is not for {KINDS[resolved]} ({reason}); leave it out, or add --format {other}")
        if detected is None and resolved == "lines":
            return ""
        if recognized is not None:
            return f"{recognized.items} of {recognized.name}; if its lines are the items, add --format lines"
        explanation = f"treated as {KINDS[resolved]} ({reason})"
        if self.format == "auto":
            return f"{explanation}; if it is {KINDS[other]}, add --format {other}"
        if detected is not None and detected.format == other:
            return f"{explanation}, although it looks like {KINDS[other]} ({detected.reason})"
        return explanation

    def _flags_of(self, data_format: str) -> list[str]:
        """Return the given flags that are for one format only."""
        if data_format == "text":
            return [] if self.train_fraction == "auto" else ["--train-fraction"]
        given = {
            "--split-method": self.split_method != "distinct",
            "--split-seed": self.split_seed != 0,
            "--long-lines": self.long_lines != "error",
            "--max-length": self.max_length is not None,
            "--min-count": self.min_count != 1,
        }
        return [flag for flag, is_given in given.items() if is_given]
