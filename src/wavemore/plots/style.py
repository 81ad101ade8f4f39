"""What all figures share: colours and strokes that everyone can tell apart, fonts, and text that the fonts can show.

The colours are those of Okabe and Ito, which people with any kind of colour vision can distinguish
(https://jfly.uni-koeln.de/color/). Each series also has a stroke and a marker of its own, for print without colours.
"""

from functools import cache
from typing import Any
from unicodedata import combining

import matplotlib
from matplotlib.font_manager import FontProperties, fontManager, get_font

from wavemore.signs import sign

LOSS = "loss (nats per character)"

INK, FAINT, RULE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
SERIES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, INK)
STROKES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (9, 2)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

ON_DARK = {
    INK: "#e6edf3",
    FAINT: "#9aa4af",
    RULE: "#3d444d",
    PAPER: "#151b23",
    BLUE: "#4ea3e0",
    VERMILION: "#f57c3a",
    GREEN: "#2fc99b",
    PURPLE: "#e8a3c8",
    ORANGE: "#f4b942",
    SKY: "#9bd6ff",
}
"""The colour that replaces each of these in an SVG on a dark page."""

FONTS = (
    "DejaVu Sans",  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, symbols
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "Nirmala UI",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)
"""Fonts to look for a character in, in this order, as far as they are installed."""

_RC: dict[str, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a name may contain a $
    "axes.facecolor": PAPER,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
    "svg.hashsalt": "wavemore",  # without it the ids inside an SVG are random
    "svg.fonttype": "path",  # text as outlines: the same on every machine
}
_RC_GROUPS = ["axes", "errorbar", "figure", "font", "grid", "image", "legend", "lines", "mathtext", "patch", "path"]
_RC_GROUPS += ["polaraxes", "savefig", "scatter", "svg", "text", "xaxis", "xtick", "yaxis", "ytick"]


@cache
def rc_params() -> Any:
    """Matplotlib's own defaults with our settings over them, so that a user's matplotlibrc does not change a figure."""
    defaults = matplotlib.rcParamsDefault.items()
    styles = {name: value for name, value in defaults if name.partition(".")[0] in _RC_GROUPS}
    installed = set(fontManager.get_font_names())
    return {**styles, **_RC, "font.family": [name for name in FONTS if name in installed]}


def series_style(index: int) -> tuple[str, Any, str]:
    """Return colour, stroke and marker of the series with this index; the first 35 all differ."""
    shift = index + index // len(SERIES)
    return SERIES[index % len(SERIES)], STROKES[shift % len(STROKES)], MARKERS[shift % len(MARKERS)]


@cache
def drawn_sign(character: str) -> str:
    """Return `signs.sign` of a character, or its number if no font has it.

    >>> drawn_sign(" "), drawn_sign("\\U000f0000")
    ('␣', 'U+F0000')
    """
    shown = sign(character)
    return shown if all(map(_has_glyph, shown)) else f"U+{ord(character):04X}"


def label(text: str, longest: int = 60) -> str:
    """Return text as a figure can show it: on one line, without characters that the fonts lack, cut if it is too long.

    >>> label("a b\\u2028c"), label("x" * 9, longest=5)
    ('a bU+2028c', 'xxxx…')
    """
    shown = "".join(
        character if character == " " or (combining(character) and _has_glyph(character)) else drawn_sign(character)
        for character in text[: longest + 1]
    )
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"


@cache
def _has_glyph(character: str) -> bool:
    fonts = (get_font(fontManager.findfont(FontProperties(family=name))) for name in rc_params()["font.family"])
    return any(font.get_char_index(ord(character)) for font in fonts)
