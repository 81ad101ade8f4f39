"""How Jupyter and VS Code display a run: a description, its losses as a small curve, and samples.

The curve is SVG, in the page's own colour and one that is readable on light and dark pages. The files of a run may come
from a stranger: their content becomes markup only in `wavemore.html`.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path

from wavemore.html import ACCENT, Html, text
from wavemore.runs.config import RunConfig
from wavemore.runs.describe import describe_training
from wavemore.runs.record import Record, Summary

MAX_SAMPLES = 24
MAX_LENGTH = 80
"""Characters of a sample that are shown."""
WIDTH, HEIGHT = 360, 130
"""Of the curve without its labels, in pixels."""


def run_html(
    path: Path,
    config: RunConfig,
    summary: Summary | None,
    records: Sequence[Record],
    samples: Sequence[str],
    progress: str,
) -> str:
    """Return a run as HTML; `progress` says how far an unfinished one is."""
    lines = "<br/>".join(text(line) for line in _description(config, summary, records, progress))
    return (
        f"<div class='wavemore-run'><p><b>{text(path)}</b><br/>{lines}</p>"
        f"<div style='display:flex;flex-wrap:wrap;gap:1.5em;align-items:flex-start'>{curve(records)}"
        f"{_samples(samples[:MAX_SAMPLES], in_columns=config.data.format == 'lines')}</div></div>"
    )


def problem_html(path: Path, problem: str) -> str:
    """Return a run that cannot be read as HTML, with the reason."""
    return f"<div class='wavemore-run'><p><b>{text(path)}</b>: {text(problem)}</p></div>"


def _description(config: RunConfig, summary: Summary | None, records: Sequence[Record], progress: str) -> Iterator[str]:
    yield f"{config.model}: {config.model_config.describe()}; {config.data.name}, seed {config.recipe.seed}"
    if config.note:
        yield config.note
    if summary is None:
        yield progress
        vals = [record["val_nats"] for record in records if "val_nats" in record]
        if vals:
            yield f"best val loss so far {min(vals):.4f} nats per character"
        return
    yield f"val {summary.val_nats:.4f}, train {summary.train_nats:.4f} nats per character"
    yield (
        f"{summary.parameters:,} parameters; {describe_training(config)}; {summary.train_seconds:.1f} s; "
        f"best step {summary.best_step:,}"
    )


def curve(records: Sequence[Record]) -> Html:
    """Draw train and val loss over the steps; empty for fewer than two records."""
    train = [(record["step"], record["train_nats"]) for record in records if isfinite(record["train_nats"])]
    val = [(r["step"], r["val_nats"]) for r in records if "val_nats" in r and isfinite(r["val_nats"])]
    if len(train) < 2:
        return Html("")
    losses = [loss for _, loss in [*train, *val]]
    low, high, first, last = min(losses), max(losses), train[0][0], train[-1][0]

    def at(step: int, loss: float) -> str:
        x = WIDTH * (step - first) / max(last - first, 1)
        y = HEIGHT * (high - loss) / max(high - low, 1e-9)
        return f"{x:.1f},{y:.1f}"

    def line(points: Sequence[tuple[int, float]], style: str) -> str:
        places = " ".join(at(*point) for point in [*points, *points[-1:]])  # a single point becomes a dot
        return f"<polyline points='{places}' fill='none' {style}/>"

    def label(x: float, y: float, anchor: str, content: str) -> str:
        return f"<text x='{x}' y='{y}' text-anchor='{anchor}'>{content}</text>"

    blue = f"fill='{ACCENT}' font-weight='bold'"
    return Html(
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='-45 -10 {WIDTH + 65} {HEIGHT + 40}' width='{WIDTH + 65}' "
        "role='img' style='max-width:100%;height:auto;font-family:sans-serif' font-size='11' fill='currentColor'>"
        f"<title>Train and val loss in nats per character, over {last:,} steps</title>"
        f"<path d='M0 0V{HEIGHT}H{WIDTH}' fill='none' stroke='currentColor' stroke-opacity='0.3'/>"
        + line(train, "stroke='currentColor' stroke-opacity='0.55'")
        + line(val, f"stroke='{ACCENT}' stroke-width='2.5' stroke-linecap='round'")
        + label(-6, 4, "end", f"{high:.2f}")
        + label(-6, HEIGHT + 4, "end", f"{low:.2f}")
        + label(0, HEIGHT + 18, "middle", f"{first:,}")
        + label(WIDTH, HEIGHT + 18, "middle", f"{last:,}")
        + label(WIDTH / 2, HEIGHT + 18, "middle", f"step; nats per character: train, <tspan {blue}>val</tspan>")
        + "</svg>"
    )


def _samples(samples: Sequence[str], in_columns: bool) -> Html:
    if not samples:
        return Html("")
    lines = [line if len(line) <= MAX_LENGTH else f"{line[:MAX_LENGTH]}…" for line in samples]
    if not in_columns:
        return Html(f"<pre style='color:inherit;background:none;margin:0'>{text(chr(10).join(lines))}</pre>")
    entries = "".join(f"<li style='break-inside:avoid'><bdi>{text(line)}</bdi></li>" for line in lines)
    return Html(
        "<div style='flex:1 1 16em'><small>samples</small>"
        f"<ul style='columns:9em;list-style:none;padding:0;margin:0'>{entries}</ul></div>"
    )
