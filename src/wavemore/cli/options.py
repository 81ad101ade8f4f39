"""Flags made from the config dataclasses: their names, types and help have one source."""

import dataclasses
from collections.abc import Collection
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro

Auto = Literal["auto"]
Flag = Annotated[bool, tyro.conf.arg(help_behavior_hint="")]
Words = Annotated[str, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
Number = Annotated[int, tyro.conf.arg(metavar="N")]
RunName = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="[RUN]")]


def flags_of(kind: type, *, auto: Collection[str] | None = None) -> Any:
    """A dataclass with the fields of `kind`; those in `auto` (without it: all) may be "auto" and are so by default.

    >>> from wavemore.nn.config import TreeConfig
    >>> flags_of(TreeConfig)(hidden=64).hidden, flags_of(TreeConfig)().embedding
    (64, 'auto')
    """
    fields: list[tuple[str, Any, Any]] = []
    for field in dataclasses.fields(kind):
        if auto is None or field.name in auto:
            flag = tyro.conf.arg(help=field.metadata["help"], metavar=_metavar(field.type))
            kind_of_value: Any = field.type | Auto
            fields.append((field.name, Annotated[kind_of_value, flag], dataclasses.field(default="auto")))
        else:
            hint = "" if field.type in (bool, str) else None
            flag = tyro.conf.arg(help=field.metadata["help"], metavar=_metavar(field.type), help_behavior_hint=hint)
            fields.append((field.name, Annotated[field.type, flag], dataclasses.field(default=field.default)))
    return dataclasses.make_dataclass(f"{kind.__name__}Flags", fields, frozen=True, kw_only=True)


def given(flags: Any) -> dict[str, Any]:
    """The flags that were given, by name.

    >>> from wavemore.nn.config import TreeConfig
    >>> given(flags_of(TreeConfig)(hidden=64))
    {'hidden': 64}
    """
    return {name: value for name, value in vars(flags).items() if value != "auto"}


def _metavar(kind: Any) -> str | None:
    named = {bool: None, int: "N", float: "X", str: "TEXT", tuple[int, ...]: "N [N ...]", int | Literal["all"]: "N|all"}
    return "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else named[kind]
