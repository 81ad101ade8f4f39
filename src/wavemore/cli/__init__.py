"""The commands. This room is the only one that prints."""

import contextlib
import io
import os
import sys

from wavemore.errors import WavemoreError
from wavemore.version import __version__


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 (failed), 2 (used wrongly), 130 (Ctrl-C)."""
    if arguments is None:
        arguments = sys.argv[1:]
        _steady_streams()
    if arguments == ["--version"]:
        print(f"wavemore {__version__}")
        return 0
    try:
        # Read here, so that Ctrl-C is answered with a line from the first moment on.
        from wavemore.cli.commands import parse

        command = parse(arguments or ["--help"])
        from wavemore.engine.process import keep_freed_memory  # after --help, which needs no torch

        keep_freed_memory()
        code: int = command.run_command()
        sys.stdout.flush()
    except WavemoreError as error:
        return _failed(str(error), error.exit_code)
    except KeyboardInterrupt as stop:
        return _failed(str(stop) or "stopped", 130)
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0
    except BrokenPipeError:  # the reader of our output has gone (`| head`)
        _flush_to_nowhere()
        return 1
    except MemoryError:
        return _failed(OUT_OF_MEMORY)
    except OSError as error:
        _flush_to_nowhere()  # a full disk would be told again at exit
        return _failed(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except RuntimeError as error:
        if "allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        return _failed(OUT_OF_MEMORY)
    return code


OUT_OF_MEMORY = "the memory is full: take a smaller --batch-size, --hidden or --embedding, or a shorter list"


def _failed(why: str, code: int = 1) -> int:
    line = " ".join(why.split("\n"))
    with contextlib.suppress(OSError):  # nobody is there to read it
        print(f"wavemore: {line}", file=sys.stderr)
    return code


def _steady_streams() -> None:
    """Streams that are there, and that write a character that their encoding lacks as \\u03b1 instead of failing."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _flush_to_nowhere() -> None:
    """Let what Python still holds for standard output go, so that it does not complain when it flushes at exit."""
    from wavemore.cli.screen import to_nowhere

    with contextlib.suppress(OSError, ValueError):
        to_nowhere(sys.stdout)
