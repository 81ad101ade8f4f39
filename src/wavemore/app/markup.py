"""What the page shows, as HTML. All text goes through `html.text`, so no list can bring markup of its own."""

import base64
import io
from collections.abc import Iterable, Sequence
from itertools import groupby
from math import log
from typing import Any

from wavemore.app.board import Row, Verdict
from wavemore.app.desk import Job, Point
from wavemore.app.lists import FEW, ListFacts, shown_characters
from wavemore.app.shelf import Letter
from wavemore.app.words import choices, duration, edits, plain, quality, typical
from wavemore.html import Html, text
from wavemore.runs.item_file import Item, write_csv
from wavemore.signs import sign
from wavemore.text.reports import pluralize

WIDTH, HEIGHT = 340, 120
"""Of the curve without its labels."""
MAX_SHOWN = 200
"""Characters of an item that a table shows."""
FULL = 6.0
"""Nats of a letter whose bar is full."""
READING = "Read it in another way"
"""Where a person says how a list is to be read."""
COLUMNS = ("text", "nats_per_char", "percentile_rank", "new", "nearest", "distance")


def note(message: str, kind: str = "info") -> Html:
    """A sentence; kinds are info, good and problem. Empty for no message."""
    role = "alert" if kind == "problem" else "status"
    return Html(f"<p class='w-note w-{kind}' role='{role}'>{text(message)}</p>" if message else "")


def _bdi(value: str) -> Html:
    shown = value if len(value) <= MAX_SHOWN else f"{value[:MAX_SHOWN]}…"
    return Html(f"<bdi>{text(shown)}</bdi>")


def _chips(values: Iterable[str]) -> Html:
    return Html("<ul class='w-chips'>" + "".join(f"<li>{_bdi(value)}</li>" for value in values) + "</ul>")


def facts(found: ListFacts) -> Html:
    """What a list is."""
    alike = "all different" if found.items == found.distinct else f"{found.distinct:,} different"
    rows = [
        (
            "Items",
            f"{pluralize(found.items, 'item')}, {alike}; the longest has {pluralize(found.longest, 'character')}",
        ),
        ("Characters", f"{len(found.characters):,} different: {shown_characters(found.characters)}"),
    ]
    if found.part:
        rows.append(("Read from", found.part))
    if found.kinds:
        rows.append(("Kinds", ", ".join(found.kinds[:20])))
    rows += [("Left out", "; ".join(found.left_out) or "nothing")]
    listed = "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in rows)
    heading = f"The first item, {found.header}, looks like a heading: if it is one, say so under “{READING}”."
    short = "A short list: the new items will stay close to it. A few hundred items or more are better."
    notes = (note(heading) if found.header else "") + (note(short) if found.distinct < FEW else "")
    return Html(
        f"<div class='w-card'><h3>{_bdi(found.name)}</h3><dl class='w-facts'>{listed}<dt>For example</dt>"
        f"<dd>{_chips(found.examples)}</dd></dl>{notes}</div>"
    )


def learning(job: Job, ahead: int = 0) -> Html:
    """How far a training is: in words, as a bar, as a curve, and what it makes now."""
    heading = "What it made on the way" if job.state == "done" else "What it makes now"
    samples = f"<h3>{heading}</h3>{_chips(job.samples)}" if job.samples else ""
    bar = ""
    if job.state in ("preparing", "learning"):
        percent = round(100 * job.fraction)
        bar = (
            f"<div class='w-bar' role='progressbar' aria-label='Learned so far' aria-valuemin='0' aria-valuemax='100' "
            f"aria-valuenow='{percent}'><div style='width:{percent}%'></div></div>"
        )
    kind = {"done": "good", "failed": "problem"}.get(job.state, "info")
    return Html(f"<div class='w-card'>{note(_state(job, ahead), kind)}{bar}{curve(job.points)}{samples}</div>")


def _state(job: Job, ahead: int) -> str:
    """Where a training is, as a sentence."""
    so_far = f" It {quality(job.val_nats)}." if job.val_nats is not None else ""
    if job.state == "waiting":
        return f"Waiting: {pluralize(ahead, 'training')} before this one." if ahead else "It starts in a moment."
    if job.state == "preparing":
        return "Reading the list, and measuring how fast this machine is …"
    if job.state == "learning":
        if job.wants:
            return "Stopping; what was learned is kept …"
        left = 60 * job.minutes - job.seconds
        time = f"about {duration(left)} left" if job.minutes and left > 1 else "about to finish"
        parts = job.teachers + 1
        part = f"part {job.teacher or parts} of {parts} (the last part learns from all the others); "
        return f"Learning, {part if job.teachers else ''}{time}.{so_far}"
    if job.state == "done":
        return f"Done: {job.name} has learned your list.{so_far} Now make new ones."
    if job.state == "paused":
        return f"{job.name} is kept. Continue it when you like."
    if job.state == "dropped":
        return f"{job.name} was stopped before it had begun. Start it again when you like."
    return f"{job.name} has not learned the list. {plain(job.message)}"


