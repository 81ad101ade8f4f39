"""How a model displays itself in Jupyter and VS Code: its layers in a table, and a drawing of which characters meet.

Colours are the page's own (`currentColor`) and one that is readable on light and on dark, as a notebook's theme may
differ from the system's. The drawing is SVG, small enough for a window of 420 pixels.

Shapes: B batch, T time, C channels.
"""

from collections.abc import Iterator, Sequence
from math import prod
from typing import TypeAlias

from torch import nn

from wavemore.html import ACCENT, Html, table, text
from wavemore.nn.activations import GATES
from wavemore.nn.config import ModelConfig
from wavemore.nn.layers import CausalConv1d, FlattenConsecutive

MAX_POSITIONS = 64
"""The most positions that are drawn side by side."""
LABEL_WIDTH, ROWS_WIDTH, ROW_HEIGHT = 94, 310, 34
"""Sizes of a drawing in pixels: the labels of its rows, the nodes beside them, and the distance between two rows."""

Row: TypeAlias = tuple[str, list[tuple[int, tuple[int, ...]]]]
"""A label and its nodes. A node is the position of the latest character that it sees, counted from the right, and the
positions of its children in the row below. The last node of the last row makes the prediction."""


def model_html(model: nn.Module, config: ModelConfig, size: str, details: Html | None = None) -> Html:
    """Return a model's name, settings, size and context, the drawing of a tree or a WaveNet, and the table of layers.

    `details` replaces the table.
    """
    context = "the whole line so far" if config.receptive_field is None else _characters(config.receptive_field)
    if details is None:
        cells = [[text(cell) for cell in row] for row in _layer_rows(model, config.receptive_field or 0)]
        details = table(["", "layer", "shape", "params"], cells, left=(0, 1, 2))
    return Html(
        "<div class='wavemore-model'>"
        f"<p><b>{text(type(model).__name__)}</b>: {text(config.describe())}<br/>"
        f"<small>{text(size)}; a prediction sees {context}</small></p>"
        f"{_drawing_of(model)}<div style='overflow-x:auto'>{details}</div></div>"
    )


def _layer_rows(model: nn.Module, time: int) -> Iterator[list[str]]:
    """One row per layer, in the order of the model: its path, its class, the shape of its output, its parameters."""
    layers = [(path, layer) for path, layer in model.named_modules() if not list(layer.children())]
    is_tree = any(isinstance(layer, FlattenConsecutive) for _, layer in layers)
    channels = 0
    counted: set[int] = set()  # a parameter that two layers share is counted once
    for path, layer in layers:
        if isinstance(layer, nn.Identity):
            continue
        if isinstance(layer, FlattenConsecutive):
            time //= layer.n
        channels = _channels(layer, channels)
        parameters = [parameter for parameter in layer.parameters() if id(parameter) not in counted]
        counted |= {id(parameter) for parameter in parameters}
        count = sum(parameter.numel() for parameter in parameters)
        settings = "" if isinstance(layer, nn.RNNBase) else layer.extra_repr()
        name = type(layer).__name__ + (f"({settings})" if settings else "")
        shape = f"(B, {time if is_tree else 'T'}, {channels})"
        yield [path.removeprefix("layers."), name, shape, f"{count:,}" if count else ""]


def _channels(layer: nn.Module, channels: int) -> int:
    """The channels of a layer's output, if its input has `channels`."""
    if isinstance(layer, tuple(GATES.values())):
        return channels // 2
    if isinstance(layer, FlattenConsecutive):
        return layer.n * channels
    for name in ("out_features", "out_channels", "hidden_size", "embedding_dim"):
        if isinstance(number := getattr(layer, name, None), int):
            return number
    return channels


def _drawing_of(model: nn.Module) -> Html:
    layers = list(model.modules())
    if fuse := [layer.n for layer in layers if isinstance(layer, FlattenConsecutive)]:
        return draw(*tree_rows(fuse))
    if convolutions := [layer for layer in layers if isinstance(layer, CausalConv1d)]:
        return draw(*wavenet_rows([layer.dilation for layer in convolutions], convolutions[0].kernel_size))
    return Html("")


