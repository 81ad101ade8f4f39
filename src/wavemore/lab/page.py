"""One page of HTML that needs nothing else: pictures inside, no network, no scripts, light and dark, screen and print.

Words become `Html` in `text` and the functions below alone, so data is never read as markup.
"""

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, NewType

from wavemore import __version__

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Html = NewType("Html", str)

MARK = '<meta name="generator" content="wavemore '
"""What a page of ours holds, and no other file."""


def text(value: object) -> Html:
    """Words, as they are.

    >>> text("a <b> & c")
    'a &lt;b&gt; &amp; c'
    """
    return Html(escape(str(value)))


def page(title: str, lead: Sequence[Html], sections: Sequence[tuple[str, Sequence[Html]]]) -> str:
    """A whole page: its title, what stands first, and sections with their headings; those without parts are left out."""
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
        f"<title>{text(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{text(title)}</h1>\n{"".join(lead)}</header>\n<nav aria-label="Sections">{links}</nav>\n'
        f"{body}<footer>Made by wavemore {text(__version__)}.</footer>\n</main>\n</body>\n</html>\n"
    )


def _anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def paragraph(words: str, kind: str = "") -> Html:
    """A paragraph; its kind may be `note`, `warning` or `quiet`."""
    return Html(f"<p{f' class="{kind}"' if kind else ''}>{text(words)}</p>\n") if words else Html("")


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
    """A table that scrolls by itself where the screen is narrow; the columns in `left` are words, the others numbers."""
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
    from wavemore.lab.plots import to_svg

    data = base64.b64encode(to_svg(figure, page="any")).decode()
    below = f"<figcaption>{text(caption)}</figcaption>" if caption else ""
    width = round(figure.get_size_inches()[0] * 96)
    image = f'<img src="data:image/svg+xml;base64,{data}" alt="{text(alt)}" width="{width}">'
    return Html(f'<figure><div class="wide">{image}</div>{below}</figure>\n')


def side_by_side(parts: Iterable[Html]) -> Html:
    """Beside each other where there is room."""
    return Html(f'<div class="pair">{"".join(parts)}</div>\n')


STYLE = """
:root {
  --ink: #1f2328; --faint: #59636e; --rule: #d1d9e0; --paper: #ffffff; --card: #f6f8fa; --link: #0969da; --hot: #d55e00;
  --warn: #fff4d6; --warn-edge: #bf8700; color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e6edf3; --faint: #9aa4af; --rule: #3d444d; --paper: #0d1117; --card: #151b23; --link: #4493f8;
    --hot: #d55e00; --warn: #3a2a08; --warn-edge: #d29922;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
main { max-width: 66rem; margin: 0 auto; padding: 1.5rem clamp(0.9rem, 4vw, 2.5rem) 3rem; }
h1 { font-size: clamp(1.4rem, 4.5vw, 2.1rem); line-height: 1.2; margin: 0.4em 0 0.3em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.4em 0 0.6em; padding-bottom: 0.25em; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1.02rem; margin: 1.6em 0 0.4em; }
p, li, dd, td, figcaption { overflow-wrap: anywhere; }
p { max-width: 46rem; margin: 0.6em 0; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.2rem 1.1rem; font-size: 0.92rem; margin: 1.2rem 0 0; }
.quiet, footer, figcaption, small { color: var(--faint); }
.quiet, figcaption { font-size: 0.9rem; }
.note, .warning { background: var(--card); border-left: 4px solid var(--rule); padding: 0.6em 0.9em; }
.warning { background: var(--warn); border-color: var(--warn-edge); }
footer { margin-top: 3rem; font-size: 0.85rem; border-top: 1px solid var(--rule); padding-top: 0.8rem; }
code, pre { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 0.88em; }
pre {
  background: var(--card); border: 1px solid var(--rule); border-radius: 6px; padding: 0.7em 0.9em; margin: 0.6em 0;
  white-space: pre-wrap; overflow-wrap: anywhere;
}
pre.drawing { white-space: pre; overflow-x: auto; line-height: 1.2; }
dl { margin: 1rem 0; }
dt { color: var(--faint); font-size: 0.88rem; }
dd { margin: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.2rem, 1fr)); gap: 0.7rem; }
.tiles > div { background: var(--card); border: 1px solid var(--rule); border-radius: 8px; padding: 0.6rem 0.85rem; }
.tiles b { font-size: 1.45rem; font-variant-numeric: tabular-nums; font-weight: 650; }
.tiles small { font-size: 0.8rem; white-space: nowrap; }
.tiles > div:first-child { border: 2px solid var(--link); }
.facts { columns: 19rem; column-gap: 2.5rem; }
.facts > div {
  display: grid; grid-template-columns: 9.5rem minmax(0, 1fr); gap: 0.6rem; break-inside: avoid; padding: 0.18rem 0;
}
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: 0.32rem 0.9rem 0.32rem 0; vertical-align: top; white-space: nowrap; }
th { color: var(--faint); font-weight: 600; border-bottom: 1px solid var(--rule); vertical-align: bottom; }
td { border-bottom: 1px solid color-mix(in srgb, var(--rule) 50%, transparent); }
.left { text-align: left; }
td.left { white-space: pre-wrap; min-width: 6rem; }
figure { margin: 1rem 0; min-width: 0; }
img { display: block; max-width: 100%; height: auto; min-width: min(30rem, 150vw); }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 0 1.8rem; align-items: start; }
.lines { display: grid; gap: 0.7rem; margin: 0.8rem 0; }
.line { display: flex; flex-wrap: wrap; gap: 2px; align-items: flex-end; }
.line > i {
  font-style: normal; min-width: 1.75rem; padding: 0.12rem 0.2rem 0.05rem; border-radius: 4px; text-align: center;
  font-size: 1.05rem; line-height: 1.25; border: 1px solid var(--rule);
  background: color-mix(in srgb, var(--hot) var(--s), transparent);
}
.line > i > small { display: block; font-size: 0.66rem; color: inherit; font-variant-numeric: tabular-nums; }
.line > span { flex-basis: 100%; color: var(--faint); font-size: 0.82rem; }
.samples { columns: 13rem; column-gap: 2rem; padding: 0; list-style: none; margin: 0.8rem 0; }
.samples li { break-inside: avoid; padding: 0.12rem 0; white-space: pre-wrap; }
.samples small { margin-left: 0.5em; }
@media print {
  :root {
    --ink: #000; --faint: #444; --rule: #bbb; --paper: #fff; --card: #fff; --link: #000; color-scheme: light;
  }
  body { font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  nav { display: none; }
  figure, tr, .tiles > div, .line, pre { break-inside: avoid; }
  h2, h3 { break-after: avoid; }
  .wide { overflow: visible; }
  .line > i { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