def curve(points: Sequence[Point]) -> Html:
    """How unsure it is over the time, each part for itself; empty for fewer than two points."""
    if len(points) < 2:
        return Html("")
    unsure = [choices(point.nats) for point in points]
    high, low, first = max(unsure), min(unsure), points[0].seconds
    last = max(points[-1].seconds - first, 0.1)
    top = max(high, low + 1.0)

    def at(point: Point) -> str:
        y = HEIGHT * (top - choices(point.nats)) / (top - min(1.0, low))
        return f"{WIDTH * (point.seconds - first) / last:.1f},{y:.1f}"

    lines = []
    for teacher, part in groupby(points, key=lambda point: point.teacher):
        places = " ".join(map(at, part))
        lines.append(f"<polyline points='{places}' class='{'w-trial' if teacher else 'w-line'}'/>")
    said = f"It hesitates between {unsure[-1]:.1f} characters; at first, between {unsure[0]:.0f}"
    return Html(
        f"<figure class='w-curve'><svg viewBox='-24 -10 {WIDTH + 30} {HEIGHT + 32}' role='img' aria-label='{said}'>"
        f"<path d='M0 0V{HEIGHT}H{WIDTH}' class='w-axes'/>{''.join(lines)}"
        f"<text x='-6' y='4' text-anchor='end'>{top:.0f}</text>"
        f"<text x='-6' y='{HEIGHT}' text-anchor='end'>1</text>"
        f"<text x='{WIDTH}' y='{HEIGHT + 16}' text-anchor='end'>{text(duration(last))}</text></svg>"
        "<figcaption>How many characters it hesitates between at each place: lower is better</figcaption></figure>"
    )


def items(made: Sequence[Item], kept: Sequence[str]) -> Html:
    """New items in a table, with a star each to keep them."""
    if not made:
        return Html("")
    rows = []
    for number, item in enumerate(made):
        value, is_kept, rank = item["text"], item["text"] in kept, item.get("percentile_rank")
        star = (
            f"<button type='button' class='w-star' data-star='{number}' aria-pressed='{str(is_kept).lower()}' "
            f"aria-label='Keep {text(value[:60])}'></button>"
        )
        percent = "" if rank is None else f"<small>{round(100 * rank)} %</small>"
        near = f"{_bdi(item['nearest'])} <small>{text(edits(item['distance']))}</small>" if "nearest" in item else ""
        cells = [star, _bdi(value), f"{text(typical(rank))} {percent}", "new" if item["new"] else "in the list", near]
        cells += [_bdi(item["label"])] if "label" in item else []
        rows.append("".join(f"<td>{cell}</td>" for cell in cells))
    head = ["<span class='w-hidden'>Keep</span>", "Item", "How typical", "New?", "Nearest known"]
    head += ["Kind"] if "label" in made[0] else []
    explained = "How typical: the share of the real items that are less typical, for this model."
    return Html(
        "<div class='w-scroll' tabindex='0' role='region' aria-label='New items'><table class='w-table w-items'>"
        f"<thead><tr>{''.join(f'<th scope=col>{name}</th>' for name in head)}</tr></thead>"
        f"<tbody>{''.join(f'<tr>{row}</tr>' for row in rows)}</tbody></table></div><p class='w-small'>{explained}</p>"
    )


def downloads(made: Sequence[Item], name: str) -> Html:
    """Links that save items as a list and as a table."""
    if not made:
        return Html("")
    table, columns = io.StringIO(), (*COLUMNS, *(["label"] if "label" in made[0] else []))
    write_csv(table, [{column: item.get(column) for column in columns} for item in made], columns)
    listed = "".join(f"{item['text']}\n" for item in made)
    return Html(
        f"<p class='w-links'>{_link(name, 'txt', 'plain', listed)}{_link(name, 'csv', 'csv', table.getvalue())}</p>"
    )


