"""Runs the commands of the documentation and writes what they print: `python scripts/pages.py`, or with pages' names.

In docs/*.md and docs/commands/*.md stand blocks of this kind, whose prose around them is written by hand:

    <!-- shown: 12 lines -->        (only where the output is cut)
    ```console
    $ wavemore sample -n 5 --seed 1
    ... what the command prints ...
    ```

All commands run in one temporary folder, in the order of `PAGES`, so the trainings of a page serve those after it.
docs/pictures/terminal.svg is drawn from two of them, and the table in docs/scaling.md is made from records/bench.json.
A test runs them again and compares; what differs between machines and runs (times, last digits, the lines that a model
draws) is compared by its form alone: see `form`.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from html import escape
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from wavemore.cli import main as wavemore
from wavemore.cli.commands import COMMANDS
from wavemore.engine.process import set_threads

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURE = DOCS / "pictures" / "terminal.svg"
PAGES = ["index", *(f"commands/{name}" for name in COMMANDS)]
"""In the order in which they are run."""
COLUMNS = 96
"""Of --help."""

BLOCK = re.compile(r"(?:<!-- shown: (?P<most>\d+) lines -->\n)?```console\n(?P<body>.*?)```\n", re.DOTALL)
DIFFERS = [
    (r"(?:\d+ h )?(?:\d+ min )?\d+(?:\.\d+)? s\b", "0 s"),
    (r", about 0 s left", ""),
    (r"[+-]?\d[\d,.]*(?:e[+-]?\d+)?%?", "0"),
    (r"[▁-█]", "▁"),
    (r"[─-]{3,}", "-"),
    (r"[*?]", ""),  # the lowest val so far; not shown by the seeds
    (r"^\S+ 0 0 0$", "(a line of the data)"),
]
"""What other machines and other runs print otherwise, and what stands for it."""
DRAWN = re.compile(r"  \S.*\b(new|known)")


def blocks(text: str) -> Iterator[re.Match[str]]:
    """The blocks of a page whose commands are run."""
    return BLOCK.finditer(text)


def commands(body: str) -> list[str]:
    """The commands of a block, in order."""
    return [line[2:] for line in body.splitlines() if line.startswith("$ ")]


def run(command: str) -> str:
    """What a command prints, and of `cat FILE` what the file holds; a command that fails is an error of the page."""
    words = shlex.split(command, comments=True)
    if words[0] == "cat":
        return Path(words[1]).read_text(encoding="utf-8")
    assert words[0] == "wavemore", command
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = wavemore(words[1:])
    assert code == 0, f"{command}: {err.getvalue()}"
    return out.getvalue()


def printed(body: str, most: int | None = None) -> str:
    """A block with what its commands print now."""
    made = ""
    for command in commands(body):
        lines = [line.rstrip() for line in run(command).strip("\n").splitlines()]
        if most is not None and len(lines) > most:
            lines = [*lines[:most], *(["..."] if most else [])]
        made += "\n".join([f"$ {command}", *lines]) + "\n"
    return made


def written(text: str) -> str:
    """A page with all outputs made anew."""

    def fresh(match: re.Match[str]) -> str:
        most = match["most"]
        made = printed(match["body"], int(most) if most else None)
        return match[0].replace(match["body"], made)

    return BLOCK.sub(fresh, text)


def form(text: str) -> list[str]:
    """The lines of a page as they are on every machine: numbers, rulers and lines that a model drew are only places.

    >>> form("```console\\n$ wavemore log\\nval  1.234?  3 min 2 s\\n```")
    ['```console', '$ wavemore log', 'val 0 0 s', '```']
    """
    lines: list[str] = []
    drawing = console = False
    for line in text.splitlines():
        made = line
        if line.startswith("```"):
            console = line == "```console"
        elif console and line.startswith("$ "):
            drawing = line.startswith("$ wavemore sample") and "--help" not in line
        elif console and (drawing or DRAWN.fullmatch(line)):
            made = "(drawn)"
        elif console:
            made = " ".join(line.split())
            for pattern, place in DIFFERS:
                made = " ".join(re.sub(pattern, place, made).split())
        lines.append(made)
    return lines


def differences(old: str, new: str) -> list[tuple[str | None, str | None]]:
    """The lines in which two pages differ in more than what differs between machines."""
    return [(a, b) for a, b in zip_longest(form(old), form(new)) if a != b]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """An empty folder to run the commands in, with one thread and the width of the pages."""
    before, columns, threads = Path.cwd(), os.environ.get("COLUMNS"), torch.get_num_threads()
    set_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["COLUMNS"] = str(COLUMNS)
        try:
            (Path(folder) / "study.toml").write_text(STUDY, encoding="utf-8")
            yield Path(folder)
        finally:
            os.chdir(before)
            set_threads(threads)
            if columns is None:
                del os.environ["COLUMNS"]
            else:
                os.environ["COLUMNS"] = columns


STUDY = """\
question = "How much do four characters of context gain on two?"
expected = "About 0.1 nats."
data = "names"
seeds = [0, 1, 2]

