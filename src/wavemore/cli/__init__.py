"""The command line, and the only package that prints. Public: `main`.

Each command is a dataclass in the file of its name: its fields are the flags, and `run_command` runs it.
"""

import contextlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any

from wavemore.cli.screen import discard, print_error
from wavemore.errors import WavemoreError
from wavemore.version import __version__

OUT_OF_MEMORY = "out of memory: use a smaller --batch-size, --hidden or --embedding, or less data"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (failed), 2 (used wrongly) or 128 plus a signal."""
    if arguments is None:
        arguments = sys.argv[1:]
        _harden_streams()
    if list(arguments) == ["--version"]:
        print(f"wavemore {__version__}")
        return 0
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:end]
    command: Any = None
    try:
        # Imported here, so that Ctrl-C is answered with one line from the first moment.
        from wavemore.cli.commands import parse

        words = [word for word in arguments[:end] if word != "--debug"]
        arguments = [*words, *arguments[end:]]
        command = parse(arguments)
        from wavemore.engine.process import keep_freed_memory  # not for --help, which needs no torch

        keep_freed_memory()
        code: int = command.run_command(arguments)
        sys.stdout.flush()
    except (WavemoreError, KeyboardInterrupt, MemoryError, OSError, RuntimeError) as error:
        if debug:
            print_error(traceback.format_exc().rstrip())
        return _failed(error, command)
    except SystemExit as stop:  # --help, or tyro has printed what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    return code


def _failed(error: BaseException, command: Any) -> int:
    """Print an error in one line and return the exit code."""
    if isinstance(error, WavemoreError):
        from wavemore.cli.options import with_flags

        return _print_error(with_flags(str(error), command), error.exit_code)
    if isinstance(error, KeyboardInterrupt):
        return _print_error(str(error) or "stopped", 130)
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone (`| head`)
        _discard_stdout()
        return 1
    if isinstance(error, OSError):
        _discard_stdout()  # otherwise Python reports a full disk again at exit
        return _print_error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}", 1)
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error):
        return _print_error(OUT_OF_MEMORY, 1)
    raise error


def _print_error(message: str, code: int) -> int:
    print_error(f"wavemore: {' '.join(message.split(chr(10)))}")
    return code


def _harden_streams() -> None:
    """Replace closed streams, and write characters that a stream's encoding lacks as \\u03b1 instead of failing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _discard_stdout() -> None:
    """Send the rest of standard output nowhere, so that Python does not fail when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        discard(sys.stdout)
