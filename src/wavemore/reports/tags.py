"""One page of HTML that needs nothing else: pictures inside, no network, no scripts, light and dark, screen and print.

Words become `Html` in `text` and the functions below alone, so data is never read as markup.
"""

import base64
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, NewType

from wavemore.version import __version__

if TYPE_CHECKING:
    from wavemore.plots import Figure

Html = NewType("Html", str)

MARK = '<meta name="generator" content="wavemore '
"""What a page of ours holds, and no other file."""


def text(value: object) -> Html:
    """Words, as they are.

    >>> text("a <b> & c")
    'a &lt;b&gt; &amp; c'
    """
    return Html(escape(str(value)))


def visible(words: str) -> str:
    """Words without what would move or hide others: signs for controls and for changes of direction.

    >>> visible("a\\x07\\u202eb")
    'aU+0007U+202Eb'
    """
    return "".join(
        f"U+{ord(character):04X}" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") else character
        for character in words
    )


def page(title: str, lead: Sequence[Html], sections: Sequence[tuple[str, Sequence[Html]]]) -> str:
    """A page: its title, what stands first, and sections with their headings; those without parts are not there."""
    shown = [(heading, parts) for heading, parts in sections if parts]
    links = "".join(f'<a href="#{_anchor(heading)}">{text(heading)}</a>' for heading, _ in shown)
    body = "".join(
        f'<section id="{_anchor(heading)}"><h2>{text(heading)}</h2>\n{"".join(parts)}</section>\n'
        for heading, parts in shown
    )
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}{__version__}">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{_style()}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{text(title)}</h1>\n{"".join(lead)}</header>\n<nav aria-label="Sections">{links}</nav>\n'
        f"{body}<footer>Made by wavemore {text(__version__)}.</footer>\n</main>\n</body>\n</html>\n"
    )


def _style() -> str:
    return (files("wavemore.reports") / "page.css").read_text(encoding="utf-8")


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def is_page(path: Path) -> bool:
    """Whether a file is a page of ours."""
    try:
        with path.open("rb") as file:
            return MARK.encode() in file.read(1_000)
    except OSError:
        return False


def paragraph(words: str, kind: str = "") -> Html:
    """A paragraph; its kind may be `note`, `warning` or `quiet`."""
    opened = f'<p class="{kind}">' if kind else "<p>"
    return Html(f"{opened}{text(words)}</p>\n") if words else Html("")


def command(words: str) -> Html:
    """What can be typed into a terminal."""
    return Html(f'<pre tabindex="0"><code>{text(words)}</code></pre>\n')


def tiles(numbers: Iterable[tuple[str, str, str]]) -> Html:
    """The numbers that matter most: what, how much, of which unit."""
    made = "".join(
        f"<div><dt>{text(what)}</dt><dd><b>{text(value)}</b> <small>{text(unit)}</small></dd></div>"
        for what, value, unit in numbers
    )
    return Html(f'<dl class="tiles">{made}</dl>\n')


def facts(rows: Mapping[str, object]) -> Html:
    """Names and values, one below the other."""
    made = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in rows.items())
    return Html(f'<dl class="facts">{made}</dl>\n')


def table(header: Sequence[str], rows: Iterable[Sequence[Html]], left: Sequence[int] = (0,)) -> Html:
    """A table that scrolls alone where the screen is narrow; the columns in `left` are words, the others numbers."""
    sides = [' class="left"' if place in left else "" for place in range(len(header))]
    head = "".join(f'<th scope="col"{side}>{text(name)}</th>' for name, side in zip(header, sides, strict=True))
    body = "".join(
        f"<tr>{''.join(f'<td{side}>{cell}</td>' for cell, side in zip(row, sides, strict=False))}</tr>\n"
        for row in rows
    )
    return Html(
        f'<div class="wide" tabindex="0"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'
    )


def items(entries: Iterable[Html]) -> Html:
    """A list; empty where there are no entries."""
    made = "".join(f"<li>{entry}</li>\n" for entry in entries)
    return Html(f"<ul>{made}</ul>\n") if made else Html("")


def picture(figure: "Figure", alt: str, caption: str = "") -> Html:
    """A figure that follows the colours of the page, with words for those who cannot see it."""
    from wavemore.plots import to_svg

    data = base64.b64encode(to_svg(figure, page="any")).decode()
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    width = round(figure.get_size_inches()[0] * 96)
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{text(alt)}" width="{width}">'
    return Html(f'<figure><div class="wide">{image}</div>{below}</figure>\n')


def side_by_side(parts: Iterable[Html]) -> Html:
    """Beside each other where there is room."""
    return Html(f'<div class="pair">{"".join(parts)}</div>\n')
