"""The commands by name, and from the words of a command line to one of them."""

import contextlib
import io
import re
from typing import Any

import tyro

from wavemore.cli.compare import Compare
from wavemore.cli.evaluate import Evaluate
from wavemore.cli.inspect import Inspect
from wavemore.cli.log import Log
from wavemore.cli.report import Report
from wavemore.cli.sample import Sample
from wavemore.cli.score import ScoreLines
from wavemore.cli.study import StudyCommand
from wavemore.cli.train import Train
from wavemore.errors import UsageError

COMMANDS: dict[str, Any] = {
    "train": Train,
    "sample": Sample,
    "score": ScoreLines,
    "evaluate": Evaluate,
    "inspect": Inspect,
    "log": Log,
    "compare": Compare,
    "study": StudyCommand,
    "report": Report,
}

DESCRIPTION = (
    "A list in, a trained character model in seconds, new lines out. "
    "Begin with `wavemore train list.txt`, then `wavemore sample`."
)


def parse(arguments: list[str]) -> Any:
    """The command as a dataclass, with what was asked for in its fields.

    Raises `UsageError` for words that make no command, and SystemExit after --help.
    """
    if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
        raise UsageError(f"there is no command {arguments[0]!r}: choose one of {', '.join(COMMANDS)}")
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
            said = in_a_line(box.getvalue())
            if arguments[0] == "score" and said.startswith("Unrecognized"):
                said += "; lines that begin with - stand after --"
            command = f"wavemore {arguments[0]}" if arguments[0] in COMMANDS else "wavemore"
            raise UsageError(f"{said}; see {command} --help") from None
        raise


def in_a_line(box: str) -> str:
    """What one of tyro's boxes says, in a line.

    >>> in_a_line("╭─ Value error ──╮\\n│ Error parsing -n/--n: invalid literal for int() with base 10: 'x' │")
    "-n/--n takes a whole number, not 'x'"
    """
    paragraphs: list[list[str]] = [[]]
    for line in box.splitlines():
        text = line.strip("│╰╯ ")
        if line.startswith("╭") or not text.strip("─-"):  # a rule, or the title within one
            paragraphs.append([])
        else:
            paragraphs[-1].append(text)
    paragraphs = [lines for lines in paragraphs if lines]
    if "╭" not in box:  # the frame where there is no UTF-8: the title has a paragraph of its own
        del paragraphs[:1]
    said = " ".join(" ".join(paragraphs[0]).split()).rstrip(".") if paragraphs else ""
    for pattern, replacement in SAID:
        said = re.sub(pattern, replacement, said)
    meant = [line.split()[0] for lines in paragraphs[1:] for line in lines if line.startswith("--")]
    if said.startswith("Unrecognized") and meant:
        said += f" (perhaps you meant {' or '.join(meant)})"
    return said or "these flags cannot be read"


SAID = [
    (
        r"^Error parsing (\S+): no type matching .*?INT.* could be instantiated from \[(.*?)\].*",
        r"\1: \2 is no whole number",
    ),
    (
        r"^Error parsing (\S+): no type matching .*?FLOAT.* could be instantiated from \[(.*?)\].*",
        r"\1: \2 is no number",
    ),
    (r"^Error parsing (\S+): no type matching (.*) could be instantiated from \[(.*?)\].*", r"\1: \3 is not \2"),
    (r"^Error parsing (\S+): invalid literal for int\(\) with base 10: (.*)", r"\1 takes a whole number, not \2"),
    (r"^Error parsing (\S+): could not convert string to float: (.*)", r"\1 takes a number, not \2"),
    (r"^invalid choice (.*) for argument '(.*)'\. Expected one of \((.*)\)", r"\2 is one of \3, not \1"),
    (r"^Missing from (wavemore compare): .*", r"\1 needs A and B: two runs, experiments or folders of seeds"),
    (r"^Missing value for argument '(.*?)'.*", r"\1 needs a value"),
    (r"^Unrecognized options: (.*)", r"Unrecognized: \1"),
]
"""How tyro says it, and how it is said here."""
