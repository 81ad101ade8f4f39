"""How a run shows itself in Jupyter and VS Code: what it is, its losses as a small curve, and lines that it made.

The curve is SVG in the page's own colour and one that is read on light and on dark; no matplotlib. What the files of
the run say is data of strangers: it becomes markup in `text` alone.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path

from wavemore.errors import RunError
from wavemore.runs.config import Config
from wavemore.reports.tags import text, visible
from wavemore.runs.record import Record, Summary
from wavemore.runs.run import Run
from wavemore.nn.display import ACCENT

SAMPLES = 24
LONGEST = 80
"""Characters of a sample that are shown."""
WIDTH, HEIGHT = 420, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 62, 12, 34


def run_html(run: Run) -> str:
    """The run as HTML; of one that is not finished, what there is, and of one that cannot be read, why."""
    name = f"<b>{text(visible(str(run.path)))}</b>"
    try:
        config = run.config
        summary, records = run.summary(), run.metrics()
    except RunError as error:
        return f"<div class='wavemore-run'><p>{name}: {text(visible(str(error)))}</p></div>"
    words = ", ".join([config.model, config.settings.words, config.data.name, f"seed {config.recipe.seed}"])
    lines = [words, *([config.note] if config.note else []), *_numbers(config, summary, records)]
    return (
        f"<div class='wavemore-run'><p>{name}<br/>{'<br/>'.join(text(visible(line)) for line in lines)}</p>"
        f"<div style='display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start'>{curve(records)}"
        f"{_samples(run, config)}</div></div>"
    )


def _numbers(config: Config, summary: Summary | None, records: Sequence[Record]) -> Iterator[str]:
    if summary is None:
        vals = [record["val_nats"] for record in records if "val_nats" in record]
        last = records[-1]["step"] if records else 0
        yield f"stopped at step {last:,} of {config.recipe.steps:,}, or still running"
        if vals:
            yield f"val {min(vals):.4f} nats a character, best so far"
        return
    yield f"val {summary.val_nats:.4f}, train {summary.train_nats:.4f} nats a character"
    yield (
        f"{summary.parameters:,} parameters, {summary.steps:,} steps of {config.recipe.batch_size:,} in "
        f"{summary.train_seconds:.1f} s, the best at step {summary.best_step:,}"
    )


def curve(records: Sequence[Record]) -> str:
    """Train and val loss over the steps; empty where there are fewer than two records to draw.

    >>> curve([])
    ''
    """
    train = [(record["step"], record["train_nats"]) for record in records if isfinite(record["train_nats"])]
    val = [(r["step"], r["val_nats"]) for r in records if "val_nats" in r and isfinite(r["val_nats"])]
    if len(train) < 2:
        return ""
    losses = sorted(loss for _, loss in [*train, *val])
    low, high = losses[0], losses[-1]
    first, last = train[0][0], max(train[-1][0], train[0][0] + 1)

    def x(step: int) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (step - first) / (last - first)

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / max(high - low, 1e-9)

    def path(points: Sequence[tuple[int, float]]) -> str:
        return "M" + "L".join(f"{x(step):.1f} {y(loss):.1f}" for step, loss in points)

    ticks = "".join(
        f"<path d='M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}' stroke='currentColor' stroke-opacity='0.2'/>"
        f"<text x='{LEFT - 6}' y='{y(loss) + 4:.1f}' text-anchor='end'>{loss:.2f}</text>"
        for loss in (low, (low + high) / 2, high)
    )
    ends = sorted([(y(train[-1][1]), "train")] + ([(y(val[-1][1]), "val")] if val else []))
    names = ""
    for above, (place, name) in pairwise([(0.0, ""), *ends]):
        apart = above[0] + 13 if above[1] and place - above[0] < 13 else place  # two words do not lie on each other
        look = f"fill='{ACCENT}' font-weight='bold'" if name == "val" else "fill='currentColor'"
        names += f"<text x='{WIDTH - RIGHT + 7}' y='{apart + 4:.1f}' {look}>{name}</text>"
    dots = "".join(f"<circle cx='{x(step):.1f}' cy='{y(loss):.1f}' r='2.5' fill='{ACCENT}'/>" for step, loss in val)
    marked = f"<path d='{path(val)}' fill='none' stroke='{ACCENT}' stroke-width='2'/>{dots}" if val else ""
    foot = f"<text y='{HEIGHT - 14}' text-anchor='middle' x="
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
        "role='img' style='max-width:100%;height:auto;font-family:sans-serif' font-size='11' fill='currentColor'>"
        f"<title>Train and val loss, nats a character, over {last:,} steps</title>{ticks}"
        f"<path d='{path(train)}' fill='none' stroke='currentColor' stroke-opacity='0.55'/>{marked}{names}"
        f"{foot}'{LEFT}'>{first:,}</text>{foot}'{(LEFT + WIDTH - RIGHT) / 2}'>steps; nats a character</text>"
        f"{foot}'{WIDTH - RIGHT}'>{last:,}</text></svg>"
    )


def _samples(run: Run, config: Config) -> str:
    """Lines that the run made when it ended; of a text, its first lines."""
    lines = _read(run.path / "samples.txt")[:SAMPLES]
    if not lines:
        return ""
    shown = [visible(line[:LONGEST]) + ("…" if len(line) > LONGEST else "") for line in lines]
    if config.data.text == "stream":
        return f"<pre style='color:inherit;background:none;margin:0'>{text(chr(10).join(shown))}</pre>"
    made = "".join(f"<li style='break-inside:avoid'><bdi>{text(line)}</bdi></li>" for line in shown)
    return (
        "<div style='flex:1 1 16em'><small>samples</small>"
        f"<ul style='columns:9em;list-style:none;padding:0;margin:0'>{made}</ul></div>"
    )


def _read(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
