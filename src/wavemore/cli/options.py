"""Flags made from the config dataclasses: their names, types and help have one source."""

import dataclasses
from collections.abc import Collection
from typing import Annotated, Any, Literal, get_args, get_origin

import tyro
from tyro.conf import OmitArgPrefixes

from wavemore.nn.config import CONFIGS

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
            fields.append(_or_auto(field.name, field.type, field.metadata["help"]))
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


def _or_auto(name: str, kind: Any, help: str) -> tuple[str, Any, Any]:  # noqa: A002 - what it is everywhere else
    flag = tyro.conf.arg(help=help, metavar=_metavar(kind))
    kind_of_value: Any = kind | Auto
    return name, Annotated[kind_of_value, flag], dataclasses.field(default="auto")


SHARED_HELP = {
    "context": "characters that a prediction sees; of a tree the product of --fuse: alone, a power of 2, in pairs",
    "embedding": "channels of a character's vector",
    "hidden": "channels of the hidden layers",
    "channels": "channels of the residual path",
    "layers": "blocks on top of each other",
    "norm": "normalisation of each layer (batch-per-position: the lecture's bug)",
    "activation": "activation after each normalisation",
    "dropout": "share of values set to zero in training",
}
"""Of what several models have, in words that are true of them all."""


def _grouped() -> dict[str, list[tuple[str, Any, Any]]]:
    """The settings of all models as fields: "" has what several have, the others by the one that has them."""
    owners: dict[str, dict[str, Any]] = {}
    helps: dict[str, str] = {}
    for model, config in CONFIGS.items():
        for field in dataclasses.fields(config):  # type: ignore[arg-type]
            owners.setdefault(field.name, {})[model] = field.type
            helps[field.name] = field.metadata["help"]
    owners["context"]["tree"] = int  # a word of the plan's for what is fused
    grouped: dict[str, list[tuple[str, Any, Any]]] = {model: [] for model in ("", *CONFIGS)}
    for name, kinds in owners.items():
        if len(kinds) == 1:
            [(model, kind)] = kinds.items()
            grouped[model].append(_or_auto(name, kind, helps[name]))
        else:
            models = ", ".join(model for model in CONFIGS if model in kinds)
            grouped[""].append(_or_auto(name, _joined(list(kinds.values())), f"{SHARED_HELP[name]} ({models})"))
    return grouped


def _joined(kinds: list[Any]) -> Any:
    """One type for what is of several: of choices, all of them."""
    if all(kind == kinds[0] for kind in kinds):
        return kinds[0]
    choices = dict.fromkeys(choice for kind in kinds for choice in get_args(kind))
    return Literal[tuple(choices)]


def _metavar(kind: Any) -> str | None:
    named = {bool: None, int: "N", float: "X", str: "TEXT", tuple[int, ...]: "N [N ...]", int | Literal["all"]: "N|all"}
    return "|".join(map(str, get_args(kind))) if get_origin(kind) is Literal else named[kind]


_FIELDS = _grouped()


def _flags(model: str) -> Any:
    return dataclasses.make_dataclass(f"{model.title()}Flags", _FIELDS[model], frozen=True, kw_only=True)


SharedFlags: Any = _flags("")
TreeFlags: Any = _flags("tree")
WaveNetFlags: Any = _flags("wavenet")
TransformerFlags: Any = _flags("transformer")
NgramFlags: Any = _flags("ngram")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelFlags:
    """The settings of all models, in groups."""

    shared: OmitArgPrefixes[SharedFlags] = dataclasses.field(default_factory=SharedFlags)
    """The settings of several models, whose names stand behind; auto fits the data."""
    tree: OmitArgPrefixes[TreeFlags] = dataclasses.field(default_factory=TreeFlags)
    """--model tree alone (mlp: the tree with one fusion of --context)."""
    wavenet: OmitArgPrefixes[WaveNetFlags] = dataclasses.field(default_factory=WaveNetFlags)
    """--model wavenet alone."""
    transformer: OmitArgPrefixes[TransformerFlags] = dataclasses.field(default_factory=TransformerFlags)
    """--model transformer alone."""
    ngram: OmitArgPrefixes[NgramFlags] = dataclasses.field(default_factory=NgramFlags)
    """--model ngram alone."""

    def model_settings(self) -> dict[str, Any]:
        """Those that were given, by name."""
        groups = (self.shared, self.tree, self.wavenet, self.transformer, self.ngram)
        return {name: value for group in groups for name, value in given(group).items()}
