"""What a list is before anything is learned from it, in plain values; and where the lists of runs are kept."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wavemore.errors import DataError, WavemoreError
from wavemore.files import write_atomic
from wavemore.runs.find import run_name
from wavemore.signs import sign
from wavemore.text.cleaning import describe_invisible
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import DATASETS, detect_format, load_corpus
from wavemore.text.layout import ANY, Wanted
from wavemore.text.opening import COMPRESSED, open_file
from wavemore.text.reading import TextReader
from wavemore.text.reports import LineReport, pluralize

MAX_BYTES = 50_000_000
"""Of a list, uploaded or pasted."""
FOLDER = Path("runs") / "lists"
"""The lists that runs were trained on: they are read again for the nearest known item and for comparisons."""
SUFFIXES = {".txt", ".csv", ".tsv", ".json", ".jsonl", *COMPRESSED}
EXAMPLES = 12
FEW = 200
"""Items below which a list is short."""


@dataclass(frozen=True)
class How:
    """How a list is to be read, as far as a person says it."""

    as_lines: bool = False
    """Each line is an item, whatever the file looks like."""
    heading: bool = False
    """The first line is no item."""
    column: str | None = None
    """Of a table: that of the items, by its name or number."""
    kinds: str | None = None
    """The one that has a kind of each item: its label."""

    def wanted(self, source: Path) -> Wanted:
        """Return the columns to read of a file: a line above a list is the name of its only column."""
        is_plain = self.as_lines or not (self.column or self.kinds)
        if is_plain and self.heading and (self.as_lines or not _has_columns(source)):
            return Wanted(_first_line(source))
        return ANY if self.as_lines else Wanted(self.column, None, self.kinds)


AS_IT_LOOKS = How()


@dataclass(frozen=True)
class ListFacts:
    """What a list is."""

    source: str
    """A path, or the name of a data set."""
    name: str
    items: int
    distinct: int
    longest: int
    characters: str
    """All different ones, in order."""
    examples: tuple[str, ...]
    left_out: tuple[str, ...]
    """What was left out or changed, in words."""
    kinds: tuple[str, ...] = ()
    """The labels of its items, if it has any."""
    how: How = AS_IT_LOOKS
    header: str = ""
    """The first item, if it looks like a heading."""
    part: str = ""
    """What of the file is read, in words, such as "the column town of a table"; empty for all lines."""


def load_list(source: str | Path, how: How) -> tuple[Corpus, str]:
    """Read a list: one item per line, a table, JSON, ...; return it, and what of the file it is if it is a part.

    Raises `DataError` for what cannot be read, and for a continuous text.
    """
    if source in DATASETS:
        return load_corpus(source), ""
    source = Path(source)
    wanted = how.wanted(source)
    found = None if how.as_lines and not any(wanted) else detect_format(source, wanted=wanted)
    if found is not None and found.format == "text":
        raise DataError(
            "this looks like one continuous text, not like a list: put one item on each line, or tick “Each line is "
            "an item”"
        )
    part = f"{found.recognized.items} of {found.recognized.name}" if found and found.recognized else ""
    corpus = load_corpus(
        source,
        format="lines" if how.as_lines else "auto",
        column=wanted.column,
        label_column=wanted.label_column,
    )
    return corpus, part


def read_list(source: str | Path, how: How = AS_IT_LOOKS, *, name: str = "") -> ListFacts:
    """Read a list, and say what it is. Raises `DataError` as `load_list` does, and for one that is too long."""
    try:
        if isinstance(source, Path) and (size := max(source.stat().st_size, _unpacked(source))) > MAX_BYTES:
            raise DataError(too_large(size))
        corpus, part = load_list(source, how)
    except WavemoreError as error:  # where a page keeps the file is nobody's business
        raise type(error)(str(error).replace(f"{source}: ", "").replace(str(source), "the file")) from None
    report = corpus.report
    assert isinstance(report, LineReport)
    left_out = [f"{pluralize(report.blank, 'blank line')} skipped"] if report.blank else []
    if report.invisible:
        left_out.append(f"invisible characters are kept ({describe_invisible(report.invisible)})")
    return ListFacts(
        source=str(source),
        name=name or corpus.name,
        items=report.lines,
        distinct=report.distinct,
        longest=report.longest,
        characters=corpus.vocabulary.characters,
        examples=_examples(corpus, report.first),
        left_out=(*left_out, *report.repairs),
        kinds=corpus.vocabulary.labels.names,
        how=how,
        header=corpus.header,
        part=part,
    )


def _has_columns(path: Path) -> bool:
    found = detect_format(path)
    return found is not None and found.recognized is not None


def _first_line(path: Path) -> str:
    """Return the first line that is not blank, without the quotation marks of a CSV file."""
    with open_file(path) as file:
        beginning = next(filter(str.strip, TextReader(file).pieces()), "")
    return beginning.strip().partition("\n")[0].strip(' "')


def _unpacked(path: Path) -> int:
    """Return the bytes of a file that may be compressed, as far as they are not too many."""
    size = 0
    with open_file(path) as file:
        while size <= MAX_BYTES and (piece := file.read(1 << 20)):
            size += len(piece)
    return size


def too_large(size: int) -> str:
    """Return the sentence for a list of too many bytes."""
    return (
        f"this list is {size / 1e6:,.0f} MB, and at most {MAX_BYTES / 1e6:,.0f} MB can be read here: give a part of it"
    )


def paste(text: str, folder: Path) -> Path:
    """Write a pasted list to a file of its own in a folder. Raises `DataError` if it is empty or too long."""
    content = text.encode("utf-8", "replace")
    if not text.strip():
        raise DataError("there is no list yet: drop a file, or paste some lines")
    if len(content) > MAX_BYTES:
        raise DataError(too_large(len(content)))
    path = folder / f"pasted-{hashlib.sha256(content).hexdigest()[:8]}.txt"
    write_atomic(path, content)
    return path


def keep(facts: ListFacts) -> str:
    """Copy a list to where those of runs are kept, under a harmless name; return its path, or the data set's name."""
    if facts.source in DATASETS:
        return facts.source
    path = Path(facts.source)
    content = path.read_bytes()
    suffix = "".join(each for each in path.suffixes[-2:] if each.lower() in SUFFIXES) or ".txt"
    kept = FOLDER / hashlib.sha256(content).hexdigest()[:8] / f"{run_name(facts.name)}{suffix}"  # pages show the name
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(kept, content)
    return str(kept)


def _examples(corpus: Corpus, first: str) -> tuple[str, ...]:
    """Return the first line, which may be a heading, and some from all over the list."""
    lines = corpus.train.as_lines(corpus.vocabulary).lines
    places = np.linspace(0, len(lines) - 1, min(EXAMPLES, len(lines))).astype(int)
    return tuple(dict.fromkeys([first, *(lines[int(place)] for place in places)]))[:EXAMPLES]


def shown_characters(characters: str, most: int = 120) -> str:
    """Return different characters in one row; spaces and control characters become visible.

    >>> shown_characters("ab "), shown_characters("abcdef", 3)
    ('a b ␣', 'a b c and 3 others')
    """
    shown = " ".join(map(sign, characters[:most]))
    return shown if len(characters) <= most else f"{shown} and {len(characters) - most:,} others"
