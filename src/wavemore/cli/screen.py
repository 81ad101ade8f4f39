"""What the commands share on the terminal: a console, a table, and how losses and times are written.

All that is printed goes through this file. Names, notes and characters may come from anybody, so whatever a terminal
would obey is made visible here; the items of `wavemore sample` remain as they are in a file or a pipe.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from math import log
from typing import IO, TYPE_CHECKING, Any

from wavemore.signs import escaped, visible

if TYPE_CHECKING:  # rich is imported where it is used, so that --help is fast
    from pathlib import Path

    from rich.console import Console
    from rich.table import Table

    from wavemore.engine.evaluate import LabelLoss

MOST_LABELS = 20
"""Labels that a table shows."""


class Screen:
    """A console that stops printing when its reader has gone, so that `wavemore train | head` still trains."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = _console(stderr)
        if not self.console.is_terminal:
            self.console.width = 10_000  # a file or a pipe has no width limit
        self.open = True

    @property
    def live(self) -> bool:
        """Whether this is a terminal that can show a moving bar."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and self.open

    @property
    def width(self) -> int:
        """The number of columns."""
        return self.console.width

    def say(self, *lines: Any, style: str = "") -> None:
        """Print lines, or a table; nothing in them is read as markup or as the end of a line."""
        if not self.open:
            return
        try:
            for line in lines or ("",):
                self.console.print(visible(line) if isinstance(line, str) else line, style=style or None)
            self.console.file.flush()
        except BrokenPipeError:
            self.open = False
            discard(self.console.file)


def _console(stderr: bool) -> "Console":
    from rich.console import Console

    class PersistentConsole(Console):
        def on_broken_pipe(self) -> None:
            """Raise the BrokenPipeError again: rich would end the program, and a training with it."""
            raise

    # In a notebook, rich would print into the cell even if standard output is redirected.
    return PersistentConsole(
        stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, force_jupyter=False
    )


def print_json(value: object) -> None:
    """Print JSON to standard output: what a terminal would obey is escaped, and NaN and infinity are null."""
    in_ascii = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    try:
        content = json.dumps(value, ensure_ascii=in_ascii, indent=1, allow_nan=False)
    except ValueError:
        finite = json.loads(json.dumps(value), parse_constant=lambda name: None)
        content = json.dumps(finite, ensure_ascii=in_ascii, indent=1)
    print(escaped(content))


def print_lines(text: str) -> None:
    """Print a text of several lines to standard output, such as a table as Markdown."""
    print(visible(text, keep="\n"))


def print_item(text: str, end: str = "\n") -> None:
    """Print what a model has made: as it is to a file or a pipe, visible to a terminal."""
    on_terminal = sys.stdout.isatty()
    sys.stdout.write((visible(text, keep="\n") if on_terminal else text) + end)
    if on_terminal:
        sys.stdout.flush()


def print_error(text: str) -> None:
    """Print a text to standard error, which may be closed."""
    with suppress(OSError):
        print(visible(text, keep="\n"), file=sys.stderr)


def discard(stream: IO[str]) -> None:
    """Send the rest of a stream nowhere: its reader has gone, or its disk is full, and Python flushes it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def losses(nats: float) -> str:
    """Return a loss in nats and bits."""
    return f"{nats:.4f} nats ({nats / log(2):.3f} bits) per character"


def seconds(value: float) -> str:
    """Return a time in suitable units.

    >>> seconds(7.25), seconds(754)
    ('7.2 s', '12 min 34 s')
    """
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def checked_figure_path(plot: str | None) -> "Path | None":
    """Return the path of a figure that --plot asks for. Raises `UsageError` if it cannot be drawn there."""
    if plot is None:
        return None
    from wavemore.plots.save import figure_path  # needs matplotlib

    return figure_path(plot)


def padded(text: str, width: int) -> str:
    r"""Fill up a text with spaces to `width` columns of a terminal: most CJK characters take two, accents none.

    >>> padded("天地", 6), padded("e\u0301", 3)
    ('天地  ', 'é  ')
    """
    return text + " " * (width - cells(text))


def cells(text: str) -> int:
    """Return the number of columns that a text takes on a terminal."""
    from rich.cells import cell_len

    return cell_len(text)


def label_table(screen: Screen, by_label: "Sequence[LabelLoss]") -> "Table":
    """Return a table of the losses per label, of the `MOST_LABELS` with the most items."""
    shown = sorted(by_label, key=lambda each: -each.lines)[:MOST_LABELS]
    rows = [[each.label, f"{each.nats:.4f}" if each.lines else "", f"{each.lines:,}"] for each in shown]
    if more := len(by_label) - len(shown):
        rows.append([f"and {more:,} more (--json)", "", ""])
    return table(screen, ["label", "nats", "items"], rows, left=["label"])


def table(
    screen: Screen,
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[str],
    spare: Sequence[str] = (),
) -> "Table":
    """Return a plain table of visible text; the columns in `left` are text, the others numbers.

    On a narrow terminal the columns in `spare` are left out, in this order, until the table fits.
    """
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    unlimited = screen.console.options.update(max_width=100_000)
    rows = [list(row) for row in rows]
    columns = [name for place, name in enumerate(header) if any(row[place] for row in rows) or name not in spare]
    for name in (*spare, ""):
        result = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in columns:
            result.add_column(column, justify="left" if column in left else "right", overflow="fold")
        for row in rows:
            result.add_row(*(Text(visible(row[header.index(column)])) for column in columns))
        if Measurement.get(screen.console, unlimited, result).maximum <= screen.width:
            break
        columns = [column for column in columns if column != name]
    return result
