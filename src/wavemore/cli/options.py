"""The types of flags, and what is known about a command line besides its values."""

import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

from tyro.conf import FlagCreatePairsOff, Positional, arg
from tyro.constructors import PrimitiveConstructorSpec

from wavemore.errors import UsageError

Auto = Literal["auto"]


def _spec(metavar: str, kind: Callable[[str], Any], noun: str = "", word: str = "", *, many: bool = False) -> Any:
    """Return how tyro reads a value of `kind`, or `word`, and what it says if the value is not `noun`."""

    def read(words: list[str]) -> Any:
        if word and words == [word]:
            return word
        if not words:
            raise ValueError("it needs at least one value")
        try:
            values = tuple(map(kind, words))
        except ValueError:
            raise ValueError(f"{' '.join(words)!r} is not {noun}") from None
        return values if many else values[0]

    return PrimitiveConstructorSpec(
        nargs="*" if many else 1,
        metavar=metavar,
        instance_from_str=read,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


NO_HINT = arg(help_behavior_hint="")
"""Leaves out "(default: ...)" where the help gives the default or none is needed."""
WHOLE, WHOLES, NUMBER = "a whole number", "a list of whole numbers", "a number"

Flag = Annotated[bool, NO_HINT, FlagCreatePairsOff]
YesOrNo = Annotated[bool, NO_HINT]
Number = Annotated[int, _spec("N", int, WHOLE)]
Real = Annotated[float, _spec("X", float, NUMBER)]
Name = Annotated[str, _spec("NAME", str)]
Words = Annotated[str, _spec("TEXT", str), NO_HINT]
Text = Annotated[str | None, _spec("TEXT", str), NO_HINT]
File = Annotated[str | None, _spec("FILE", str), NO_HINT]
HubName = Annotated[str | None, _spec("USER/NAME", str), NO_HINT]
SourceRun = Annotated[str | None, _spec("RUN", str), arg(name="from", help_behavior_hint="")]
MovedData = Annotated[str | None, _spec("DATA", str), NO_HINT]
Folder = Annotated[str | None, _spec("FOLDER", str), NO_HINT]
Runs = Annotated[tuple[str, ...] | None, _spec("RUN [RUN ...]", str, many=True), NO_HINT]
Texts = Annotated[tuple[str, ...], _spec("TEXT [TEXT ...]", str, many=True), NO_HINT]
Length = Annotated[int | None, _spec("N", int, WHOLE), NO_HINT]
Minutes = Annotated[float | None, _spec("M", float, NUMBER), NO_HINT]
RealOrNone = Annotated[float | None, _spec("X", float, NUMBER), NO_HINT]
Ints = Annotated[tuple[int, ...] | None, _spec("N [N ...]", int, WHOLES, many=True), NO_HINT]
RunName = Annotated[Positional[str], arg(metavar="[RUN]")]
IntOrAll = Annotated[int | Literal["all"], _spec("N|all", int, WHOLE, "all")]
IntOrAuto = Annotated[int | Auto, _spec("N", int, WHOLE, "auto"), NO_HINT]
IntsOrAuto = Annotated[tuple[int, ...] | Auto, _spec("N [N ...]", int, WHOLES, "auto", many=True), NO_HINT]
FloatOrAuto = Annotated[float | Auto, _spec("X", float, NUMBER, "auto"), NO_HINT]


def given(flags: Any) -> dict[str, Any]:
    """Return the settings that are not left to "auto", by name; a text may be that word."""
    automatic = {field.name for field in fields(flags) if field.default == "auto"}
    return {name: value for name, value in vars(flags).items() if value != "auto" or name not in automatic}


def trainings_at_a_time(jobs: int | Auto, cluster: str | None) -> int:
    """Return the number of --jobs: by default one per core. Raises `UsageError` beside --cluster, or if that is ''."""
    if cluster is not None and not cluster.strip():
        raise UsageError("--cluster is empty; it must be the address of a Dask scheduler, or left out")
    if jobs == "auto":
        from wavemore.runs.environment import cores

        return cores()
    if cluster is not None:
        raise UsageError("--jobs is for this machine; with --cluster, each worker trains one run at a time")
    if not 1 <= jobs <= 1024:
        raise UsageError(f"--jobs is {jobs}; it must be at least 1 and at most 1,024")
    return jobs


def option_names(arguments: Sequence[str]) -> list[str]:
    """Return the options of a command line, without their values; tyro reads some after -- too."""
    return [word.partition("=")[0] for word in arguments if re.match("--?[a-z]", word)]


def flag_values(command: Any) -> dict[str, Literal["none", "one", "many"]]:
    """Return how many values each flag of a kind of command takes, those of nested ones included."""
    values: dict[str, Literal["none", "one", "many"]] = {"-h": "none", "--help": "none"}
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        notes = getattr(hints[field.name], "__metadata__", ())
        if is_dataclass(field.default_factory):
            values |= flag_values(field.default_factory)
        elif get_args(Positional[str])[1] not in notes:
            many = any(getattr(note, "nargs", None) == "*" for note in notes)
            names = [getattr(note, "name", None) for note in notes]
            flags = [f"--{next(filter(None, names), field.name)}".replace("_", "-")]
            flags += [alias for note in notes for alias in getattr(note, "aliases", None) or ()]
            flags += [f"--no-{flag[2:]}" for flag in flags if field.default is True]
            values |= dict.fromkeys(flags, "none" if isinstance(field.default, bool) else "many" if many else "one")
    return values


def with_flags(message: str, command: Any) -> str:
    """Replace the parameters in backquotes in a library's message by the flags of a command: `top_k` by --top-k."""
    names = _flag_names(command)
    return re.sub(r"`(\w+)`", lambda match: names.get(match[1], match[0]), message)


def _flag_names(command: Any) -> dict[str, str]:
    """Return the flag of every field of a command, nested ones included; positional arguments have none."""
    if not is_dataclass(command):
        return {}
    positional = get_args(Positional[str])[1]
    hints = get_type_hints(type(command), include_extras=True)
    names: dict[str, str] = {}
    for field in fields(command):
        value = getattr(command, field.name)
        if is_dataclass(value):
            names |= _flag_names(value)
        elif positional not in get_args(hints[field.name]):
            names[field.name] = f"--{field.name.replace('_', '-')}" if len(field.name) > 1 else f"-{field.name}"
    return names
