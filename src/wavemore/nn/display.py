"""How a model shows itself in Jupyter and VS Code: its layers in a table, and which positions meet where as a drawing.

The colours are the page's own (`currentColor`) and one that is read on light and on dark, as a notebook's theme is
not that of the system. The drawing is SVG and the whole is well-formed XML; words become markup in `text` alone.

Shapes: B batch, T time, C channels, V vocabulary.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from math import prod
from typing import TYPE_CHECKING

from torch import Tensor, nn

from wavemore.nn.config import MlpConfig, NgramConfig, TreeConfig, WaveNetConfig
from wavemore.nn.layers import CausalConv1d, FlattenConsecutive, GatedTanh, Linear, SwiGLU

if TYPE_CHECKING:
    from wavemore.nn.model import Model

ACCENT = "#2f86d1"
"""A contrast of 3.7 against white and of 4.6 against #111."""
WIDEST = 64
"""Positions that are drawn side by side."""
LEFT = 118
"""Of a drawing, for what its rows are."""
GAP = 34
"""Between its rows."""

Level = tuple[str, list[tuple[int, tuple[int, ...]]]]
"""What a row is, and its nodes: the newest position that each sees, and the positions of its children in the row below,
all from the right; the last node of the last row is the prediction's."""


def text(words: object) -> str:
    """Words, never read as markup.

    >>> text("<script>")
    '&lt;script&gt;'
    """
    return escape(str(words))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> str:
    """A table of plain words without colours of its own; the columns in `left` are words, the others numbers."""

    sides = ["left" if place in left else "right" for place in range(len(header))]

    def cells(kind: str, row: Sequence[str]) -> str:
        return "".join(
            f"<{kind} style='text-align:{side};padding:0.1em 0.7em'>{text(cell)}</{kind}>"
            for cell, side in zip(row, sides, strict=True)
        )

    head = f"<thead><tr>{cells('th', header)}</tr></thead>"
    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table style='color:inherit;background:none'>{head}<tbody>{body}</tbody></table>"


def model_html(model: "Model") -> str:
    """The name, the size, what a prediction sees, the layers and, of a tree and a WaveNet, the drawing."""
    config = model.config
    sees = "the whole line so far" if model.context is None else f"{model.context:,} character"
    sees += "s" if model.context is not None and model.context != 1 else ""
    counts = f"{model.parameter_count():,} parameters"
    if isinstance(config, NgramConfig):
        counts = f"{sum(len(shares) for shares in _shares(model)):,} counted n-grams"
    rows = list(_levels_of(model) if isinstance(config, NgramConfig) else _layers_of(model))
    header = ["context", "contexts", "n-grams"] if isinstance(config, NgramConfig) else HEADER
    return (
        "<div class='wavemore-model'>"
        f"<p><b>{text(type(model).__name__)}</b>: {text(config.words)}<br/>"
        f"<small>{counts}, a vocabulary of {model.vocabulary_size:,}; a prediction sees {sees}</small></p>"
        f"{_drawing_of(model)}<div style='overflow-x:auto'>{table(header, rows, left=(0, 1, 2))}</div></div>"
    )


HEADER = ["", "layer", "shape", "params"]


def _layers_of(model: "Model") -> Iterator[list[str]]:
    """A row a layer, in the order in which they stand: where, what, the shape of what it gives, its parameters."""
    windows = isinstance(model.config, TreeConfig | MlpConfig)
    time, channels = (model.context or 0) if windows else 0, 0
    counted: set[int] = set()
    for path, layer in model.named_modules():
        if list(layer.children()) or isinstance(layer, nn.Identity):
            continue
        if isinstance(layer, FlattenConsecutive):
            time, channels = time // layer.n, layer.n * channels
        channels = _channels(layer, channels)
        own = [parameter for parameter in layer.parameters() if id(parameter) not in counted]
        counted |= {id(parameter) for parameter in own}
        number = sum(parameter.numel() for parameter in own)
        shape = f"(B, {time if windows else 'T'}, {channels})"
        settings = "" if isinstance(layer, nn.RNNBase) else layer.extra_repr()
        words = f"{type(layer).__name__}({settings})" if settings else type(layer).__name__
        yield [path.removeprefix("layers."), words, shape, f"{number:,}" if number else ""]


def _channels(layer: nn.Module, channels: int) -> int:
    """The channels of what a layer gives; those of what it was given, where it changes none."""
    if isinstance(layer, GatedTanh | SwiGLU):
        return channels // 2
    if isinstance(layer, CausalConv1d):
        return layer.out_channels
    if isinstance(layer, Linear | nn.Linear):
        return layer.out_features
    if isinstance(layer, nn.RNNBase):
        return layer.hidden_size
    told = getattr(layer, "embedding_dim", None)
    return told if isinstance(told, int) else channels


