"""Draw the pictures of the documentation: `python docs/pictures/draw.py`. A test fails if they are stale.

The curves come from records/. scripts/pages.py draws terminal.svg.
"""

import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

STYLE = """
  text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 13px; fill: #24292f; text-anchor: middle; }
  .mono { font-family: ui-monospace, monospace; font-size: 15px; }
  .small { font-size: 11.5px; fill: #57606a; }
  .left { text-anchor: start; }
  .box { fill: #ddf4ff; stroke: #0969da; }
  .new { fill: #fff1d6; stroke: #bf8700; }
  .out { fill: #dafbe1; stroke: #1a7f37; }
  .line { stroke: #8c959f; stroke-width: 1.4; fill: none; }
  .faint { stroke: #d1d9e0; stroke-width: 1; fill: none; }
  .strong { stroke: #bf8700; stroke-width: 2.2; fill: none; }
  .curve { stroke: #0969da; stroke-width: 2.2; fill: none; }
  .dot { fill: #0969da; } .node { fill: #ddf4ff; stroke: #0969da; } .seen { fill: #fff1d6; stroke: #bf8700; }
  .right { text-anchor: end; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9198a1; }
    .box { fill: #0c2d4d; stroke: #4493f8; } .new { fill: #4b2e0a; stroke: #d29922; }
    .out { fill: #113d20; stroke: #3fb950; } .line { stroke: #656c76; }
    .faint { stroke: #30363d; } .strong { stroke: #d29922; } .curve { stroke: #4493f8; } .dot { fill: #4493f8; }
    .node { fill: #0c2d4d; stroke: #4493f8; } .seen { fill: #4b2e0a; stroke: #d29922; }
  }
"""


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    """Return a picture as SVG."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}">\n<title>{title}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def box(x: float, y: float, text: str, width: float = 46, kind: str = "box") -> str:
    """Return a rounded box with its text, centred at x, y."""
    return (
        f'<rect class="{kind}" x="{x - width / 2:g}" y="{y - 15:g}" width="{width:g}" height="30" rx="7"/>'
        f'<text class="mono" x="{x:g}" y="{y + 5:g}">{text}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """Return a curve from the top of a lower box to the bottom of an upper one."""
    return f'<path class="line" d="M{x1:g} {y1 - 15:g} C{x1:g} {y1 - 40:g} {x2:g} {y2 + 40:g} {x2:g} {y2 + 15:g}"/>'


def note(x: float, y: float, text: str, kind: str = "small") -> str:
    """Return a line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text}</text>'


