"""Visible signs for characters that would move, hide or reorder the text around them."""

import re
import unicodedata

OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ud800-\udfff]")
"""What a terminal or a page obeys instead of showing it: control characters, line separators, marks that change the
direction of the text (Unicode Standard Annex 9), and halves of characters (surrogates)."""

ALONE = {"": "⏎", "\n": "⏎", " ": "␣", "\u00a0": "⍽"}
"""Signs for characters that cannot be seen without other text around them; the empty string is the end of a line."""


def visible(text: str, keep: str = "") -> str:
    """Replace the characters that are obeyed by visible signs, except those in `keep`.

    >>> visible("a\\tb\\x1b[31m"), visible("a\\u202eb\\x85\\n", keep="\\n")
    ('a␉b␛[31m', 'aU+202EbU+0085\\n')
    """
    return OBEYED.sub(lambda match: match[0] if match[0] in keep else _sign(match[0]), text)


def cell(text: str) -> str:
    """Return a text for a cell of a table: visible, and with an apostrophe if it would be a formula in a spreadsheet.

    >>> cell("anna"), cell("=1+1"), cell("a\\tb")
    ('anna', "'=1+1", 'a␉b')
    """
    return f"'{visible(text)}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else visible(text)


def escaped(json: str) -> str:
    r"""Replace the characters that are obeyed by escapes in the text of JSON, which keeps its line feeds.

    >>> print(escaped('["a\u202eb\x7f"]'))
    ["a\u202eb\u007f"]
    """
    return OBEYED.sub(lambda match: match[0] if match[0] == "\n" else f"\\u{ord(match[0]):04x}", json)


def _sign(character: str) -> str:
    picture = chr(0x2400 + ord(character))  # the block "Control Pictures"
    return picture if character < " " else f"U+{ord(character):04X}"


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
