"""The parts of a page: one HTML file without network or scripts, for light and dark, for screen and print.

Text becomes markup only here and in `wavemore.html`.
"""

import base64
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

from wavemore.html import MARK, Html, text
from wavemore.plots import Figure, to_svg
from wavemore.version import __version__


def page(title: str, lead: Sequence[Html], sections: Sequence[tuple[str, Sequence[Html]]]) -> str:
    """Return a page: its title, an introduction, and sections with their headings; empty sections are left out."""
    sections = [(heading, parts) for heading, parts in sections if parts]
    links = "".join(f'<a href="#{_anchor(heading)}">{text(heading)}</a>' for heading, _ in sections)
    body = "".join(
        f'<section id="{_anchor(heading)}"><h2>{text(heading)}</h2>\n{"".join(parts)}</section>\n'
        for heading, parts in sections
    )
    style = (files("wavemore.reports") / "page.css").read_text(encoding="utf-8")
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{MARK}{__version__}">\n'
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{text(title)}</h1>\n{"".join(lead)}</header>\n<nav aria-label="Sections">{links}</nav>\n'
        f"{body}<footer>Made by wavemore {text(__version__)}.</footer>\n</main>\n</body>\n</html>\n"
    )


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def paragraph(content: str, kind: str = "") -> Html:
    """Return a paragraph, empty for no text; its kind may be `note`, `warning` or `quiet`."""
    tag = f'<p class="{kind}">' if kind else "<p>"
    return Html(f"{tag}{text(content)}</p>\n") if content else Html("")


def command(*words: object) -> Html:
    """Return a command that can be copied to a terminal."""
    return Html(f'<pre tabindex="0"><code>{text(shlex.join(map(str, words)))}</code></pre>\n')


def tiles(numbers: Iterable[tuple[str, str, str]]) -> Html:
    """Return the most important numbers: name, value, unit."""
    entries = "".join(
        f"<div><dt>{text(name)}</dt><dd><b>{text(value)}</b> <small>{text(unit)}</small></dd></div>"
        for name, value, unit in numbers
    )
    return Html(f'<dl class="tiles">{entries}</dl>\n')


def facts(values: Mapping[str, object]) -> Html:
    """Return names and values in a list."""
    entries = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in values.items())
    return Html(f'<dl class="facts">{entries}</dl>\n')


def picture(figure: Figure, description: str, caption: str = "") -> Html:
    """Return a figure in the colours of the page; the description is for readers who cannot see it."""
    data = base64.b64encode(to_svg(figure, page="any")).decode()
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    width = round(figure.get_size_inches()[0] * 96)
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{text(description)}" width="{width}">'
    return Html(f'<figure><div class="wide">{image}</div>{below}</figure>\n')


def side_by_side(parts: Iterable[Html]) -> Html:
    """Put parts next to each other if the screen is wide enough."""
    return Html(f'<div class="pair">{"".join(parts)}</div>\n')