def _levels_of(model: "Model") -> Iterator[list[str]]:
    """A row for each length of context of an n-gram model."""
    for length, (level, shares) in enumerate(
        zip(model.get_submodule("levels").children(), _shares(model), strict=True)
    ):
        contexts = level.get_buffer("contexts")
        yield [f"{length} character{'s' if length != 1 else ''}", f"{len(contexts):,}", f"{len(shares):,}"]


def _shares(model: "Model") -> list[Tensor]:
    return [level.get_buffer("shares") for level in model.get_submodule("levels").children()]


def _drawing_of(model: "Model") -> str:
    config = model.config
    if isinstance(config, MlpConfig):
        config = config.tree
    if isinstance(config, TreeConfig):
        return drawing(*tree_levels(config.fuse))
    if isinstance(config, WaveNetConfig):
        return drawing(*wavenet_levels(config.dilations * config.cycles, config.kernel_size))
    return ""


def tree_levels(fuse: Sequence[int]) -> tuple[list[Level], int]:
    """The rows of a tree from the characters up, and how many of its fusions are too wide to be drawn.

    >>> levels, left_out = tree_levels((2, 2))
    >>> [(name, [place for place, _ in nodes]) for name, nodes in levels]
    [('4 characters', [3, 2, 1, 0]), ('fuse 2', [2, 0]), ('fuse 2', [0])]
    """
    sizes = list(fuse)
    while prod(sizes) > WIDEST:
        sizes.pop()
    span = prod(sizes)
    levels: list[Level] = [(_characters(span), [(place, ()) for place in reversed(range(span))])]
    size = 1
    for n in sizes:
        below, size = size, size * n
        nodes = [(place, tuple(range(place, place + size, below))) for place in range(0, span, size)]
        levels.append((f"fuse {n}", nodes[::-1]))
    return levels, len(fuse) - len(sizes)


def wavenet_levels(dilations: Sequence[int], kernel_size: int) -> tuple[list[Level], int]:
    """The rows of a stack of dilated convolutions, and how many of its blocks are too wide to be drawn.

    >>> levels, left_out = wavenet_levels((1, 2), kernel_size=2)
    >>> levels[2]
    ('dilation 2', [(3, (3,)), (2, (2,)), (1, (1, 3)), (0, (0, 2))])
    """
    chosen = list(dilations)
    while 1 + (kernel_size - 1) * sum(chosen) > WIDEST:
        chosen.pop()
    span = 1 + (kernel_size - 1) * sum(chosen)
    levels: list[Level] = [(_characters(span), [(place, ()) for place in reversed(range(span))])]
    for d in chosen:
        seen = [(place, tuple(range(place, min(span, place + kernel_size * d), d))) for place in range(span)]
        levels.append((f"dilation {d}", seen[::-1]))
    return levels, len(dilations) - len(chosen)


def _characters(count: int) -> str:
    return f"{count} character{'s' if count > 1 else ''}"


def drawing(levels: Sequence[Level], left_out: int = 0) -> str:
    """Rows of nodes from the bottom up, the newest position at the right; what the newest node sees stands out."""
    if len(levels) == 1:  # nothing fits
        return ""
    span = len(levels[0][1])
    step = max(9, min(30, 560 // span))
    width, height = LEFT + step * span + 10, GAP * (len(levels) - 1) + 40
    used: list[set[int]] = [set() for _ in levels]
    used[-1] = {levels[-1][1][-1][0]}
    for row in range(len(levels) - 1, 0, -1):
        used[row - 1] = {child for place, children in levels[row][1] if place in used[row] for child in children}
    xs: dict[int, float] = {place: LEFT + step * (span - place - 0.5) for place in range(span)}
    radius = max(2.5, min(5, step / 4))
    lines, nodes, names = {False: "", True: ""}, "", ""
    for row, (name, at) in enumerate(levels):
        y, below = height - 20 - GAP * row, xs
        if name.startswith("fuse"):  # a fused node stands in the middle of what it is fused from
            xs = {place: sum(below[child] for child in children) / len(children) for place, children in at}
        names += f"<text x='0' y='{y + 4}' font-size='12' fill='currentColor'>{text(name)}</text>"
        for place, children in at:
            on = place in used[row]
            for child in children:
                lines[on] += f"M{below[child]:g} {y + GAP}L{xs[place]:g} {y}"
            look = f"fill='{ACCENT}'" if on else "fill='none' stroke='currentColor' stroke-opacity='0.4'"
            nodes += f"<circle cx='{xs[place]:g}' cy='{y}' r='{radius:g}' {look}/>"
    title = f"Which of {_characters(span)} the newest node sees, layer by layer"
    note = f"<p><small>Above these {len(levels) - 1} stand {left_out} more.</small></p>" if left_out else ""
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
        f"role='img' style='max-width:100%;height:auto;font-family:sans-serif'><title>{title}</title>"
        f"<path d='{lines[False]}' fill='none' stroke='currentColor' stroke-opacity='0.15'/>"
        f"<path d='{lines[True]}' fill='none' stroke='{ACCENT}' stroke-width='1.5'/>{nodes}{names}</svg>{note}"
    )
