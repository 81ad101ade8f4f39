"""Run the commands of the documentation and write what they print: `python scripts/pages.py [PAGE ...]`.

In docs/*.md and docs/commands/*.md such blocks are filled in; the prose around them is written by hand:

    <!-- shown: 12 lines -->        (only if the output is cut)
    ```console
    $ wavemore sample -n 5 --seed 1
    ... what the command prints ...
    ```

All commands run in one temporary folder, in the order of `PAGES`, so the training runs of a page serve later pages.
docs/pictures/terminal.svg is drawn from the first page, and the table in docs/scaling.md is made from
records/bench.json. A test runs the commands again and compares; times, last digits and sampled lines differ between
machines and runs, so they are compared by their form alone: see `form`.
"""

import contextlib
import io
import json
import os
import re
import shlex
import sys
import tempfile
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.text import Text

from wavemore.cli import main as wavemore
from wavemore.cli.commands import COMMANDS
from wavemore.engine.threads import set_threads

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PICTURE = DOCS / "pictures" / "terminal.svg"
PAGES = ["index", *(f"commands/{name}" for name in COMMANDS)]
"""In the order in which they run."""
COLUMNS = 96
"""Width of the terminal."""

BLOCK = re.compile(r"(?:<!-- shown: (?P<limit>\d+) lines -->\n)?```console\n(?P<body>.*?)```\n", re.DOTALL)
VARIES = [
    (r"(?:\d+ h )?(?:\d+ min )?\d+(?:\.\d+)? s\b", "0 s"),
    (r", about 0 s left", ""),
    (r"[+-]?\d[\d,.]*(?:e[+-]?\d+)?%?", "0"),
    (r"[▁-█]", "▁"),
    (r"[─-]{3,}", "-"),
    (r"[*?]", ""),  # marks of the lowest val loss and of an uncertain difference
    (r"^\S+ 0 0 0$", "(a line of the data)"),
]
"""What differs between machines and runs, and its placeholder."""
SAMPLED = re.compile(r"  \S.*\b(new|known)")


def blocks(text: str) -> Iterator[re.Match[str]]:
    """Yield the blocks of a page whose commands are run."""
    return BLOCK.finditer(text)


def run(command: str) -> str:
    """Return what a command prints, or for `cat FILE` the content of the file; a failing command is an error."""
    words = shlex.split(command, comments=True)
    if words[0] == "cat":
        return Path(words[1]).read_text(encoding="utf-8")
    assert words[0] == "wavemore", command
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = wavemore(words[1:])
    assert code == 0, f"{command}: {err.getvalue()}"
    return out.getvalue()


def output_of(body: str, limit: int | None = None) -> str:
    """Return a block with what its commands print now, cut to `limit` lines each."""
    text = ""
    for command in (line[2:] for line in body.splitlines() if line.startswith("$ ")):
        lines = [line.rstrip() for line in run(command).strip("\n").splitlines()]
        if limit is not None and len(lines) > limit:
            lines = [*lines[:limit], *(["..."] if limit else [])]
        text += "\n".join([f"$ {command}", *lines]) + "\n"
    return text


def renewed(text: str) -> str:
    """Return a page with all outputs made anew."""

    def fresh(match: re.Match[str]) -> str:
        limit = match["limit"]
        return match[0].replace(match["body"], output_of(match["body"], int(limit) if limit else None))

    return BLOCK.sub(fresh, text)


def form(text: str) -> list[str]:
    """Return the lines of a page with placeholders for numbers, rulers and sampled lines.

    >>> form("```console\\n$ wavemore log\\nval  1.234?  3 min 2 s\\n```")
    ['```console', '$ wavemore log', 'val 0 0 s', '```']
    """
    lines: list[str] = []
    in_samples = in_console = False
    for line in text.splitlines():
        shape = line
        if line.startswith("```"):
            in_console = line == "```console"
        elif in_console and line.startswith("$ "):
            in_samples = line.startswith("$ wavemore sample") and "--help" not in line
        elif in_console and (in_samples or SAMPLED.fullmatch(line)):
            shape = "(sampled)"
        elif in_console:
            shape = " ".join(line.split())
            for pattern, placeholder in VARIES:
                shape = " ".join(re.sub(pattern, placeholder, shape).split())
        lines.append(shape)
    return lines


def differences(old: str, new: str) -> list[tuple[str | None, str | None]]:
    """Return the lines in which two pages differ in form."""
    return [(a, b) for a, b in zip_longest(form(old), form(new)) if a != b]


@contextlib.contextmanager
def workplace() -> Iterator[Path]:
    """Work in an empty folder, with one thread and the width of the pages."""
    folder_before, columns, threads = Path.cwd(), os.environ.get("COLUMNS"), torch.get_num_threads()
    set_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["COLUMNS"] = str(COLUMNS)
        try:
            (Path(folder) / "study.toml").write_text(STUDY, encoding="utf-8")
            (Path(folder) / "ideas.txt").write_text(IDEAS, encoding="utf-8")
            yield Path(folder)
        finally:
            os.chdir(folder_before)
            set_threads(threads)
            if columns is None:
                del os.environ["COLUMNS"]
            else:
                os.environ["COLUMNS"] = columns


