"""When the program started; the command line imports this first."""

from time import monotonic

_started = monotonic()


def start() -> None:
    """Note that a command starts now, in a process that was there before."""
    global _started
    _started = monotonic()


def started() -> float:
    """Return when the command started, by `monotonic`."""
    return _started
