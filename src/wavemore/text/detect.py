"""Is a file a list, one thing a line, or one continuous text? A look at its beginning, and the reason in words."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wavemore.errors import DataError
from wavemore.text.reading import codec_of, decoded, opened

TextKind = Literal["lines", "stream"]

LOOKED_AT = 1 << 18
"""Characters of the file's beginning."""

LONG = 200
"""Characters that hardly a thing of a list has."""

SENTENCE_ENDS = ".!?:;)\"'\u2019\u201d"


@dataclass(frozen=True)
class Detected:
    """What a file looks like, and by what."""

    kind: TextKind
    why: str


def detect(path: Path, encoding: str = "utf-8") -> Detected:
    """Look at the beginning of a file; what is unclear is a list.

    Raises `DataError` for a file that cannot be read, and `UsageError` for an unknown encoding.
    """
    codec = codec_of(encoding)
    if path.exists() and not path.is_file() and not path.is_dir():
        return Detected("lines", "it is a pipe, which can be read only once")
    pieces: list[str] = []
    with opened(path) as file:
        try:
            for text in decoded(file, codec, hashlib.sha256()):
                pieces.append(text)
                if sum(map(len, pieces)) >= LOOKED_AT:
                    break
        except DataError:
            if not pieces:
                raise
            # What is wrong further on is said, with all it takes, by whatever reads the whole file.
    return look_at("".join(pieces)[:LOOKED_AT])


def look_at(text: str) -> Detected:
    r"""Tell a list from a continuous text by its lines.

    Continuous is what has long lines, lines of many words with blank lines between them or lines that go on in
    the next one, or indented lines.

    >>> look_at("emma\nolivia\nava\n").kind
    'lines'
    >>> print(look_at("ROMEO:\nBut soft, what light is this?\n\nJULIET:\nAy me, what is it to you?\n\n" * 10))
    Detected(kind='stream', why='3.8 words a line, 33 % of the lines blank')
    """
    rows = text.split("\n")
    lines = [row for row in rows if row.strip()]
    if not lines:
        return Detected("lines", "it holds no characters")
    middle = sorted(map(len, lines))[len(lines) // 2]
    if middle >= LONG:  # one overlong line among short ones is a fault in a list
        return Detected("stream", f"half of the lines have {middle:,} characters or more")
    blank = (len(rows) - len(lines) - (not rows[-1].strip())) / len(rows)  # what follows the last line end is no line
    indented = sum(line[0] in " \t" for line in lines) / len(lines)
    words = sum(len(line.split()) for line in lines) / len(lines)
    going_on = sum(map(_goes_on, lines, lines[1:])) / len(lines)
    if len(lines) >= 10 and indented >= 0.2 and (indented < 0.95 or blank >= 0.05):
        return Detected("stream", f"{100 * indented:.0f} % of the lines indented")
    if len(lines) >= 10 and words >= 2.5 and blank >= 0.05:
        return Detected("stream", f"{words:.1f} words a line, {100 * blank:.0f} % of the lines blank")
    if len(lines) >= 10 and words >= 5 and going_on >= 0.25:
        return Detected("stream", f"{words:.1f} words a line, {100 * going_on:.0f} % of the lines go on in the next")
    return Detected("lines", f"{words:.1f} words a line, {100 * blank:.0f} % of the lines blank")


def _goes_on(line: str, after: str) -> bool:
    """Whether a sentence seems to go on in the next line."""
    return line.rstrip()[-1] not in SENTENCE_ENDS and after.lstrip()[0].islower()