IDEAS = "marianna\njohn\nkatarinna\nxqzt\nelvara\nbellamore\n"
"""The list of docs/commands/score.md."""

STUDY = """\
question = "How much does a context of four characters gain over two?"
expected = "About 0.1 nats."
data = "names"
seeds = [0, 1, 2]

[fixed]
hidden = 32
steps = 60
num_evals = 1

[[arm]]
name = "two characters"
fuse = [2]

[[arm]]
name = "four characters"
fuse = [2, 2]
"""
"""The study of docs/commands/study.md."""


def with_tables(text: str) -> str:
    """Return docs/scaling.md with its tables made anew from the records of benchmarks."""
    for name, rows in (("threads", _thread_table()), ("gpu", _gpu_table())):
        begin, end = f"<!-- {name}: made by scripts/pages.py -->", f"<!-- end of {name} -->"
        table = "\n".join([begin, *rows, end])
        text = re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _, table=table: table, text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def _gpu_table() -> list[str]:
    """Return the speeds of training on a GPU without and with graphs, from the record of benchmarks.devices."""
    record = json.loads((ROOT / "records" / "devices.json").read_text(encoding="utf-8"))
    rows = [
        "| data | model | parameters | started by Python | graphs | |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        speed = row["chars_per_second"]
        cells = [row["data"], f"{row['model']} {row['settings']}", f"{row['parameters']:,}"]
        before, after = speed["started by Python"], speed["graphs"]
        cells += [f"{float(f'{each:.3g}'):,.0f}" for each in (before, after)]
        rows.append(f"| {' | '.join(cells)} | {after / before:.1f}x |")
    machine = record["environment"]
    what = f"{machine['gpu']}, torch {machine['torch']}: characters per second of training, medians"
    return [*rows, "", f"{what} (`{record['command']}`)."]


def _thread_table() -> list[str]:
    """Return the speeds with one and two threads, from the record of `python -m benchmarks`."""
    record = json.loads((ROOT / "records" / "bench.json").read_text(encoding="utf-8"))
    by_key: dict[str, dict[int, dict[str, Any]]] = {}
    for measurement in record["measurements"]:
        by_key.setdefault(measurement["key"], {})[measurement["threads"]] = measurement
    rows = ["| wavemore's own time or rate | one thread | two threads |", "|---|---|---|"]
    for key, by_threads in by_key.items():
        if key != "gemm_peak_share" and len(by_threads) == 2:
            one, two = (by_threads[number] for number in sorted(by_threads))
            cells = [_with_unit(each) for each in (one, two)]
            rows.append(f"| {one['what'].split(', against')[0]} | {' | '.join(cells)} |")
    machine = record["environment"]
    rows += ["", f"{machine['cpu']}, {machine['cores']} cores, torch {machine['torch']}, commit {machine['commit']}."]
    return rows


def _with_unit(measurement: dict[str, Any]) -> str:
    value = float(f"{measurement['measured']:.3g}")
    return f"{value:,g} {measurement['unit']}"


def terminal(page: str) -> str:
    """Draw a terminal as SVG: the first training of a page, and the first samples after it."""
    shown: list[str] = []
    for match in blocks(page):
        lines = match["body"].splitlines()
        if lines[0].startswith("$ wavemore train"):
            steps = [line for line in lines if line.startswith("step ")]
            lines = [("..." if line == steps[1] else line) for line in lines if line not in steps[2:-1]]
            lines = lines[: next(number for number, line in enumerate(lines) if line.startswith("trained for")) + 1]
            shown += [*lines, ""]
        elif lines[0].startswith("$ wavemore sample"):
            shown += lines
            break
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    for line in shown:
        console.print(Text(line, style="bold cyan" if line.startswith("$ ") else ""), soft_wrap=False)
    svg = console.export_svg(title="wavemore", unique_id="terminal")
    return re.sub(r"@font-face \{.*?\}\n", "", svg, flags=re.DOTALL) + "\n"  # the fonts would be fetched from elsewhere


def main() -> None:
    """Run the commands of all pages; write the pages, or only the named ones."""
    names = sys.argv[1:] or PAGES
    with workplace():
        for name in PAGES:
            path = DOCS / f"{name}.md"
            text = renewed(path.read_text(encoding="utf-8"))
            if name in names:
                path.write_text(text, encoding="utf-8")
            print(f"{name}: {sum(1 for _ in blocks(text))} blocks", flush=True)
    scaling = DOCS / "scaling.md"
    scaling.write_text(with_tables(scaling.read_text(encoding="utf-8")), encoding="utf-8")
    PICTURE.write_text(terminal((DOCS / "index.md").read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