def tree_rows(fuse: Sequence[int]) -> tuple[list[Row], int]:
    """Return the rows of a tree from the characters up, and the number of fusions that are too wide to be drawn."""
    sizes = list(fuse)
    while prod(sizes) > MAX_POSITIONS:
        sizes.pop()
    count = prod(sizes)
    rows: list[Row] = [_character_row(count)]
    size = 1
    for n in sizes:
        below, size = size, size * n
        nodes = [(position, tuple(range(position, position + size, below))) for position in range(0, count, size)]
        rows.append((f"fuse {n}", nodes[::-1]))
    return rows, len(fuse) - len(sizes)


def wavenet_rows(dilations: Sequence[int], kernel_size: int) -> tuple[list[Row], int]:
    """Return the rows of a stack of dilated convolutions, and the number of blocks that are too wide to be drawn."""
    drawn = list(dilations)
    while 1 + (kernel_size - 1) * sum(drawn) > MAX_POSITIONS:
        drawn.pop()
    count = 1 + (kernel_size - 1) * sum(drawn)
    rows: list[Row] = [_character_row(count)]
    for d in drawn:
        ends = [(position, min(count, position + kernel_size * d)) for position in reversed(range(count))]
        rows.append((f"dilation {d}", [(position, tuple(range(position, end, d))) for position, end in ends]))
    return rows, len(dilations) - len(drawn)


def _character_row(count: int) -> Row:
    return _characters(count), [(position, ()) for position in reversed(range(count))]


def _characters(count: int) -> str:
    return f"{count:,} character{'s' if count != 1 else ''}"


def draw(rows: Sequence[Row], omitted: int = 0) -> Html:
    """Draw rows of nodes from the bottom up, the latest position at the right; what the last node sees is coloured."""
    if len(rows) == 1:  # not even the first fusion fits
        return Html("")
    count = len(rows[0][1])
    step = min(30, ROWS_WIDTH / count)
    width, height = LABEL_WIDTH + step * count + 10, ROW_HEIGHT * (len(rows) - 1) + 40
    used = _used_nodes(rows)
    xs: dict[int, float] = {position: LABEL_WIDTH + step * (count - position - 0.5) for position in range(count)}
    lines, nodes, labels = {False: "", True: ""}, "", ""
    for number, (label, positions) in enumerate(rows):
        y, below = height - 20 - ROW_HEIGHT * number, xs
        if label.startswith("fuse"):  # a fused node is drawn above the middle of its children
            xs = {position: sum(below[child] for child in children) / len(children) for position, children in positions}
        labels += f"<text x='0' y='{y + 4}' font-size='12' fill='currentColor'>{text(label)}</text>"
        for position, children in positions:
            is_used = position in used[number]
            for child in children:
                lines[is_used] += f"M{below[child]:g} {y + ROW_HEIGHT}L{xs[position]:g} {y}"
            style = f"fill='{ACCENT}'" if is_used else "fill='none' stroke='currentColor' stroke-opacity='0.4'"
            nodes += f"<circle cx='{xs[position]:g}' cy='{y}' r='{max(1.8, min(5, step / 4)):g}' {style}/>"
    title = f"Which of {_characters(count)} the prediction sees, layer by layer"
    note = f"<p><small>{omitted} more above these {len(rows) - 1}.</small></p>" if omitted else ""
    return Html(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:g} {height}' width='{width:g}' height='{height}' "
        f"role='img' style='max-width:100%;height:auto;font-family:sans-serif'><title>{title}</title>"
        f"<path d='{lines[False]}' fill='none' stroke='currentColor' stroke-opacity='0.15'/>"
        f"<path d='{lines[True]}' fill='none' stroke='{ACCENT}' stroke-width='1.5'/>{nodes}{labels}</svg>{note}"
    )


def _used_nodes(rows: Sequence[Row]) -> list[set[int]]:
    """The positions of the nodes in each row that the last node of the last row depends on."""
    used = [{rows[-1][1][-1][0]}]
    for _, nodes in reversed(rows[1:]):
        used.append({child for position, children in nodes if position in used[-1] for child in children})
    return used[::-1]
