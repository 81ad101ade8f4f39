"""What the settings of all models have in common.

Each model's own settings are a dataclass beside the model; `nn.models.MODELS` lists them all.
"""

from abc import ABC, abstractmethod
from dataclasses import Field, field, fields, replace
from typing import Any, ClassVar, Literal, Self, TypeAlias, TypeVar, get_args

from wavemore.errors import UsageError

NormName: TypeAlias = Literal["batch", "layer", "rms", "none", "batch-per-position"]
ActivationName: TypeAlias = Literal["tanh", "relu", "gelu", "silu"]

MAX_CONTEXT = 4096
MAX_LAYERS = 1_000
MAX_SIZE = 2**16
"""The largest number of channels, and of anything else that `require_sizes` checks."""
DROPOUT_HELP = "fraction of the values set to zero in training"

T = TypeVar("T")


def setting(default: T, help: str) -> T:  # noqa: A002 - the word of argparse and tyro
    """Declare a field of a config: its default and the help text of its flag."""
    return field(default=default, metadata={"help": help})


class ModelConfig(ABC):
    """The settings of a model: subclasses are frozen dataclasses whose fields are made by `setting`."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # so that type checkers accept `fields` and `asdict`
    counted: ClassVar[bool] = False
    """Whether the model is counted and not trained: it is the same for every seed."""
    width_settings: ClassVar[tuple[str, ...]] = ()
    """The settings that scale the number of parameters, such as the hidden channels: all get the same value."""

    @property
    @abstractmethod
    def receptive_field(self) -> int | None:
        """Number of characters that a prediction depends on; None for the whole line so far."""

    @property
    def width(self) -> int:
        """The value of `width_settings`; 0 if there are none."""
        return getattr(self, self.width_settings[0]) if self.width_settings else 0

    def with_width(self, width: int) -> Self:
        """Return the same settings with another width. Raises a UsageError if the model has none."""
        if not self.width_settings:
            raise UsageError(f"a {type(self).__name__} has no width to change")
        return replace(self, **dict.fromkeys(self.width_settings, width))

    def describe(self) -> str:
        """Describe the settings in one line: each name and value, except those that are zero."""
        settings = ((field.name.replace("_", " "), getattr(self, field.name)) for field in fields(self))
        return ", ".join(f"{name} {_text(value)}" for name, value in settings if value)

    @property
    def label(self) -> str:
        """The settings in a few characters, for a column of a table."""
        return self.describe()

    def require_sizes(self, *names: str) -> None:
        """Raise a UsageError unless each of these settings is between 1 and `MAX_SIZE`."""
        for name in names:
            self._require(getattr(self, name) >= 1, name, "at least 1")
            self.require_at_most(name, MAX_SIZE)

    def require_at_most(self, name: str, limit: int) -> None:
        """Raise a UsageError if a setting is above the limit."""
        self._require(getattr(self, name) <= limit, name, f"at most {limit:,}")

    def require_one_of(self, name: str, literal: Any) -> None:
        """Raise a UsageError unless a setting is one of the values of a Literal."""
        self._require(getattr(self, name) in get_args(literal), name, f"one of {', '.join(get_args(literal))}")

    def require_fraction(self, name: str) -> None:
        """Raise a UsageError unless a setting is at least 0 and below 1."""
        self._require(0 <= getattr(self, name) < 1, name, "at least 0 and below 1")

    def _require(self, condition: bool, name: str, requirement: str) -> None:
        if not condition:
            value = getattr(self, name)
            text = repr(value)
            if isinstance(value, int):
                text = f"{value:,}" if abs(value) < 10**18 else "far too large"
            raise UsageError(f"`{name}` is {text}; it must be {requirement}")


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