def _link(name: str, ending: str, kind: str, content: str) -> Html:
    """Return a link that saves a text as a file."""
    data = base64.b64encode(content.encode("utf-8", "replace")).decode()
    return Html(
        f"<a class='w-link' download='{text(name)}.{ending}' href='data:text/{kind};charset=utf-8;base64,{data}'>"
        f"Save as {ending.upper()}</a>"
    )


def written(content: str, name: str) -> Html:
    """A text, and a link that saves it."""
    link = _link(name, "txt", "plain", content)
    return Html(f"<div class='w-card w-written' dir='auto'>{text(content)}</div><p class='w-links'>{link}</p>")


def favourites(kept: Sequence[Item], name: str) -> Html:
    """What was kept, and links that save it."""
    if not kept:
        return Html("<p class='w-small'>Nothing yet: press a star to keep an item.</p>")
    return Html(_chips(item["text"] for item in kept) + downloads(kept, f"{name}-favourites"))


def letters(found: Sequence[Letter], word: str, name: str) -> Html:
    """A word letter by letter: how surprising each one was, and what was expected."""
    cells = []
    for letter in found:
        height = min(100.0, 100 * -log(max(letter.p, 1e-12)) / FULL)
        expected = "".join(f"<span>{text(sign(character))} {p:.0%}</span>" for character, p in letter.expected)
        cells.append(
            f"<li><span class='w-column'><span style='height:{height:.0f}%'></span></span>"
            f"<b>{text(sign(letter.character))}</b><small>{letter.p:.0%}</small>"
            f"<small class='w-expected'>{expected}</small></li>"
        )
    return Html(
        f"<div class='w-card'><h3>{_bdi(word)}, as {text(name)} sees it</h3><p class='w-small'>A high bar: it did not "
        "expect this letter. Below each letter: how likely it was, and what it expected most. ⏎ is the end.</p>"
        "<div class='w-scroll' tabindex='0' role='region' aria-label='Letter by letter'>"
        f"<ol class='w-letters'>{''.join(cells)}</ol></div></div>"
    )


def following(found: Sequence[tuple[str, float]], word: str) -> Html:
    """What may come next, as bars."""
    rows = "".join(
        f"<li><b>{text(sign(character))}</b><span class='w-bar'><span style='width:{100 * p:.1f}%'></span></span>"
        f"<small>{p:.1%}</small></li>"
        for character, p in found
    )
    return Html(f"<div class='w-card'><h3>After {_bdi(word or 'nothing')}</h3><ol class='w-next'>{rows}</ol></div>")


def tree(drawing: str) -> Html:
    """Which letters meet where."""
    if not drawing:
        return Html("")
    return Html(
        "<div class='w-card'><h3>Which letters meet where</h3><p class='w-small'>It joins neighbours, then neighbours "
        f"of neighbours, until all are one; from that it guesses what comes next.</p><pre class='w-tree' tabindex='0' "
        f"aria-label='Tree of the letters'>{text(drawing)}</pre></div>"
    )


def runs(rows: Sequence[Row]) -> Html:
    """All runs in a table."""
    if not rows:
        return note("There is no run yet: give a list, and start.")
    head = ("Name", "Learned from", "Hesitates between", "Training time", "How it works", "Started")
    body = []
    for row in rows:
        state = f" <small>({text(row.state)})</small>" if row.state else ""
        cells: tuple[Any, ...] = (
            f"<b>{_bdi(row.name)}</b>{state}",
            _bdi(row.data),
            text(row.quality),
            text(duration(row.seconds) if row.seconds else ""),
            text(row.does),
            text(row.created),
        )
        body.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return Html(
        "<div class='w-scroll' tabindex='0' role='region' aria-label='Runs'><table class='w-table'>"
        f"<thead><tr>{''.join(f'<th scope=col>{name}</th>' for name in head)}</tr></thead>"
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def verdict(result: Verdict, a: str, b: str) -> Html:
    """Which of two runs guesses better, and for which items."""
    lists = "".join(
        f"<div><h3>Guessed better by {text(name)}</h3>{_chips(line.text for line in lines)}</div>"
        for name, lines in ((a, result.better_with_a), (b, result.better_with_b))
        if lines
    )
    return Html(
        f"<div class='w-card'>{note(result.sentence, 'good')}<div class='w-two'>{lists}</div>"
        f"<details><summary>In numbers</summary><pre class='w-tree'>{text(result.details)}</pre></details></div>"
    )
