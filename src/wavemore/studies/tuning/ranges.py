"""The ranges of the settings that are searched, and how a trial of Optuna chooses from them."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple, Protocol

from wavemore.engine.defaults import RECURRENT
from wavemore.engine.training_plan import Plan

Value = str | int | float
Values = Mapping[str, Value]


class Trial(Protocol):
    """What is needed of a trial of Optuna."""

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        """Suggest one of the choices."""

    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int:
        """Suggest a whole number."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Suggest a number."""


class Between(NamedTuple):
    """A range of numbers."""

    low: float
    high: float
    whole: bool = False
    log: bool = True
    """Whether it is searched on a logarithmic scale."""


Range = Between | tuple[Value, ...]


def model_ranges(base: Plan, data_format: str) -> dict[str, Range]:
    """Return the ranges of the settings of a model, other than its width."""
    config, ranges = base.model_config, dict[str, Range]()
    own = {field.name: getattr(config, field.name) for field in fields(config)}
    options: dict[str, tuple[Value, ...]] = {
        "fuse": ("2x2x2", "2x2x2x2", "4x2"),
        "activation": ("silu", "gelu"),
        "layers": (1, 2) if base.model in RECURRENT else (2, 3, 4),
        "heads": (2, 4),
        "dilations": ("1x2x4", "1x2x4x8", "1x2x4x8x16"),
        "cycles": (1, 2),
        "gate": ("glu", "swiglu"),
        "dropout": (0.0, 0.1),
        "context": (4, 8, 16) if base.model in ("mlp", "bow") else (16, 32, 64),
    }
    if data_format == "text":
        options["fuse"] = ("2x2x2x2", "2x2x2x2x2", "4x4")
        options["dilations"] = ("1x2x4x8x16", "1x2x4x8x16x32", "1x2x4x8x16x32x64")
    for setting, choices in options.items():
        if setting in own:
            ranges[setting] = tuple(dict.fromkeys((value_of(own[setting]), *choices)))
    if "embedding" in own and "embedding" not in config.width_settings:
        ranges["embedding"] = Between(max(1, min(8, own["embedding"])), max(64, own["embedding"]), whole=True)
    return ranges


def value_of(value: Any) -> Value:
    """Return a setting as a value of Optuna, which knows no lists."""
    return "x".join(map(str, value)) if isinstance(value, tuple) else value


def ends(ranges: Mapping[str, Range], setting: str) -> tuple[float, float]:
    """Return the ends of the range of a setting; 1 and 1 if it is none of numbers."""
    range_ = ranges.get(setting)
    return (range_.low, range_.high) if isinstance(range_, Between) else (1.0, 1.0)


def suggest(trial: Trial, name: str, range_: Range) -> Value:
    """Let a trial choose a value of a range."""
    if not isinstance(range_, Between):
        return trial.suggest_categorical(name, range_)  # type: ignore[no-any-return]
    if range_.whole:
        return trial.suggest_int(name, int(range_.low), int(range_.high), log=range_.log)
    return trial.suggest_float(name, range_.low, range_.high, log=range_.log)
