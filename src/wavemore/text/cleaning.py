r"""How the text of the data is cleaned: one form per character, and what happens to characters that nobody sees.

A prefix and a line to be scored are cleaned like the data (`Vocabulary.clean`), so that both have the same characters.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypedDict

from wavemore.errors import require, require_types

NormalForm = Literal["nfc", "none"]
Invisibles = Literal["keep", "strip", "strip-all"]
LongLines = Literal["error", "skip"]
Case = Literal["keep", "lower"]

# Characters that never change what stands before them and are not taken out: those before the combining marks,
# Chinese, Japanese and Korean, without the invisible ones among them.
_STARTERS = "\t\n -~\xa1-\xac\xae-\u02ff\u3041-\u3096\u30a1-\u30fa\u3100-\u3163\u3165-\ua4cf\uac00-\ud7a3"
_STARTER = re.compile(f"[{_STARTERS}]")
_MAX_RUN = 1_024  # of characters that are none: sorting combining marks takes quadratic time
_LONG_RUN = re.compile(f"(?<![^{_STARTERS}])(?:[^{_STARTERS}]{{{_MAX_RUN}}})+")
_MAX_ESCAPE = 24  # characters of a terminal's escape sequence, more than _ESCAPE matches

_INVISIBLE = (  # control and format characters, spaces other than U+0020 and U+3000, fillers, variation selectors
    "\0-\x08\x0b-\x1f\x7f-\xa0\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f"
    "\u205f-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"
)
_EMOJI = "\u203c\u2049\u2190-\u3299\ufe0f\U0001f000-\U0001faff"
_JOINING = "\u0600-\u109f\u1780-\u1cff\ua840-\uabff\U00010a00-\U00011fff"  # Arabic, Indic scripts and their relatives
_NEEDED = "|".join(  # invisible characters that belong to what stands before them
    (
        f"(?<=[{_JOINING}])[\u200c\u200d\u180b-\u180f]",
        f"(?<=[{_EMOJI}])\u200d(?=[{_EMOJI}])",
        f"(?<=[0-9#*\xa9\xae{_EMOJI}])[\ufe0e\ufe0f]",
        "(?<=[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])[\ufe00-\ufe02\U000e0100-\U000e01ef]",
        "(?<=\U0001f3f4)[\U000e0020-\U000e007f]+",
    )
)
_ESCAPE = "\x1b\\[[0-9;?]{0,20}[A-Za-z]"  # colours and movements of a terminal
_FIND = re.compile(f"[{_INVISIBLE}]")
_STRIP = {
    "strip": re.compile(f"({_NEEDED})|{_ESCAPE}|[{_INVISIBLE}]"),
    "strip-all": re.compile(f"((?!))|{_ESCAPE}|[{_INVISIBLE}]"),
}
_NAMES = {"\0": "NULL", "\b": "BACKSPACE", "\f": "FORM FEED", "\x1b": "ESCAPE", "\x7f": "DELETE", "\x85": "NEXT LINE"}
_KINDS_SHOWN = 4
NEEDED = frozenset("\u200c\u200d\ufe0e\ufe0f")
"""Invisible characters that emoji and some scripts need: `strip` keeps them there."""


@dataclass(frozen=True)
class Cleaning:
    r"""How text is cleaned. Raises `UsageError` for an unknown value.

    >>> Cleaning("nfc").apply("zoe\u0308") == "zoë", Cleaning("none").apply("zoe\u0308") == "zoë"
    (True, False)
    >>> Cleaning(invisible="strip").apply("\ufeffnew\u00a0york\u200b ❤\ufe0f\u200d🔥")
    'new york ❤️\u200d🔥'
    """

    normalize: NormalForm = "none"
    """nfc: canonically equivalent characters become one form; none: they remain as they are."""
    invisible: Invisibles = "keep"
    """strip: they are removed, and spaces become U+0020; strip-all: also those that emoji and scripts need."""
    long_lines: LongLines = "error"
    """What happens to an item of a list that is too long: an error, or it is left out."""
    case: Case = "keep"
    """lower: each character is converted to lower case."""
    max_length: int | None = None
    """The most characters of an item of a list; longer ones are left out. None: as many as an item may have."""
    min_count: int = 1
    """How often an item of a list must occur, all copies together; rarer ones are left out."""

    def __post_init__(self) -> None:
        require_types(self)
        require(self.max_length is None or self.max_length >= 1, "max_length", self.max_length, "at least 1")
        require(self.min_count >= 1, "min_count", self.min_count, "at least 1")

    def apply(self, text: str) -> str:
        """Return the text as the data has it."""
        text = _lower(text) if self.case == "lower" else text
        if (text.isascii() or self.normalize == "none") and (self.invisible == "keep" or not _FIND.search(text)):
            return text
        return "".join(map(self._clean, _blocks(text)))

    def _clean(self, text: str) -> str:
        if self.invisible != "keep":
            text = _STRIP[self.invisible].sub(lambda found: found[1] or (" " if found[0].isspace() else ""), text)
        return unicodedata.normalize("NFC", text) if self.normalize == "nfc" else text


def _lower(text: str) -> str:
    """Convert each character to lower case by itself, so that a text can be cleaned in pieces."""
    return text.lower() if text.isascii() else "".join(map(str.lower, text))


class CleaningSettings(TypedDict, total=False):
    """The settings of a `Cleaning`, by name."""

    normalize: NormalForm
    invisible: Invisibles
    long_lines: LongLines
    case: Case
    max_length: int | None
    min_count: int


AS_IS = Cleaning()
"""Nothing is changed."""


@dataclass(frozen=True)
class Invisible:
    """An invisible character of the data.

    >>> print(Invisible("\\u200b", 2, 7))
    U+200B ZERO WIDTH SPACE 2 times, first in line 7
    """

    character: str
    count: int
    line: int
    """The number of the first line that has it."""

    def __str__(self) -> str:
        times = "once" if self.count == 1 else f"{self.count:,} times, first"
        return f"{code_point(self.character)} {times} in line {self.line:,}"


def code_point(character: str) -> str:
    """Return the code point and the name of a character.

    >>> code_point("\\x1b")
    'U+001B ESCAPE'
    """
    name = _NAMES.get(character) or unicodedata.name(character, "CONTROL CHARACTER")
    return f"U+{ord(character):04X} {name}"


def describe_invisible(characters: Iterable[Invisible]) -> str:
    """Return the most frequent ones in words."""
    ordered = sorted(characters, key=lambda found: (-found.count, found.character))
    more = len(ordered) - _KINDS_SHOWN
    return "; ".join(map(str, ordered[:_KINDS_SHOWN])) + (f"; and {more:,} other kinds" if more > 0 else "")


class Cleaner:
    """Cleans a text piece by piece, and counts what it finds."""

    def __init__(self, cleaning: Cleaning) -> None:
        self.cleaning = cleaning
        self._as_it_was = replace(cleaning, normalize="none")
        self._found: dict[str, Invisible] = {}
        self._left: dict[str, Invisible] = self._found if cleaning.invisible == "keep" else {}
        self._normalized = 0  # lines
        self._has_capitals = False
        self._line = 1  # the number of the line in which the next piece begins
        self._counted = False  # whether that line has been counted as normalised

    def clean(self, text: str) -> str:
        """Clean the next piece; it begins where the one before ended."""
        if self.cleaning.case == "lower":
            lower = _lower(text)
            self._has_capitals, text = self._has_capitals or lower != text, lower
        if text.isascii() and not _FIND.search(text):
            self._counted = self._counted and "\n" not in text
            cleaned = text
        else:
            cleaned, stripped = self.cleaning.apply(text), self._as_it_was.apply(text)
            self._note(text, self._found)
            if self._left is not self._found:
                self._note(cleaned, self._left)
            changed = [a != b for a, b in zip(stripped.split("\n"), cleaned.split("\n"), strict=True)]
            self._normalized += sum(changed) - (changed[0] and self._counted)
            self._counted = changed[-1] or (self._counted and len(changed) == 1)
        self._line += text.count("\n")
        return cleaned

    def pieces(self, pieces: Iterable[str]) -> Iterator[str]:
        """Clean a text whose pieces end anywhere; the result does not depend on where."""
        held = ""
        for piece in pieces:
            text = held + piece
            cut = _last_cut(text)
            yield self.clean(text[:cut])
            held = text[cut:]
        yield self.clean(held)

    @property
    def invisible(self) -> tuple[Invisible, ...]:
        """The invisible characters that the cleaned text still has."""
        return tuple(self._left.values())

    @property
    def repairs(self) -> tuple[str, ...]:
        """What was changed, in words."""
        words = []
        if self._has_capitals:
            words.append("converted to lower case")
        if self._normalized:
            words.append(f"{self._normalized:,} line{'s' * (self._normalized > 1)} normalised to NFC")
        left = {character: found.count for character, found in self._left.items()}
        taken = [replace(found, count=found.count - left.get(found.character, 0)) for found in self._found.values()]
        if taken := [found for found in taken if found.count > 0]:
            words.append(f"invisible characters taken out ({describe_invisible(taken)})")
        return tuple(words)

    def _note(self, text: str, noted: dict[str, Invisible]) -> None:
        for character, count in Counter(_FIND.findall(text)).items():
            if found := noted.get(character):
                noted[character] = replace(found, count=found.count + count)
            else:
                line = self._line + text.count("\n", 0, text.index(character))
                noted[character] = Invisible(character, count, line)


def _blocks(text: str) -> Iterator[str]:
    """Cut very long runs of characters that are no starters."""
    start = 0
    for run in _LONG_RUN.finditer(text):
        for end in range(run.start() + _MAX_RUN, run.end() + 1, _MAX_RUN):
            yield text[start:end]
            start = end
    yield text[start:]


def _last_cut(text: str) -> int:
    """Return the last place before which and after which text can be cleaned apart."""
    last = next((place for place in reversed(range(len(text))) if _STARTER.match(text, place)), -1)
    rest = len(text) - last - 1
    if rest > _MAX_RUN:
        return last + 1 + rest // _MAX_RUN * _MAX_RUN
    escape = text.rfind("\x1b", max(0, last - _MAX_ESCAPE), max(0, last))
    return max(0, last) if escape < 0 else escape
