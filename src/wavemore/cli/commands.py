"""The commands by name, and how the words of a command line become one of them."""

import io
import re
from collections.abc import Sequence
from contextlib import redirect_stderr
from inspect import cleandoc
from itertools import takewhile
from typing import Any

import tyro

from wavemore.cli.app import App
from wavemore.cli.compare import Compare
from wavemore.cli.evaluate import Evaluate
from wavemore.cli.export import Export
from wavemore.cli.inspect import Inspect
from wavemore.cli.log import Log
from wavemore.cli.next import Next
from wavemore.cli.options import flag_values
from wavemore.cli.report import Report
from wavemore.cli.sample import Sample
from wavemore.cli.score import Score
from wavemore.cli.screen import print_error
from wavemore.cli.study import StudyCommand
from wavemore.cli.train import Train
from wavemore.cli.tune import Tune
from wavemore.errors import UsageError

COMMANDS: dict[str, Any] = {
    "train": Train,
    "sample": Sample,
    "score": Score,
    "next": Next,
    "evaluate": Evaluate,
    "inspect": Inspect,
    "log": Log,
    "compare": Compare,
    "study": StudyCommand,
    "tune": Tune,
    "report": Report,
    "export": Export,
    "app": App,
}
"""Dataclasses whose fields are the flags and whose docstring is the help, its first line the purpose."""

MAX_LINES = 11
"""Of a message on wrong flags."""

OVERVIEW = """\
usage: wavemore COMMAND [OPTIONS]

Train a small language model, in seconds, on a list (names, places, molecules,
...) or on a continuous text, character by character; then make more like it.

Example:
  wavemore train list.txt     a file with one item per line
  wavemore sample             new items like these

commands:
{commands}

wavemore COMMAND --help   the options of a command, with an example
wavemore --version        the version
--debug                   with any command: also show the traceback of an error"""


def overview() -> str:
    """Return what `wavemore --help` prints."""
    purposes = {name: (command.__doc__ or "").splitlines()[0] for name, command in COMMANDS.items()}
    return OVERVIEW.format(commands="\n".join(f"  {name:<10}{purpose}" for name, purpose in purposes.items()))


def parse(arguments: Sequence[str]) -> Any:
    """Return the command as a dataclass with its flags.

    Raises `UsageError` for an unknown command; SystemExit after --help, or with 2 after a message on a wrong flag.
    """
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        raise SystemExit(0)
    name = arguments[0]
    if name not in COMMANDS:
        raise UsageError(f"there is no command {name!r}; choose one of {', '.join(COMMANDS)}")
    message = io.StringIO()
    try:
        with redirect_stderr(message):  # tyro repeats wrong words as they are
            return tyro.cli(
                COMMANDS[name],
                prog=f"wavemore {name}",
                description=cleandoc(COMMANDS[name].__doc__ or ""),
                args=_arranged(arguments[1:], COMMANDS[name]),
            )
    except SystemExit as stop:
        if message.getvalue():
            print_error(_shortened(message.getvalue().rstrip()))
        if stop.code and name in ("score", "next") and "--" not in arguments:
            raise UsageError(f"lines that begin with -- go after --, as in: wavemore {name} -- --x") from None
        raise


def _arranged(words: Sequence[str], command: Any) -> list[str]:
    """Return the words in an order that tyro reads: `--json RUN LINE` for `RUN --json LINE`; many values come last.

    A value that begins with - is joined to its flag, and a line to be scored that does goes after --.
    """
    kinds = flag_values(command)
    end = words.index("--") if "--" in words else len(words)
    flags, rest, many, left = [], [], [], list(words[:end])
    while left:
        word = left.pop(0)
        kind = kinds.get(word)
        if kind == "none":
            flags.append(word)
        elif kind == "one" and left and left[0].partition("=")[0] not in kinds:
            value = left.pop(0)
            flags += [f"{word}={value}"] if word.startswith("--") and value.startswith("-") else [word, value]
        elif kind == "many":
            values = list(takewhile(lambda word: word.partition("=")[0] not in kinds, left))
            many += [word, *values]
            left = left[len(values) :]
        else:
            rest.append(word)
    if command in (Score, Next) and any(re.match("-[^-]", word) for word in rest):
        rest.insert(0, "--")
        return [*flags, *rest, *words[end + 1 :]]
    return [*flags, *rest, *many, *words[end:]]


def _shortened(message: str) -> str:
    """Leave out tyro's colours, and the middle of a long message: what is wrong comes first, the way to help last."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", message).split("\n")
    return "\n".join(lines if len(lines) <= MAX_LINES else [*lines[: MAX_LINES - 3], *lines[-3:]])
