"""What all figures share: colours and strokes for every eye, letters that the font has, bytes that are always the same.

The colours are those of Okabe and Ito, which people with any kind of colour vision can tell apart
(https://jfly.uni-koeln.de/color/); every series has a stroke and a marker of its own too, for print without colours.
"""

import io
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any, Literal, NamedTuple, ParamSpec

import matplotlib
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, fontManager, get_font
from matplotlib.legend import Legend

P = ParamSpec("P")

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
"""What each colour becomes in an SVG that follows a dark page."""

FAMILIES = (
    "DejaVu Sans",  # comes with matplotlib: Latin, Greek, Cyrillic, Arabic, signs
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
"""Fonts that are asked for a letter, one after the other, where they are installed."""

_OURS: dict[str, Any] = {
    "figure.dpi": 100,
    "figure.facecolor": PAPER,
    "savefig.facecolor": "auto",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,  # a name may hold a $
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
    "svg.hashsalt": "wavemore",  # otherwise the names inside of an SVG are drawn by lot
    "svg.fonttype": "path",  # letters as outlines: the same on every machine
}
_LOOKS = ["axes", "errorbar", "figure", "font", "grid", "image", "legend", "lines", "mathtext", "patch", "path"]
_LOOKS += ["polaraxes", "savefig", "scatter", "svg", "text", "xaxis", "xtick", "yaxis", "ytick"]


@cache
def _settings() -> Any:
    """Matplotlib's own defaults and ours over them, so that nobody's matplotlibrc changes a figure."""
    defaults = {name: value for name, value in matplotlib.rcParamsDefault.items() if name.partition(".")[0] in _LOOKS}
    installed = set(fontManager.get_font_names())
    return {**defaults, **_OURS, "font.family": [name for name in FAMILIES if name in installed]}


class Picture(Figure):
    """A Figure that notebooks show by itself, and that looks the same under any settings of matplotlib."""

    def draw(self, renderer: Any) -> None:
        """Draw with our settings: some are looked up as late as here."""
        with matplotlib.rc_context(_settings()):
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """The picture for a notebook, sharp on fine screens, with its size in pixels."""
        width, height = self.get_size_inches() * 100
        return to_png(self), {"width": round(width), "height": round(height)}


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """Let a function that makes a figure do so with our settings, and put back those of its caller."""

    @wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with matplotlib.rc_context(_settings()):
            figure = draw(*args, **kwargs)
            engine = figure.get_layout_engine()
            assert engine is not None
            engine.execute(figure)  # it moves a little each time that it is made, so it is made here, once for all
            figure.set_layout_engine("none")
            return figure

    return inside


def canvas(width: float = 7.0, height: float = 4.0) -> Picture:
    """An empty figure of that many inches."""
    return Picture(figsize=(width, height), layout="constrained")


def one(title: str, x_label: str, y_label: str, *, width: float = 7.0, height: float = 4.0) -> tuple[Figure, Axes]:
    """A figure with one labelled pair of axes."""
    figure = canvas(width, height)
    axes = figure.add_subplot()
    axes.set_title(words(title, 80))
    axes.set_xlabel(words(x_label, 80))
    axes.set_ylabel(words(y_label, 80))
    axes.grid(axis="y")
    return figure, axes


def headline(figure: Figure, title: str) -> None:
    """The title of a figure whose axes begin far from its left edge."""
    figure.suptitle(words(title, 80), x=0.01, ha="left", fontsize=11, fontweight="bold")


def empty(axes: Axes, why: str) -> None:
    """Say in the middle of the axes why there is nothing to see."""
    axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", color=FAINT)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.grid(False)


class Look(NamedTuple):
    """How one series among several is told from the others."""

    color: str
    stroke: Any
    marker: str


def look(number: int) -> Look:
    """The look of the series of that number; all 35 first ones differ.

    >>> look(0).color == look(7).color, look(0) == look(7)
    (True, False)
    """
    group = number // len(SERIES)
    return Look(
        SERIES[number % len(SERIES)],
        STROKES[(number + group) % len(STROKES)],
        MARKERS[(number + group) % len(MARKERS)],
    )


def legend(owner: Axes | Figure, handles: Sequence[Artist], names: Sequence[str], **where: Any) -> Legend:
    """A legend with any names: matplotlib alone would leave out one that begins with _."""
    made = owner.legend(handles, [str(number) for number in range(len(names))], **where)
    for text, name in zip(made.get_texts(), names, strict=True):
        text.set_text(words(name))
    return made


@cache
def sign(character: str) -> str:
    """What stands for a character in a figure: itself, a visible sign, or its number where no font has it.

    >>> [sign(character) for character in ("a", " ", "\\t", "\\x07", "\\u0301")]
    ['a', '␣', '⇥', 'U+0007', '◌́']
    """
    if character in _SIGNS:
        return _SIGNS[character]
    kind = unicodedata.category(character)
    if kind[0] in "CZ" or not _has_glyph(character):
        return f"U+{ord(character):04X}"
    return f"◌{character}" if kind[0] == "M" else character


_SIGNS = {"": "⏎", "\n": "⏎", " ": "␣", "\t": "⇥", "\u00a0": "⍽"}


def words(text: str, longest: int = 60) -> str:
    """A name as a figure can show it: one line, no letter that the fonts lack, cut where it is too long.

    >>> words("a b\\tc"), words("x" * 9, longest=5)
    ('a b⇥c', 'xxxx…')
    """
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(
        character if character == " " or (unicodedata.category(character)[0] == "M" and _has_glyph(character)) else
        sign(character)
        for character in text
    )  # fmt: skip


@cache
def _has_glyph(character: str) -> bool:
    return any(font.get_char_index(ord(character)) for font in _fonts())


@cache
def _fonts() -> list[Any]:
    families = _settings()["font.family"]
    return [get_font(fontManager.findfont(FontProperties(family=name))) for name in families]


def to_png(figure: Figure, dpi: float = 200) -> bytes:
    """The figure as PNG; the same figure gives the same bytes."""
    return _saved(figure, "png", {"Software": None}, dpi=dpi)


def to_svg(figure: Figure, *, page: Literal["white", "any"] = "white") -> bytes:
    """The figure as SVG; the same figure gives the same bytes.

    With page "any" it has no background, and its colours follow the reader's choice of a light or a dark page.
    """
    facts = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    if page == "white":
        return _saved(figure, "svg", facts)
    return _follow_the_page(_saved(figure, "svg", facts, transparent=True).decode()).encode()


def to_pdf(figure: Figure) -> bytes:
    """The figure as PDF, for print; the same figure gives the same bytes."""
    return _saved(figure, "pdf", dict.fromkeys(("CreationDate", "Creator", "Producer")))


def _saved(figure: Figure, kind: str, facts: dict[str, Any], **how: Any) -> bytes:
    file = io.BytesIO()
    with matplotlib.rc_context(_settings()):
        figure.savefig(file, format=kind, metadata=facts, **how)
    return file.getvalue()


def _follow_the_page(svg: str) -> str:
    """Each colour becomes a variable with a value for light pages and one for dark ones."""
    names = {color: f"--c{number}" for number, color in enumerate(ON_DARK)}
    svg = re.sub("|".join(ON_DARK), lambda found: f"var({names[found[0]]})", svg)
    light = "".join(f"{name}:{color};" for color, name in names.items())
    dark = "".join(f"{name}:{ON_DARK[color]};" for color, name in names.items())
    rules = f"svg{{{light}}}@media (prefers-color-scheme: dark){{svg{{{dark}}}}}"
    return svg.replace("<defs>", f"<style>{rules}</style>\n<defs>", 1)