[fixed]
hidden = 32
steps = 60
evaluations = 1

[[arm]]
name = "two characters"
fuse = [2]

[[arm]]
name = "four characters"
fuse = [2, 2]
"""
"""The study of docs/commands/study.md."""


def threads(text: str) -> str:
    """docs/scaling.md with its table made anew from the record of `wavemore bench`."""
    record = json.loads((ROOT / "records" / "bench.json").read_text(encoding="utf-8"))
    by_key: dict[str, dict[int, dict[str, Any]]] = {}
    for measured in record["measurements"]:
        by_key.setdefault(measured["key"], {})[measured["threads"]] = measured
    rows = ["| wavemore's own time or rate | one thread | two threads |", "|---|---|---|"]
    for key, found in by_key.items():
        if key != "gemm_peak_share" and len(found) == 2:
            cells = [_with_unit(found[number]["measured"], found[number]["unit"]) for number in sorted(found)]
            rows.append(f"| {' | '.join([found[min(found)]['what'].split(', against')[0], *cells])} |")
    machine = record["environment"]
    rows += ["", f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, commit {machine['commit']}."]
    made = "\n".join([BEGIN, *rows, END])
    return re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: made, text, flags=re.DOTALL)


def _with_unit(value: float, unit: str) -> str:
    return f"{float(f'{value:.3g}'):,g} {unit}"


BEGIN, END = "<!-- threads: made by scripts/pages.py -->", "<!-- end of threads -->"


def terminal(page: str) -> str:
    """The picture of a terminal: the first training of a page, and the first lines that are drawn after it."""
    shown: list[str] = []
    for match in blocks(page):
        lines = match["body"].splitlines()
        if lines[0].startswith("$ wavemore train"):
            steps = [line for line in lines if line.startswith("step ")]
            lines = [("..." if line == steps[1] else line) for line in lines if line not in steps[2:-1]]
            lines = lines[: next(i for i, line in enumerate(lines) if line.startswith("trained for")) + 1]
        elif not lines[0].startswith("$ wavemore sample"):
            continue
        shown += [*lines, ""]
        if lines[0].startswith("$ wavemore sample"):
            break
    return screen(shown[:-1])


WIDTH, ROW, LETTER = 92, 19, 7.85


def screen(lines: list[str]) -> str:
    """Lines in a window, which is as wide as the terminal that people have; longer ones go on in the next row."""
    shown = [row for line in lines for row in textwrap.wrap(line, WIDTH, subsequent_indent=" " * 8) or [""]]
    height = 52 + ROW * len(shown)
    rows = ""
    for number, line in enumerate(shown):
        kind = ' class="typed"' if line.startswith("$ ") else ""
        rows += f'<text x="18" y="{54 + ROW * number}"{kind} xml:space="preserve">{escape(line)}</text>\n'
    width = round(36 + WIDTH * LETTER)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'role="img" aria-label="A training and new names in a terminal">\n'
        "<title>A training and new names in a terminal</title>\n<style>\n"
        "  text { font: 13px ui-monospace, SFMono-Regular, Menlo, 'DejaVu Sans Mono', monospace; fill: #24292f; }\n"
        "  .typed { fill: #0550ae; font-weight: bold; } .window { fill: #f6f8fa; stroke: #d1d9e0; }\n"
        "  .dot { fill: #d1d9e0; }\n"
        "  @media (prefers-color-scheme: dark) {\n"
        "    text { fill: #e6edf3; } .typed { fill: #79c0ff; } .window { fill: #151b23; stroke: #3d444d; }\n"
        "    .dot { fill: #3d444d; }\n  }\n</style>\n"
        f'<rect class="window" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="10"/>\n'
        '<circle class="dot" cx="20" cy="18" r="6"/><circle class="dot" cx="40" cy="18" r="6"/>'
        f'<circle class="dot" cx="60" cy="18" r="6"/>\n{rows}</svg>\n'
    )


def main() -> None:
    """Run the commands of all pages; write the pages, or those that are named."""
    wanted = sys.argv[1:] or PAGES
    with workplace():
        for name in PAGES:
            path = DOCS / f"{name}.md"
            old = path.read_text(encoding="utf-8")
            new = written(old)
            if name in wanted:
                path.write_text(new, encoding="utf-8")
            print(f"{name}: {sum(1 for _ in blocks(new))} blocks")
    scaling = DOCS / "scaling.md"
    scaling.write_text(threads(scaling.read_text(encoding="utf-8")), encoding="utf-8")
    PICTURE.write_text(terminal((DOCS / "index.md").read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
