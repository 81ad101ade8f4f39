"""Visible signs for characters that would move, hide or reorder the text around them."""

import unicodedata

BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them (Unicode Standard Annex 9)."""

ALONE = {"": "⏎", "\n": "⏎", " ": "␣", "\u00a0": "⍽"}
"""Signs for characters that cannot be seen without other text around them; the empty string is the end of a line."""


def visible(text: str) -> str:
    """Replace control characters and direction marks with visible signs; all other characters remain.

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


def sign(character: str) -> str:
    """Return a visible sign for one character that is shown by itself, such as a label or the cell of a table.

    >>> [sign(character) for character in ("a", "", " ", "\\t", "\\u200d", "\\u0301")]
    ['a', '⏎', '␣', '␉', 'U+200D', '◌́']
    """
    if character in ALONE:
        return ALONE[character]
    category = unicodedata.category(character)
    if category[0] == "M":  # a combining mark needs a base character
        return f"◌{character}"
    if category[0] in "CZ" and character >= " ":
        return f"U+{ord(character):04X}"
    return visible(character)
