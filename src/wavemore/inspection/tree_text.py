"""The tree as text: which characters meet where, with a real line."""

import unicodedata
from collections.abc import Sequence
from math import prod

BOUNDARY = "·"
WIDEST = 78


def draw_tree(fuse: Sequence[int], context: str, target: str = "") -> str:
    """Draw how the characters of `context` are fused, oldest first; the boundary is drawn as a dot.

    `context` holds as many characters as the fusions see, with a line feed for the boundary; where that is wider than
    a terminal, only the newest ones are drawn.

    >>> print(draw_tree((2, 2), "\\n\\nem", "m"))
     ·  ·  e  m   T
     └┬─┘  └┬─┘
     ··    em     T/2
      └──┬──┘
       ··em       T/4   then: m
    """
    assert len(context) == prod(fuse), "one character for every position"
    fuse, context, cut = _cut(list(fuse), context)
    cell = max(1, min(3, WIDEST // len(context)))
    spans = [(place * cell + cell // 2, place * cell + cell // 2) for place in range(len(context))]
    rows = [_row([(_shown(character), *span) for character, span in zip(context, spans, strict=True)])]
    labels = ["T"]
    size = 1
    for n in fuse:
        groups = [spans[first : first + n] for first in range(0, len(spans), n)]
        rows.append(_row([_bracket(group) for group in groups]))
        labels.append("")
        size *= n
        spans = [((group[0][0] + group[-1][0]) // 2,) * 2 for group in groups]
        grams = [context[first : first + size] for first in range(0, len(context), size)]
        texts = ["".join(map(_shown, gram)) for gram in grams]
        rows.append(_row([(text, *span) for text, span in zip(texts, spans, strict=True)]))
        labels.append(f"T/{size}" if size > 1 else "T")
    width = max(map(_columns, rows)) + 3
    labels[-1] += f"   then: {_shown(target)}" if target else ""
    lines = [f"{row}{' ' * (width - _columns(row))}{label}".rstrip() for row, label in zip(rows, labels, strict=True)]
    return "\n".join([f"(the newest {len(context)} of {cut} characters)", *lines] if cut else lines)


def _cut(fuse: list[int], context: str) -> tuple[list[int], str, int]:
    """The newest child of the last fusion alone, until it fits; the third is the whole length, 0 where it fits."""
    whole = len(context)
    while len(context) > WIDEST and len(fuse) > 1:
        context = context[-(len(context) // fuse.pop()) :]
    if len(context) > WIDEST:
        context, fuse = context[-WIDEST:], [WIDEST]
    return fuse, context, whole if len(context) < whole else 0


def _bracket(spans: Sequence[tuple[int, int]]) -> tuple[str, int, int]:
    places = [span[0] for span in spans]
    first, last = places[0], places[-1]
    if first == last:
        return ("│", first, first)
    signs = dict.fromkeys(places, "┴") | {first: "└", last: "┘"}
    middle = (first + last) // 2
    signs[middle] = {"└": "├", "┘": "┤", "┴": "┼"}.get(signs.get(middle, ""), "┬")
    return ("".join(signs.get(place, "─") for place in range(first, last + 1)), first, last)


def _row(pieces: Sequence[tuple[str, int, int]]) -> str:
    """Each piece centred between two columns."""
    row = ""
    for text, first, last in pieces:
        start = (first + last - _columns(text) + 1) // 2
        row += " " * max(0, start - _columns(row)) + text
    return row


def _shown(text: str) -> str:
    """Signs that take room and move nothing."""
    return "".join(
        BOUNDARY
        if character == "\n"
        else "␣"
        if character == " "
        else character
        if character.isprintable() and not unicodedata.combining(character)
        else "\ufffd"
        for character in text
    )


def _columns(text: str) -> int:
    """Columns of a terminal: East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
