"""The flags that say how data is read and split."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import arg

from wavemore.cli.options import NO_HINT, FloatOrAuto, Length, Name, Number, Text
from wavemore.errors import UsageError

if TYPE_CHECKING:
    from wavemore.text.corpus import Corpus
    from wavemore.text.parts import Format

KINDS = {"lines": "a list, one item per line", "text": "continuous text"}


def source_of(source: str | None, data: str | None) -> str:
    """Return the data, which may be given as it is or with --data. Raises `UsageError` if both differ."""
    if source is not None and data not in (None, source):
        raise UsageError(f"the data is given twice, as {source} and with --data as {data}; give it once")
    return next((given for given in (source, data) if given is not None), "names")


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
    """of a table or JSON: name or number of the column or field that has the items (default: the only one of texts)"""
    label_column: Annotated[Text, NO_HINT, arg(aliases=("--label-field",))] = None
    """of a table or JSON: name or number of the column that has a label of each item, which the model is told"""
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
    case: Literal["keep", "lower"] = "keep"
    """lower: convert everything to lower case, prefixes and scored lines too"""

    def load(self, data: str) -> tuple["Corpus", str]:
        """Read and split the data; return also how it is read, empty for a data set of lines.

        Raises `UsageError` for a flag of the other format, and `DataError` for a table, JSON and the like.
        """
        from wavemore.text.datasets import detect_format, load_corpus, required_layout
        from wavemore.text.layout import PLAIN

        for flag, name in (("--column", self.column), ("--label-column", self.label_column)):
            if name is not None and self.format != "auto":
                raise UsageError(f"{flag} is for tables and JSON, and --format is {self.format}: leave out one of them")
        kept = ""
        if data == "-":
            data = str(_keep_input())
            kept = f"standard input, kept as {data}: "
        detected = detect_format(data, self.encoding, self.column, self.label_column)
        recognized = detected.recognized if detected is not None and self.format == "auto" else None
        layout = PLAIN if recognized is None else required_layout(data, recognized)
        looks = "lines" if detected is None else detected.format
        resolved: Format = looks if self.format == "auto" else self.format
        other = "lines" if resolved == "text" else "text"
        reason = f"--format {resolved}" if self.format != "auto" or detected is None else detected.reason
        for flag in self._flags_of(other):
            raise UsageError(f"{flag} is not for {KINDS[resolved]} ({reason}); leave it out, or add --format {other}")
        corpus = load_corpus(
            data,
            format=resolved,
            layout=layout,
            split_method=self.split_method,
            split_seed=self.split_seed,
            train_fraction=None if self.train_fraction == "auto" else self.train_fraction,
            encoding=self.encoding,
            normalize=self.normalize,
            invisible=self.invisible,
            long_lines=self.long_lines,
            case=self.case,
            max_length=self.max_length,
        )
        explanation = f"treated as {KINDS[resolved]} ({reason})"
        if recognized is not None:
            explanation = f"{recognized.items} of {recognized.name}; if its lines are the items, add --format lines"
        elif self.format == "auto":
            explanation += f"; if it is {KINDS[other]}, add --format {other}"
        elif detected is not None and detected.format == other:
            explanation += f", although it looks like {KINDS[other]} ({detected.reason})"
        return corpus, "" if detected is None and resolved == "lines" else kept + explanation

    def _flags_of(self, data_format: str) -> list[str]:
        """Return the given flags that are for one format only."""
        if data_format == "text":
            return [] if self.train_fraction == "auto" else ["--train-fraction"]
        given = {
            "--split-method": self.split_method != "distinct",
            "--split-seed": self.split_seed != 0,
            "--long-lines": self.long_lines != "error",
            "--max-length": self.max_length is not None,
        }
        return [flag for flag, is_given in given.items() if is_given]
