"""HTML by hand: one way to escape text, and one table.

Text becomes markup in `text` alone, so data is never read as markup, and all of it is visible. Nothing here sets a
colour, so the result can be read on light and on dark pages.
"""

from collections.abc import Iterable, Sequence
from html import escape
from math import inf
from pathlib import Path
from typing import NewType

from wavemore.errors import RunError
from wavemore.files import check_regular
from wavemore.signs import visible

Html = NewType("Html", str)

ACCENT = "#2f86d1"
"""The colour that marks what matters: its contrast is 3.7 against white and 4.6 against #111."""

MARK = '<meta name="generator" content="wavemore '
"""Every page that wavemore writes contains this, and no other file does."""


def is_page(path: Path) -> bool:
    """Whether a file is a page that wavemore wrote."""
    try:
        check_regular(path, inf, follow=True)
        with path.open("rb") as file:
            return MARK.encode() in file.read(1_000)
    except (OSError, RunError):
        return False


def text(value: object) -> Html:
    """Return text as markup: special characters are escaped, and all that a page would obey is visible.

    >>> text("a <b> & c\\u202e\\n")
    'a &lt;b&gt; &amp; cU+202E\\n'
    """
    return Html(escape(visible(str(value), keep="\n")))


def table(header: Sequence[str], rows: Iterable[Sequence[Html]], left: Sequence[int] = (0,)) -> Html:
    """Build a table; the columns with an index in `left` hold text, the others numbers.

    >>> table(["name", "nats"], [[text("ann"), text(2.5)]]).count("<td")
    2
    """
    sides = ["left" if column in left else "right" for column in range(len(header))]

    def row(tag: str, cells: Sequence[Html]) -> str:
        styled = (
            f"<{tag} style='text-align:{side};padding:0.1em 0.7em'>{cell}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{''.join(styled)}</tr>"

    head = row("th", [text(name) for name in header])
    body = "".join(row("td", cells) for cells in rows)
    return Html(f"<table style='color:inherit;background:none'><thead>{head}</thead><tbody>{body}</tbody></table>")
