"""What was read, in numbers and in words."""

from dataclasses import dataclass

from wavemore.text.cleaning import Invisible


@dataclass(frozen=True)
class LineReport:
    """Counts of what was read from a list; line ends do not count as characters.

    >>> print(LineReport(3, 2, 1, longest=4, characters=11, alphabet=5, repairs=("CRLF line ends converted",)))
    3 lines (2 distinct), 11 characters (5 distinct), longest line 4, 1 blank line skipped, CRLF line ends converted
    """

    lines: int
    distinct: int
    blank: int
    longest: int
    characters: int
    alphabet: int
    repairs: tuple[str, ...] = ()
    """What was changed, in words."""
    invisible: tuple[Invisible, ...] = ()
    """The invisible characters of the lines."""
    first: str = ""
    """The first line, which may be a header."""

    def __str__(self) -> str:
        distinct = "all distinct" if self.distinct == self.lines else f"{self.distinct:,} distinct"
        sentence = (
            f"{pluralize(self.lines, 'line')} ({distinct}), {pluralize(self.characters, 'character')} "
            f"({self.alphabet:,} distinct), longest line {self.longest:,}"
        )
        blank = [f"{pluralize(self.blank, 'blank line')} skipped"] if self.blank else []
        return ", ".join([sentence, *blank, *self.repairs])


@dataclass(frozen=True)
class TextReport:
    """Counts of what was read from a text; line feeds are characters here.

    >>> print(TextReport(characters=1_115_394, alphabet=65, line_feeds=40_000))
    1,115,394 characters (65 distinct), 40,000 line ends
    """

    characters: int
    alphabet: int
    line_feeds: int
    repairs: tuple[str, ...] = ()
    """What was changed, in words."""
    invisible: tuple[Invisible, ...] = ()
    """The invisible characters of the text."""

    def __str__(self) -> str:
        characters = f"{pluralize(self.characters, 'character')} ({self.alphabet:,} distinct)"
        return ", ".join([characters, pluralize(self.line_feeds, "line end"), *self.repairs])


def pluralize(number: int, noun: str) -> str:
    """Return a number with its noun.

    >>> pluralize(1, "line"), pluralize(2_000, "line")
    ('1 line', '2,000 lines')
    """
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
