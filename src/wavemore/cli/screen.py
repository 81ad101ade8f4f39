"""What the commands have in common on the terminal."""

import sys
from collections.abc import Iterable, Sequence
from math import log
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


class Screen:
    """A console that goes on in silence when its reader has gone, so that `train | head` loses no training."""

    def __init__(self, *, stderr: bool = False) -> None:
        from rich.console import Console

        self.console: Console = Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = 160  # a file or a pipe has no edge; tables need one
        self.open = True

    @property
    def live(self) -> bool:
        """Whether there is a terminal for a moving bar."""
        return self.console.is_terminal and self.open

    def say(self, *parts: Any, style: str = "") -> None:
        """Print; data is never read as markup."""
        if not self.open:
            return
        try:
            self.console.print(*parts, style=style or None)
            self.console.file.flush()
        except BrokenPipeError:
            self.open = False
            sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 (Python flushes it at exit)


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
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], left: Sequence[int] = (0,)) -> Any:
    """A plain table; the columns in `left` are text, the others numbers."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, name in enumerate(header):
        made.add_column(name, justify="left" if number in left else "right", overflow="fold")
    for row in rows:
        made.add_row(*(Text(cell) for cell in row))
    return made
