"""The tree as text: which characters meet where, with a real line."""

import unicodedata
from collections.abc import Sequence
from math import prod

from wavemore.signs import visible

MAX_WIDTH = 78


def draw_tree(fuse: Sequence[int], context: str, target: str) -> str:
    """Draw how the characters of `context` are fused, oldest first.

    `context` has as many characters as the fusions see; a line feed is a boundary, drawn as a dot. If the tree is wider
    than a terminal, only the newest characters are drawn.

    >>> print(draw_tree((2, 2), "\\n\\nem", "m"))
     ·  ·  e  m   T
     └┬─┘  └┬─┘
     ··    em     T/2
      └──┬──┘
       ··em       T/4   then: m
    """
    assert len(context) == prod(fuse), "one character per position"
    length = len(context)
    fuse, context = _newest(list(fuse), context)
    cell = max(1, min(3, MAX_WIDTH // len(context)))
    centers = [place * cell + cell // 2 for place in range(len(context))]
    rows = [_row([(_sign(character), center, center) for character, center in zip(context, centers, strict=True)])]
    labels = ["T"]
    size = 1
    for n in fuse:
        groups = [centers[first : first + n] for first in range(0, len(centers), n)]
        rows.append(_row([(_bracket(group), group[0], group[-1]) for group in groups]))
        labels.append("")
        size *= n
        centers = [(group[0] + group[-1]) // 2 for group in groups]
        texts = ["".join(map(_sign, context[first : first + size])) for first in range(0, len(context), size)]
        rows.append(_row([(text, center, center) for text, center in zip(texts, centers, strict=True)]))
        labels.append(f"T/{size}" if size > 1 else "T")
    labels[-1] += f"   then: {_sign(target)}"
    width = max(map(_columns, rows)) + 3
    lines = [f"{row}{' ' * (width - _columns(row))}{label}".rstrip() for row, label in zip(rows, labels, strict=True)]
    if len(context) < length:
        lines.insert(0, f"(the newest {len(context)} of {length} characters)")
    return "\n".join(lines)


def _newest(fuse: list[int], context: str) -> tuple[list[int], str]:
    """Keep only the newest child of the last fusion until the tree fits."""
    while len(context) > MAX_WIDTH and len(fuse) > 1:
        context = context[-(len(context) // fuse.pop()) :]
    if len(context) > MAX_WIDTH:
        return [MAX_WIDTH], context[-MAX_WIDTH:]
    return fuse, context


def _bracket(centers: Sequence[int]) -> str:
    first, last = centers[0], centers[-1]
    if first == last:
        return "│"
    signs = dict.fromkeys(centers, "┴") | {first: "└", last: "┘"}
    middle = (first + last) // 2
    signs[middle] = {"└": "├", "┘": "┤", "┴": "┼"}.get(signs.get(middle, ""), "┬")
    return "".join(signs.get(place, "─") for place in range(first, last + 1))


def _row(pieces: Sequence[tuple[str, int, int]]) -> str:
    """Write each text centred between two columns."""
    row = ""
    for text, first, last in pieces:
        start = (first + last - _columns(text) + 1) // 2
        row += " " * max(0, start - _columns(row)) + text
    return row


def _sign(character: str) -> str:
    return {"\n": "·", " ": "␣"}.get(character) or visible(character)


def _columns(text: str) -> int:
    """Columns of a terminal: East Asian characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)
