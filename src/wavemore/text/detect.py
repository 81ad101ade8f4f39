"""Guess from the beginning of a file whether it is a list, with one item per line, or one continuous text."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from wavemore.text.layout import ANY, Wanted
from wavemore.text.opening import open_file
from wavemore.text.parts import Format
from wavemore.text.reading import TextReader
from wavemore.text.recognize import Recognized, recognize
from wavemore.text.splits import MIN_DISTINCT

SAMPLE_LENGTH = 1 << 18  # characters at the beginning of the file
LONG_LINE = 200  # characters; items of a list that are longer have no words, like proteins
MANY_WORDS = 12  # per line, more than items have
SENTENCE_ENDS = ".!?:)\"'\u2019\u201d"
CODE = re.compile(r"[:;{}()\[\],]$|^[#/]|[=<>]")
PROSE = re.compile("[\u3002\uff0c\uff01\uff1f\u0589\u061f\u06d4\u0964]|\\w[.,;:!?] ")  # within a line


@dataclass(frozen=True)
class Detected:
    """What a file looks like, and the reason in words."""

    format: Format
    reason: str
    recognized: Recognized | None = None
    """If the items are not the lines: a table, JSON or the output of `uniq -c`."""


def detect(path: Path, encoding: str = "auto", wanted: Wanted = ANY) -> Detected:
    """Guess the format of a file from its beginning.

    Raises `DataError` for a file that cannot be read, and `UsageError` for an unknown encoding, or if the file has no
    such columns as are `wanted`.
    """
    beginning = ""
    with open_file(path) as file:
        for text in TextReader(file, encoding).pieces():
            beginning += text
            if len(beginning) >= SAMPLE_LENGTH:
                break
    if len(beginning) >= SAMPLE_LENGTH:  # the last line may be incomplete
        end = beginning.rfind("\n", 0, SAMPLE_LENGTH) + 1
        beginning = beginning[: end or SAMPLE_LENGTH]
    return detect_in_text(beginning, wanted)


def detect_in_text(text: str, wanted: Wanted = ANY) -> Detected:
    r"""Tell a list from a continuous text by its lines; unclear cases count as lists.

    A text has long lines of words, lines of many words with blank lines between groups of them, sentences that continue
    on the next line, or the indentation and the signs of code.

    >>> detect_in_text("emma\nolivia\nava\n").format
    'lines'
    >>> detect_in_text("ROMEO:\nBut soft, what light is this?\n\nJULIET:\nAy me, what is it?\n\n" * 10).reason
    '3.2 words per line, 32 % of the lines blank'
    """
    if recognized := recognize(text, wanted):
        return Detected("lines", f"it is {recognized.name}", recognized)
    all_lines = text.strip("\n").split("\n")
    lines = [line for line in all_lines if line.strip()]
    if not lines:
        return Detected("lines", "it holds no characters")

    def share(test: Callable[[str], object]) -> float:
        return sum(bool(test(line)) for line in lines) / len(lines)

    median_length = sorted(map(len, lines))[len(lines) // 2]
    words = sum(len(line.split()) for line in lines) / len(lines)
    few, prose, blank = len(lines) < MIN_DISTINCT, share(PROSE.search), 1 - len(lines) / len(all_lines)
    if median_length >= LONG_LINE and (few or words >= MANY_WORDS or prose >= 0.5):  # one long line is an error
        return Detected("text", f"half of the lines have {median_length:,} characters or more")
    words_and_blank = f"{words:.1f} words per line, {100 * blank:.0f} % of the lines blank"
    if few:
        return Detected("lines", words_and_blank)
    indented, code = share(lambda line: line.startswith(("  ", "\t"))), share(lambda line: CODE.search(line.strip()))
    if words >= 1.5 and 0.2 <= indented < 0.95 and code >= 0.3:
        return Detected("text", f"{100 * indented:.0f} % of the lines are indented, {100 * code:.0f} % look like code")
    # Without capitals and punctuation, a lower-case letter at the beginning of a line means nothing.
    sentences = prose >= 0.2 or share(lambda line: line.lstrip()[0].isupper()) >= 0.05
    continued = sum(_continues(*pair, sentences) for pair in pairwise(lines)) / len(lines)
    num_groups = sum(bool(a.strip()) and not b.strip() for a, b in pairwise([*all_lines, ""]))
    if words >= MANY_WORDS and blank >= 0.03:
        return Detected("text", words_and_blank)
    if words >= 2.5 and len(lines) >= 1.5 * num_groups and blank >= (0.03 if continued >= 0.1 else 0.1):
        return Detected("text", words_and_blank)
    if words >= 3.5 and continued >= 0.25:
        return Detected("text", f"{words:.1f} words per line, {100 * continued:.0f} % continue on the next line")
    return Detected("lines", words_and_blank)


def _continues(line: str, following: str, sentences: bool) -> bool:
    """Whether a sentence seems to continue on the following line."""
    end = line.rstrip()[-1]
    return end in ",;" or (sentences and end not in SENTENCE_ENDS and following.lstrip()[0].islower())
