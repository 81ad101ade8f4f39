"""Guess from the beginning of a file whether it is a list, with one item per line, or one continuous text."""

from dataclasses import dataclass
from pathlib import Path

from wavemore.text.parts import Format
from wavemore.text.reading import find_codec, open_file, text_pieces

SAMPLE_LENGTH = 1 << 18  # characters at the beginning of the file
LONG_LINE = 200  # characters; items of a list are hardly ever longer
SENTENCE_ENDS = ".!?:;)\"'\u2019\u201d"


@dataclass(frozen=True)
class Detected:
    """What a file looks like, and the reason in words."""

    format: Format
    reason: str


def detect(path: Path, encoding: str = "utf-8") -> Detected:
    """Guess the format of a file from its beginning. A pipe, which can be read only once, counts as a list.

    Raises `DataError` for a file that cannot be read, and `UsageError` for an unknown encoding.
    """
    codec = find_codec(encoding)
    if path.exists() and not path.is_file() and not path.is_dir():
        return Detected("lines", "it is a pipe, which can be read only once")
    beginning = ""
    with open_file(path) as file:
        for text in text_pieces(file, codec):
            beginning += text
            if len(beginning) >= SAMPLE_LENGTH:
                break
    return detect_in_text(beginning[:SAMPLE_LENGTH])


def detect_in_text(text: str) -> Detected:
    r"""Tell a list from a continuous text by its lines; unclear cases count as lists.

    A text has long lines, indented lines, or lines of many words with blank lines between them or sentences that
    continue on the next line.

    >>> detect_in_text("emma\nolivia\nava\n").format
    'lines'
    >>> print(detect_in_text("ROMEO:\nBut soft, what light is this?\n\nJULIET:\nAy me, what is it to you?\n\n" * 10))
    Detected(format='text', reason='3.8 words per line, 33 % of the lines blank')
    """
    all_lines = text.split("\n")
    lines = [line for line in all_lines if line.strip()]
    if not lines:
        return Detected("lines", "it holds no characters")
    median_length = sorted(map(len, lines))[len(lines) // 2]
    if median_length >= LONG_LINE:  # one such line among short ones is an error in a list
        return Detected("text", f"half of the lines have {median_length:,} characters or more")
    num_blank = len(all_lines) - len(lines) - (not all_lines[-1].strip())  # an empty last piece is not a line
    blank = num_blank / len(all_lines)
    indented = sum(line[0] in " \t" for line in lines) / len(lines)
    words = sum(len(line.split()) for line in lines) / len(lines)
    continued = sum(map(_continues, lines, lines[1:])) / len(lines)
    if len(lines) >= 10 and indented >= 0.2 and (indented < 0.95 or blank >= 0.05):
        return Detected("text", f"{100 * indented:.0f} % of the lines are indented")
    if len(lines) >= 10 and words >= 2.5 and blank >= 0.05:
        return Detected("text", f"{words:.1f} words per line, {100 * blank:.0f} % of the lines blank")
    if len(lines) >= 10 and words >= 5 and continued >= 0.25:
        return Detected("text", f"{words:.1f} words per line, {100 * continued:.0f} % continue on the next line")
    return Detected("lines", f"{words:.1f} words per line, {100 * blank:.0f} % of the lines blank")


def _continues(line: str, following: str) -> bool:
    """Whether a sentence seems to continue on the following line."""
    return line.rstrip()[-1] not in SENTENCE_ENDS and following.lstrip()[0].islower()
