"""What a training is: a model and a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wavemore.engine.recipe import MAX_COUNT, Recipe
from wavemore.errors import require, require_types
from wavemore.nn.config import ModelConfig

MOST_MINUTES = 60 * 24 * 100


@dataclass(frozen=True)
class TimeBudget:
    """The time that a training was planned for, and the speed that a probe measured."""

    minutes: float
    """For everything: reading, planning, training, exact losses and samples."""
    chars_per_second: float
    """Predicted characters per second of training."""
    ending_seconds: float
    """Expected time after the training."""
    most_steps: int = 0
    """The most steps that make sense; on a machine that is faster than expected, the training gets up to so many."""
    chosen: Mapping[str, str | int | float] = field(default_factory=dict)
    """The settings that were chosen for the time: the same training without `minutes`."""

    def __post_init__(self) -> None:
        require_types(self)
        require(0 < self.minutes <= MOST_MINUTES, "minutes", self.minutes, f"above 0 and at most {MOST_MINUTES:,}")
        require(0 <= self.most_steps <= MAX_COUNT, "most_steps", self.most_steps, f"between 0 and {MAX_COUNT:,}")


@dataclass(frozen=True)
class Plan:
    """A model and how it is trained."""

    model: str
    model_config: ModelConfig
    recipe: Recipe
    budget: TimeBudget | None = None
    """If it was planned for a given time."""
    teachers: tuple["Plan", ...] = ()
    """For a student that was planned for a given time: its teachers, which are trained first."""
