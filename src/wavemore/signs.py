"""Visible signs for characters that would move, hide or reorder other text."""

import unicodedata

BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text after them (Unicode Standard Annex 9)."""


def visible(text: str) -> str:
    """Replace control characters and direction marks by visible signs; all other characters stay.

    >>> visible("a\\tb\\x1b[31m"), visible("a\\u202eb\\x85")
    ('a␉b␛[31m', 'aU+202EbU+0085')
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character < " ":
        return chr(0x2400 + ord(character))  # the block "Control Pictures"
    if character in BIDI_CONTROLS or unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
        return f"U+{ord(character):04X}"
    return character
