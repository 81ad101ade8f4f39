"""When the program started; the command line imports this first."""

from time import monotonic

STARTED = monotonic()
