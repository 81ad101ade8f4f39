"""The command line, and the only package that prints. Public: `main`.

Each command is a dataclass in the file of its name: its fields are the flags, and `run_command` runs it.
"""

import contextlib
import errno
import io
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import IO, Any

from wavemore.cli.screen import discard, print_error
from wavemore.cli.start import start
from wavemore.errors import RankError, UsageError, WavemoreError, WavemoreWarning, is_out_of_memory
from wavemore.version import __version__

OUT_OF_MEMORY = "out of memory: use a smaller --batch-size, --hidden or --embedding, or less data"
MAX_ERROR = 1_600
"""Characters of an error."""
SECONDS_TO_SPEAK = 5
"""For which a silent process that has failed waits before it ends."""
_silence: IO[str] | None = None  # where a process writes that does not speak


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 1 (failed), 2 (used wrongly) or 128 plus a signal."""
    own_process = arguments is None
    if arguments is None:
        arguments = sys.argv[1:]
        _harden_streams()
        _mute_other_ranks()
    else:
        start()
    if list(arguments) == ["--version"]:
        print(f"wavemore {__version__}")
        return 0
    end = arguments.index("--") if "--" in arguments else len(arguments)
    debug = "--debug" in arguments[:end]
    command: Any = None
    try:
        from wavemore.cli.commands import parse

        words = [word for word in arguments[:end] if word != "--debug"]
        arguments = [*words, *arguments[end:]]
        command = parse(arguments)
        if own_process and arguments[0] != "train":
            _refuse_ranks(arguments[0])
        from wavemore.cli.progress import busy

        if own_process:
            from wavemore.runs.environment import use_threads  # not for --help, which needs no torch

            use_threads("auto")
        if own_process and signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # from here on, it is answered
            signal.signal(signal.SIGINT, signal.default_int_handler)
        with warnings.catch_warnings():
            warnings.simplefilter("default", WavemoreWarning)
            warnings.showwarning = _warning_printer()
            with busy():
                code: int = command.run_command(arguments)
        sys.stdout.flush()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 (a bug is raised again)
        return _failed(error, command, debug=debug)
    except SystemExit as stop:  # --help, or tyro has printed what is wrong
        return stop.code if isinstance(stop.code, int) else 0
    return code


def _failed(error: BaseException, command: Any, *, debug: bool) -> int:
    """Print an error in one line, with `debug` after its traceback, and return the exit code; raise a bug again."""
    interrupt = None if isinstance(error, WavemoreError) else _interrupt(error)
    out_of_memory = is_out_of_memory(error)
    if sys.stderr is _silence and not (interrupt or _is_known(error)):
        sys.stderr = sys.__stderr__
    if not (isinstance(error, (WavemoreError, OSError)) or interrupt or out_of_memory):
        raise error
    if debug:
        print_error("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, WavemoreError):
        from wavemore.cli.options import with_flags

        return _print_error(with_flags(str(error), command), error.exit_code)
    if interrupt:
        return _print_error(str(interrupt) or "stopped", 130)
    if isinstance(error, BrokenPipeError):  # the reader of our output has gone (`| head`)
        _discard_stdout()
        return 1
    if isinstance(error, OSError):
        _discard_stdout()  # otherwise Python reports a full disk again at exit
        where = f": {error.filename}" if error.filename else ""
        hint = "" if debug or error.errno == errno.ENOSPC else "; --debug shows where this happened"
        return _print_error(f"{error.strerror or error}{where}{hint}", 1)
    return _print_error(OUT_OF_MEMORY, 1)


def _interrupt(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the Ctrl-C that an error is or comes from: in the middle of an import it becomes another one."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


def _warning_printer() -> Callable[..., None]:
    """Return a function that prints each warning of wavemore once; those of other libraries are not for users."""
    shown: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *rest: object, **more: object) -> None:
        if issubclass(category, WavemoreWarning) and str(message) not in shown:
            shown.add(str(message))
            print_error(f"wavemore: {message}")

    return show


def _print_error(message: str, code: int) -> int:
    """Print a message as one line; the middle of a very long one, such as a path in a stranger's run, is left out."""
    line = " ".join(message.split("\n"))
    if len(line) > MAX_ERROR:
        line = f"{line[: MAX_ERROR // 2]} ... {line[-MAX_ERROR // 2 :]}"
    print_error(f"wavemore: {line}")
    return code


def _mute_other_ranks() -> None:
    """Let only one of the processes speak that torchrun started for one command."""
    if "RANK" in os.environ:
        from wavemore.runs.ranks import rank_of_environment

        if rank_of_environment():
            global _silence
            sys.stdout = sys.stderr = _silence = open(os.devnull, "w")  # noqa: SIM115, PTH123


def _refuse_ranks(name: str) -> None:
    """Raise `UsageError` under torchrun, where each process would do all of a command other than `train`."""
    if "RANK" in os.environ:
        from wavemore.runs.ranks import are_several

        if are_several():
            raise UsageError(f"torchrun is for `wavemore train` alone: run `wavemore {name}` without torchrun")


def wait_for_speaker() -> None:
    """Give the process that speaks time to say what went wrong, if this one is silent.

    torchrun ends all processes as soon as it sees that one has failed.
    """
    if _silence is not None and sys.stderr is _silence:
        time.sleep(SECONDS_TO_SPEAK)


def _is_known(error: BaseException) -> bool:
    """Whether the process that speaks has the same error."""
    return error.is_known if isinstance(error, RankError) else isinstance(error, WavemoreError)


def _harden_streams() -> None:
    """Replace closed streams, and write characters that a stream's encoding lacks as \\u03b1 instead of failing.

    On Windows, what goes to a file or another program is in UTF-8 too, not in the code page of the country.
    """
    encoding = "utf-8" if sys.platform == "win32" and "PYTHONIOENCODING" not in os.environ else None
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _discard_stdout() -> None:
    """Send the rest of standard output nowhere, so that Python does not fail when it flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        discard(sys.stdout)
