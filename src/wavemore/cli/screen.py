"""What the commands have in common on the terminal."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from math import log
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:  # rich is imported where it is used, so that --help is fast
    from rich.console import Console
    from rich.table import Table


class Screen:
    """A console that goes on in silence when its reader has gone, so that `train | head` loses no training."""

    def __init__(self, *, stderr: bool = False) -> None:
        self.console = _console(stderr)
        if not self.console.is_terminal:
            self.console.width = 10_000  # a file or a pipe has no edge
        self.open = True

    @property
    def live(self) -> bool:
        """Whether there is a terminal for a moving bar."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and self.open

    @property
    def width(self) -> int:
        """How many characters stand in a row."""
        return self.console.width

    def say(self, *parts: Any, style: str = "") -> None:
        """Print; data is never read as markup."""
        if not self.open:
            return
        try:
            self.console.print(*parts, style=style or None)
            self.console.file.flush()
        except BrokenPipeError:
            self.open = False
            to_nowhere(self.console.file)

    @contextmanager
    def busy(self, what: str) -> Iterator[None]:
        """Say on a terminal what is being waited for."""
        with self.console.status(what) if self.live else nullcontext():
            yield


def _console(stderr: bool) -> "Console":
    from rich.console import Console

    class Enduring(Console):
        def on_broken_pipe(self) -> None:
            """Raise the BrokenPipeError that is being handled: rich would end the program, and a training with it."""
            raise

    # A cell of a notebook is a pipe: rich would show there what its reader has sent elsewhere.
    return Enduring(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True, force_jupyter=False)


def to_nowhere(stream: IO[str]) -> None:
    """Let a stream end in the void: its reader has gone, or its disk is full, and Python flushes it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def losses(nats: float) -> str:
    """A loss in both units.

    >>> losses(2.0)
    '2.0000 nats (2.885 bits) a character'
    """
    return f"{nats:.4f} nats ({nats / log(2):.3f} bits) a character"


def seconds(value: float) -> str:
    """A time in the units that people say.

    >>> seconds(7.25), seconds(754)
    ('7.2 s', '12 min 34 s')
    """
    if round(value, 1) < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes} min" if hours else f"{minutes} min {rest} s"


def visible(text: str) -> str:
    """The text with signs for what would move the cursor or turn the terminal's colours.

    >>> visible("a\\tb\\x1b[31m"), visible("\\u2028")
    ('a␉b␛[31m', '\ufffd')
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    if character < " ":
        return chr(0x2400 + ord(character))
    return "\ufffd" if unicodedata.category(character) in ("Cc", "Zl", "Zp", "Cs") else character


def padded(text: str, width: int) -> str:
    r"""The text, filled up with spaces to `width` columns of a terminal: most CJK characters take two, accents none.

    >>> padded("天地", 6), padded("e\u0301", 3)
    ('天地  ', 'é  ')
    """
    return text + " " * (width - cells(text))


def cells(text: str) -> int:
    """How many columns of a terminal the text takes."""
    from rich.cells import cell_len

    return cell_len(text)


def table(
    screen: Screen, header: Sequence[str], rows: Iterable[Sequence[str]], *, left: Sequence[str], spare: Sequence[str]
) -> "Table":
    """A plain table; the columns in `left` are text, the others numbers.

    Where the terminal is too narrow, columns are left out in the order of `spare`.
    """
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    boundless = screen.console.options.update(max_width=100_000)
    cells = [list(row) for row in rows]
    shown = [name for name in header if any(row[header.index(name)] for row in cells) or name not in spare]
    for name in (*spare, ""):
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for column in shown:
            made.add_column(column, justify="left" if column in left else "right", overflow="fold")
        for row in cells:
            made.add_row(*(Text(visible(row[header.index(column)])) for column in shown))
        if Measurement.get(screen.console, boundless, made).maximum <= screen.width:
            break
        shown = [column for column in shown if column != name]
    return made