def tree() -> str:
    """Draw how eight characters become one prediction, in three fusions."""
    word, step, left = "··marian", 62, 170
    xs = [left + step * i for i in range(8)]
    levels: list[list[tuple[float, str]]] = [[(x, c) for x, c in zip(xs, word, strict=True)]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([((a + b) / 2, s + t) for (a, s), (b, t) in zip(below[::2], below[1::2], strict=True)])
    ys = [330, 245, 160, 75]
    names = ["characters", "bigrams", "four-grams", "eight-gram"]
    shapes = ["(B, 8, 24)", "(B, 4, 128)", "(B, 2, 128)", "(B, 1, 128)"]
    parts = []
    for level, nodes in enumerate(levels):
        if level:
            for i, (x, _) in enumerate(levels[level - 1]):
                parts.append(line(x, ys[level - 1], nodes[i // 2][0], ys[level]))
    for level, nodes in enumerate(levels):
        width = [40, 52, 72, 110][level]
        parts += [box(x, ys[level], text, width) for x, text in nodes]
        parts.append(note(20, ys[level] - 2, names[level], "left"))
        parts.append(note(20, ys[level] + 14, shapes[level], "small left"))
    top = levels[-1][0][0]
    parts.append(f'<path class="line" d="M{top + 55:g} {ys[3]:g} H{top + 130:g}"/>')
    parts.append(box(top + 205, ys[3], "next: a? e? n?", 150, "out"))
    parts.append(note(top + 205, ys[3] + 32, "(B, 27) logits"))
    return svg(690, 365, "A tree of fusions: characters, bigrams, four-grams, an eight-gram, a prediction", parts)


def unique() -> str:
    """Draw how each distinct n-gram of a batch is computed once."""
    contexts = ["mari", "mari", "marl", "mari"]
    parts = [
        note(20, 26, "windows: every node of every tree", "left"),
        note(600, 26, "unique: every distinct node once", "left"),
    ]
    for number, context in enumerate(contexts):
        x = 75 + number * 132
        for side, gram in ((-32, context[:2]), (32, context[2:])):
            parts.append(line(x + side, 160, x, 75))
            parts.append(box(x + side, 160, gram, 52))
        parts.append(box(x, 75, context, 70))
    bigrams = {"ma": 630, "ri": 710, "rl": 790}
    for context, x in (("mari", 670), ("marl", 750)):
        parts += [line(bigrams[gram], 160, x, 75) for gram in (context[:2], context[2:])]
        parts.append(box(x, 75, context, 68, "new"))
    parts += [box(x, 160, gram, 52, "new") for gram, x in bigrams.items()]
    parts.append(note(20, 205, "a batch of 4 contexts: 12 nodes", "small left"))
    parts.append(note(600, 205, "the same batch: 5 nodes", "small left"))
    return svg(860, 222, "The same trees with every distinct n-gram computed once", parts)


def arrow(*points: tuple[float, float], kind: str = "line") -> str:
    """Return an arrow through points."""
    path = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
    (x0, y0), (x, y) = points[-2:]
    length = math.hypot(x - x0, y - y0)
    u, v = (x - x0) / length * 7, (y - y0) / length * 7
    head = f"M{x - u - v / 1.7:g} {y - v + u / 1.7:g}L{x:g} {y:g}L{x - u + v / 1.7:g} {y - v - u / 1.7:g}"
    return f'<path class="{kind}" d="{path}{head}"/>'


def block() -> str:
    """Draw a block of WaveNet with its shapes, and the blocks of a whole network."""
    x, parts = 250.0, []
    rows = [
        (400, "x  from the block below", "(B, T, 64)", 210, "box"),
        (335, "RMSNorm", "(B, T, 64)", 150, "new"),
        (270, "CausalConv1d, dilation d", "(B, T, 128)", 236, "new"),
        (205, "tanh x sigmoid", "(B, T, 64)", 150, "new"),
    ]
    for (y, words, shape, width, kind), above in zip(rows, [*rows[1:], None], strict=True):
        parts += [box(x, y, words, width, kind), note(20, y + 4, shape, "small left")]
        if above is not None:
            parts.append(arrow((x, y - 15), (x, above[0] + 16)))
    parts += [
        arrow((x, 190), (x, 156)),
        box(x, 140, "Linear", 90, "new"),
        arrow((x, 125), (x, 92)),
        '<circle class="node" cx="250" cy="78" r="13"/>',
        note(x, 83, "+", "mono"),
        arrow((x - 105, 400), (x - 160, 400), (x - 160, 78), (x - 14, 78)),
        note(x - 152, 62, "residual", "small left"),
        arrow((x, 65), (x, 28)),
        note(x + 12, 36, "to the block above, (B, T, 64)", "small left"),
        arrow((x + 75, 205), (x + 150, 205)),
        box(x + 200, 205, "Linear", 90, "out"),
        note(x + 200, 238, "(B, T, 64)"),
        arrow((x + 245, 205), (x + 320, 205)),
        note(x + 282, 196, "skip"),
    ]
    right = x + 335
    for number, d in enumerate((8, 4, 2, 1)):
        y = 90 + 77 * number
        parts.append(box(right + 40, y, f"block, d = {d}", 130, "new" if d == 2 else "box"))
        parts.append(arrow((right + 105, y), (right + 190, y), (right + 190, 62), kind="line"))
        if d != 8:
            parts.append(arrow((right + 40, y - 15), (right + 40, y - 61)))
    parts += [
        box(right + 40, 400, "Embedding", 130),
        arrow((right + 40, 385), (right + 40, 338)),
        box(right + 190, 46, "sum, then head", 160, "out"),
        note(right + 190, 20, "SiLU, Linear, SiLU, Linear: (B, T, 27) logits"),
        note(right + 202, 200, "skip sum", "small left"),
    ]
    return svg(920, 430, "A block of WaveNet with its shapes, and four blocks from the embedding to the logits", parts)


def field() -> str:
    """Draw the sixteen characters that a prediction of a WaveNet sees, with dilations 1, 2, 4, 8."""
    word, step, left, gap = "·······christina", 44, 150, 66
    dilations = (1, 2, 4, 8)
    xs = [left + step * place for place in range(len(word))]
    ys = [360 - gap * row for row in range(len(dilations) + 1)]
    used = [{len(word) - 1}]
    for d in reversed(dilations):
        used.insert(0, {place - back for place in used[0] for back in (0, d)})
    faint, strong, nodes = "", "", []
    for row, d in enumerate(dilations):
        for place in range(len(word)):
            for child in (place - d, place):
                if child >= 0:
                    path = f"M{xs[child]:g} {ys[row] - 11:g}L{xs[place]:g} {ys[row + 1] + 11:g}"
                    if place in used[row + 1]:
                        strong += path
                    else:
                        faint += path
    for row in range(1, len(ys)):
        nodes += [
            f'<circle class="{"seen" if place in used[row] else "node"}" cx="{x:g}" cy="{ys[row]:g}" r="10"/>'
            for place, x in enumerate(xs)
        ]
        sees = 2**row
        nodes.append(note(20, ys[row] - 2, f"dilation {dilations[row - 1]}", "left"))
        nodes.append(note(20, ys[row] + 14, f"sees {sees} characters", "small left"))
    nodes += [box(x, ys[0], letter, 34) for x, letter in zip(xs, word, strict=True)]
    nodes.append(note(20, ys[0] + 5, "characters", "left"))
    end = xs[-1]
    nodes += [arrow((end, ys[-1] - 11), (end, 56)), box(end, 40, "next: · ?", 100, "out")]
    lines = [f'<path class="faint" d="{faint}"/>', f'<path class="strong" d="{strong}"/>']
    title = "The receptive field of dilations 1, 2, 4, 8: sixteen characters, each reached by one path"
    return svg(xs[-1] + 70, 395, title, [*lines, *nodes])


Points = list[tuple[float, float]]


def panel(left: float, title: str, across: str, points: Points, forms: tuple[str, str], top: float = 52.0) -> list[str]:
    """Return one curve over a logarithmic axis; `forms` are the number formats of the two axes."""
    width, height = 350.0, 190.0
    xs, ys = [math.log(x) for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)

    def at(x: float, y: float) -> tuple[float, float]:
        place = left + 58 + (width - 90) * (math.log(x) - xs[0]) / (xs[-1] - xs[0])
        return place, top + height * (high - y) / (high - low)

    parts = [note(left + 58, top - 28, title, "left")]
    for y in (low, (low + high) / 2, high):
        _, place = at(points[0][0], y)
        parts.append(f'<path class="faint" d="M{left + 52:g} {place:.1f}H{left + width - 24:g}"/>')
        parts.append(note(left + 46, round(place) + 4, format(y, forms[1]), "small right"))
    placed = [at(*point) for point in points]
    parts.append('<path class="curve" d="M' + "L".join(f"{x:.1f} {y:.1f}" for x, y in placed) + '"/>')
    before = -100.0
    for (x, y), (value, _) in zip(placed, points, strict=True):
        parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        if x - before > 44:
            parts.append(note(round(x), top + height + 24, format(value, forms[0])))
            before = x
    return [*parts, note(left + 58 + (width - 90) / 2, top + height + 46, across)]


def lists() -> str:
    """Draw what a longer list brings and costs."""
    record = json.loads((ROOT / "records" / "small-lists.json").read_text())
    rows = [(row["lines"], row["arms"]["default"]) for row in record["rows"] if row["kind"] == "names"]
    loss, seconds = ([(lines, default[key]) for lines, default in rows] for key in ("nats", "seconds"))
    parts = panel(10, "val loss, nats per character", "lines in the list", loss, (",.0f", ".2f"))
    parts += panel(390, "seconds of training, one core", "lines in the list", seconds, (",.0f", ".1f"))
    return svg(760, 310, "Loss and training time against the number of lines", parts)


def sizes() -> str:
    """Draw what more weights bring and cost, on the lecture's names."""
    records = [json.loads((ROOT / "records" / f"{name}.json").read_text()) for name in ("small", "large")]
    arms = json.loads((ROOT / "records" / "studies" / "fusion.json").read_text())["arms"]
    few = next(arm for arm in arms if arm["name"].startswith("2 x 2 x 2, 22,397"))["runs"]
    loss = [(few[0]["parameters"], sum(run["val_nats"] for run in few) / len(few))]
    seconds = [(few[0]["parameters"], sum(run["seconds"] for run in few) / len(few))]
    for record in records:
        loss.append((record["runs"][0]["parameters"], record["mean"]["val_nats"]))
        seconds.append((record["runs"][0]["parameters"], record["mean"]["train_seconds"]))
    parts = panel(10, "val loss, nats per character", "parameters", loss, (",.0f", ".3f"))
    parts += panel(390, "seconds of training", "parameters", seconds, (",.0f", ".0f"))
    return svg(760, 310, "Loss and training time against the number of parameters", parts)


def data() -> str:
    """Draw what reading, splitting and evaluating large data costs."""
    rows = json.loads((ROOT / "records" / "scaling.json").read_text())["sizes"]
    parts = []
    for top, kind, across in ((52, "lines", "lines in the list"), (352, "text", "megabytes of text")):
        for left, title, key in ((10, "seconds of the processor", "seconds"), (390, "memory, MB", "peak_mb")):
            points = [(row["size"], row[key]) for row in rows if row["kind"] == kind]
            parts += panel(left, title, across, points, (",.0f", ".0f"), top)
    return svg(760, 610, "Processor time and memory against the number of lines and the length of a text", parts)


PICTURES = {
    "tree.svg": tree,
    "unique.svg": unique,
    "block.svg": block,
    "field.svg": field,
    "lists.svg": lists,
    "sizes.svg": sizes,
    "data.svg": data,
}


def main() -> None:
    """Write all pictures beside this file."""
    for name, draw in PICTURES.items():
        (Path(__file__).parent / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
