"""Draws the pictures of the documentation: `python docs/pictures/draw.py`. A test fails when they are stale."""

from pathlib import Path

STYLE = """
  text { font-family: ui-sans-serif, system-ui, sans-serif; font-size: 13px; fill: #24292f; text-anchor: middle; }
  .mono { font-family: ui-monospace, monospace; font-size: 15px; }
  .small { font-size: 11.5px; fill: #57606a; }
  .left { text-anchor: start; }
  .box { fill: #ddf4ff; stroke: #0969da; }
  .new { fill: #fff1d6; stroke: #bf8700; }
  .out { fill: #dafbe1; stroke: #1a7f37; }
  .line { stroke: #8c959f; stroke-width: 1.4; fill: none; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .small { fill: #9198a1; }
    .box { fill: #0c2d4d; stroke: #4493f8; } .new { fill: #4b2e0a; stroke: #d29922; }
    .out { fill: #113d20; stroke: #3fb950; } .line { stroke: #656c76; }
  }
"""


def svg(width: int, height: int, title: str, parts: list[str]) -> str:
    """A whole picture."""
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{title}">\n<title>{title}</title>\n<style>{STYLE}</style>\n{body}\n</svg>\n'
    )


def box(x: float, y: float, text: str, width: float = 46, kind: str = "box") -> str:
    """A rounded box with its text, centred at x, y."""
    return (
        f'<rect class="{kind}" x="{x - width / 2:g}" y="{y - 15:g}" width="{width:g}" height="30" rx="7"/>'
        f'<text class="mono" x="{x:g}" y="{y + 5:g}">{text}</text>'
    )


def line(x1: float, y1: float, x2: float, y2: float) -> str:
    """From the top of a lower box to the bottom of an upper one."""
    return f'<path class="line" d="M{x1:g} {y1 - 15:g} C{x1:g} {y1 - 40:g} {x2:g} {y2 + 40:g} {x2:g} {y2 + 15:g}"/>'


def note(x: float, y: float, text: str, kind: str = "small") -> str:
    """A line of text."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{text}</text>'


def tree() -> str:
    """Eight characters become one prediction, in three fusions."""
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
    """The contexts of a batch repeat themselves: each distinct n-gram is computed once."""
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


PICTURES = {"tree.svg": tree, "unique.svg": unique}


def main() -> None:
    """Write all pictures beside this file."""
    for name, draw in PICTURES.items():
        (Path(__file__).parent / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
