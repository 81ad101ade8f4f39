"""The commands. This room is the only one that prints."""

import contextlib
import io
import os
import sys
from typing import Any

import tyro

from wavemore import __version__
from wavemore.cli.bench import Bench
from wavemore.cli.evaluate import Evaluate
from wavemore.cli.log import Log
from wavemore.cli.sample import Sample
from wavemore.cli.score import ScoreLines
from wavemore.cli.train import Train
from wavemore.errors import WavemoreError

COMMANDS: dict[str, Any] = {
    "train": Train,
    "sample": Sample,
    "score": ScoreLines,
    "evaluate": Evaluate,
    "log": Log,
    "bench": Bench,
}

DESCRIPTION = (
    "A list in, a trained character model in seconds, new lines out. "
    "Begin with `wavemore train list.txt`, then `wavemore sample`."
)


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code: 0, 1 (failed), 2 (used wrongly), 130 (Ctrl-C)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments == ["--version"]:
        print(f"wavemore {__version__}")
        return 0
    try:
        command = _parse(arguments or ["--help"])
        code: int = command.run_command()
        sys.stdout.flush()
    except WavemoreError as error:
        print(f"wavemore: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("wavemore: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`). Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        print(
            f"wavemore: {error.strerror or error}{f': {error.filename}' if error.filename else ''}",
            file=sys.stderr,
        )
        return 1
    return code


def _parse(arguments: list[str]) -> Any:
    """The command as a dataclass. tyro explains a wrong flag in a box; here its first paragraph is enough."""
    box = io.StringIO()
    try:
        with contextlib.redirect_stderr(box):
            return tyro.extras.subcommand_cli_from_dict(
                COMMANDS,
                prog="wavemore",
                description=DESCRIPTION,
                args=arguments,
                config=(tyro.conf.FlagCreatePairsOff,),
            )
    except SystemExit as stop:
        if stop.code:
            print(_in_a_line(box.getvalue(), arguments), file=sys.stderr)
        raise


def _in_a_line(box: str, arguments: list[str]) -> str:
    """What a box of tyro's says before its first rule, in one line."""
    words = []
    for line in box.splitlines()[1:]:
        text = line.strip("│╭╰╮╯ ")
        if text.startswith("─"):
            break
        words.append(text)
    command = f"wavemore {arguments[0]}" if arguments and arguments[0] in COMMANDS else "wavemore"
    said = " ".join(" ".join(words).split())
    return f"{command}: {said or 'wrong flags'}. See {command} --help"
