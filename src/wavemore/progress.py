"""How far a long task is: whoever does it reports, and whoever shows it listens. Without a listener nothing happens."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, float], None]
"""Is given the name of a task and the fraction of it that is done, 1 at its end."""

_listener: ContextVar[Listener | None] = ContextVar("listener", default=None)


def report(task: str, done: float, total: float) -> None:
    """Report how far a task is.

    >>> with listening(lambda task, fraction: print(f"{task}: {fraction:.0%}")):
    ...     report("reading", 1, 4)
    reading: 25%
    """
    if listener := _listener.get():
        listener(task, done / total if total else 1.0)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Send the reports of the block to a listener, and no longer to one outside of it."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)
