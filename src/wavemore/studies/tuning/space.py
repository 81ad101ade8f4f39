"""What is searched: for each kind of model, its settings with their ranges around the defaults.

A choice of values becomes a training that keeps the limits by construction: the width of the model follows from the
number of parameters, the steps from the time of one step. Two settings are searched in a form in which they depend less
on the others: `decay` is learning rate * weight decay * steps per epoch, how many times per epoch the weights forget
what they learned, and `averaging` is the number of steps in the running average of the weights.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from math import gcd
from typing import Any

from wavemore.engine.defaults import RECURRENT, default_model
from wavemore.engine.plan import plan
from wavemore.engine.recipe import MAX_COUNT
from wavemore.engine.training_plan import Plan
from wavemore.errors import UsageError
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import LABELLED, MODELS, build_without_memory
from wavemore.studies.budget import largest_config
from wavemore.studies.tuning.ranges import Between, Range, Trial, Value, Values, ends, model_ranges, suggest, value_of
from wavemore.text.corpus import Corpus

KINDS = {"lines": ("tree", "lstm", "gru", "wavenet"), "text": ("lstm", "gru", "wavenet", "transformer")}
"""The models that are searched if none are named: those that have been good in the studies."""
LONGEST = 4.0
"""A trial trains for at most so many times as many epochs as the default training."""
LEAST_STEPS = 10
TIME_SHARE = 0.95
"""Of the seconds of a training, which a machine does not keep exactly."""


@dataclass(frozen=True)
class Limits:
    """What each training has to keep."""

    max_parameters: int | None = None
    max_seconds: float | None = None
    """CPU-seconds of training, evaluations not included."""

    def __post_init__(self) -> None:
        if self.max_parameters is not None and self.max_parameters < 1:
            raise UsageError(f"`max_parameters` is {self.max_parameters}; it must be at least 1")
        if self.max_seconds is not None and not 0 < self.max_seconds < 1e9:
            raise UsageError(f"`max_seconds` is {self.max_seconds:g}; it must be above 0 and finite")


@dataclass(frozen=True)
class Choice:
    """A model and its settings; all but the number of steps."""

    model: str
    settings: dict[str, Any]
    length: float
    """The part of the longest training that it takes."""


@dataclass(frozen=True)
class Kind:
    """One kind of model: its default training, as far as it keeps the limits, and the ranges of its settings."""

    base: Plan
    ranges: dict[str, Range]
    values: dict[str, Value]
    """The default training in terms of the ranges."""


class Space:
    """All that is searched for a corpus."""

    def __init__(self, corpus: Corpus, models: Sequence[str] = (), limits: Limits | None = None) -> None:
        """Without `models`, those that suit the data. Raises `UsageError` if none of them keeps the limits."""
        self.corpus, self.limits = corpus, limits or Limits()
        self.targets = max(2, corpus.train.num_targets)
        default = default_model(corpus, {})
        names = sorted(set(models)) or self._suitable(default)  # in one order, as Optuna wants it
        self.default = next(name for name in (default, *KINDS[corpus.format], *names) if name in names)
        self.kinds: dict[str, Kind] = {}
        reasons = []
        for name in sorted(names, key=lambda name: name != self.default):
            try:
                self.kinds[name] = self._kind(name)
            except UsageError as error:
                if models:
                    raise
                reasons.append(str(error))
        if not self.kinds:
            raise UsageError(reasons[0])
        if self.default not in self.kinds:
            self.default = next(iter(self.kinds))

    def _suitable(self, default: str) -> list[str]:
        names = [name for name in KINDS[self.corpus.format] if name in LABELLED or not self.corpus.vocabulary.labels]
        return [default, *(name for name in names if name != default)]

    def count(self, model: str, config: ModelConfig) -> int:
        """Return the parameters that a model for the data has."""
        vocabulary = self.corpus.vocabulary
        return _count(model, len(vocabulary), config, len(vocabulary.labels))

    def suggest(self, trial: Trial) -> Choice:
        """Let a trial choose a model and its settings."""
        names = list(self.kinds)
        name = trial.suggest_categorical("model", names) if len(names) > 1 else names[0]
        values: dict[str, Value] = {}
        for setting, values_of in self.kinds[name].ranges.items():
            values[setting] = suggest(trial, f"{name}.{setting}", values_of)
        return self.choice(name, values)

    def starts(self, step_seconds: Callable[[Plan], float]) -> list[dict[str, Value]]:
        """Return the parameters of the first trials: the defaults, then longer trainings of each kind.

        The defaults are those of `wavemore train`, with fewer steps or parameters if the limits require it.
        """
        first = self.kinds[self.default]
        longest = self.longest(first.base, step_seconds(first.base) if self.limits.max_seconds else None)
        low, high = ends(first.ranges, "length")
        length = min(high, max(low, first.base.recipe.steps / longest))
        points = [self._point(self.default, first.values | ({"length": length} if "length" in first.values else {}))]
        points += [self._point(name, self._long(name)) for name in self.kinds if "length" in self.kinds[name].ranges]
        counted = [name for name in self.kinds if "length" not in self.kinds[name].ranges and name != self.default]
        points += [self._point(name, self.kinds[name].values) for name in counted]
        return [point for place, point in enumerate(points) if point not in points[:place]]

    def choice(self, name: str, values: Values) -> Choice:
        """Turn values of the ranges into settings of `plan` that keep the limit of the parameters."""
        values = dict(values)
        length, parameters = float(values.pop("length", 1.0)), values.pop("parameters", None)
        settings: dict[str, Any] = {}
        for setting, value in values.items():
            if setting in ("fuse", "dilations"):
                settings[setting] = tuple(map(int, str(value).split("x")))
            elif setting == "averaging":
                settings["ema_decay"] = round(1 - 1 / float(value), 5)
            elif setting != "decay":
                settings[setting] = rounded(value)
        if "block_size" in settings:  # a batch has whole blocks
            settings["block_size"] = gcd(settings["block_size"], settings["batch_size"])
        if "decay" in values:
            forgotten = settings["learning_rate"] * self.targets / settings["batch_size"]
            settings["weight_decay"] = rounded(float(values["decay"]) / forgotten)
        if parameters is not None:
            settings |= self._sized(name, settings, int(parameters))
        if "length" in self.kinds[name].ranges:
            try:
                plan(self.corpus, model=name, steps=1, **settings)
            except UsageError:  # such as blocks that are too long for a short text
                for setting in ("batch_size", "block_size", "dilations", "cycles", "context"):
                    settings.pop(setting, None)
        return Choice(name, settings, length)

    def planned(self, choice: Choice, step_seconds: float | None = None) -> tuple[Plan, dict[str, Any]]:
        """Return the training of a choice, and all settings that `plan` needs for it."""
        settings = dict(choice.settings)
        if "length" in self.kinds[choice.model].ranges:
            longest = self.longest(plan(self.corpus, model=choice.model, **settings), step_seconds)
            settings["steps"] = min(MAX_COUNT, max(1, round(choice.length * longest)))
        return plan(self.corpus, model=choice.model, **settings), settings

    def longest(self, planned: Plan, step_seconds: float | None) -> int:
        """Return the most steps of a training: those that fit into the time, and `LONGEST` times the default epochs.

        At least one, even if it takes longer.
        """
        base = self.kinds[planned.model].base.recipe
        steps = max(LEAST_STEPS, round(LONGEST * base.steps * base.batch_size / planned.recipe.batch_size))
        if self.limits.max_seconds is None or not step_seconds:
            return steps
        return max(1, min(steps, int(TIME_SHARE * self.limits.max_seconds / step_seconds)))

    def _sized(self, name: str, settings: Mapping[str, Any], parameters: int) -> dict[str, Any]:
        """Return the settings of the widest model with so many parameters; a long embedding is cut for that."""
        smaller = dict(settings)
        for _ in range(20):
            config = plan(self.corpus, model=name, steps=1, **smaller).model_config
            try:
                config = largest_config(config, lambda c: self.count(name, c), parameters)
            except UsageError:
                if smaller.get("embedding", 1) > 1:
                    smaller["embedding"] //= 2
                elif smaller.get("layers", 1) > 1:
                    smaller["layers"] = 1
                else:
                    raise
                continue
            return smaller | {width: getattr(config, width) for width in config.width_settings}
        raise UsageError(f"no {name} has at most {parameters:,} parameters")

    def _point(self, name: str, values: Values) -> dict[str, Value]:
        model: dict[str, Value] = {"model": name} if len(self.kinds) > 1 else {}
        return model | {f"{name}.{setting}": value for setting, value in values.items()}

    def _long(self, name: str) -> dict[str, Value]:
        """Return a longer training, in the way that has been good for the largest gains: slower rates, more decay."""
        kind = self.kinds[name]
        values = kind.values | {"length": 1.0 if self.limits.max_seconds else 0.5}
        if self.limits.max_parameters and "parameters" in values:
            values["parameters"] = int(ends(kind.ranges, "parameters")[1])
        for setting, value in (("adamw_learning_rate", 0.005), ("decay", 1.4), ("embedding", 24)):
            if setting in values and self.corpus.format == "lines" and (name not in RECURRENT or setting != "decay"):
                low, high = ends(kind.ranges, setting)
                target = 2 * value if name in RECURRENT and setting == "adamw_learning_rate" else value
                values[setting] = type(value)(min(high, max(low, target)))
        return values

    def _kind(self, name: str) -> Kind:
        base = plan(self.corpus, model=name)
        most = self.limits.max_parameters
        if name == "ngram":
            if most is not None:
                raise UsageError("an ngram has as many parameters as the data has n-grams: leave out `max_parameters`")
            order = base.model_config.order  # type: ignore[attr-defined]
            return Kind(base, {"order": tuple(range(2, 9))}, {"order": order})
        values = self._training_values(base)
        ranges: dict[str, Range] = dict(model_ranges(base, self.corpus.format))
        ranges |= self._training_ranges(base, values)
        for setting in ranges.keys() - values.keys():
            values[setting] = value_of(getattr(base.model_config, setting))
        if base.model_config.width:
            least, count = self._least(name, base), self.count(name, base.model_config)
            if most is not None and least > most:
                message = f"even the smallest {name} for this data has {least:,} parameters"
                raise UsageError(f"{message}: raise `max_parameters` from {most:,}")
            values["parameters"] = count if most is None else min(count, most)
            high = 4 * count if most is None else min(most, 4 * count)
            low = count // 4 if most is None or count < most // 2 else most // 2  # a limit is there to be used
            ranges["parameters"] = Between(max(least, low), high, whole=True, log=most is None)
            if most is not None and count > most:
                smaller = self._sized(name, {n: getattr(base.model_config, n) for n in _own_settings(base)}, most)
                base = replace(base, model_config=replace(base.model_config, **smaller))
        elif most is not None and (count := self.count(name, base.model_config)) > most:
            raise UsageError(f"a {name} for this data has {count:,} parameters: raise `max_parameters` from {most:,}")
        return Kind(base, ranges, values)

    def _least(self, name: str, base: Plan) -> int:
        """Return the number of parameters of the smallest model."""
        shapes = {"embedding": 1, "layers": 1}
        own = {setting: value for setting, value in shapes.items() if setting in _own_settings(base)}
        config = replace(base.model_config, **own).with_width(1)
        return self.count(name, config)

    def _training_values(self, base: Plan) -> dict[str, Value]:
        recipe = base.recipe
        values: dict[str, Value] = {
            "batch_size": recipe.batch_size,
            "learning_rate": recipe.learning_rate,
            "adamw_learning_rate": recipe.adamw_learning_rate,
            "decay": recipe.learning_rate * recipe.weight_decay * self.targets / recipe.batch_size,
            "averaging": 1 / (1 - recipe.ema_decay),
            "length": 1 / LONGEST,
        }
        return values | ({"block_size": recipe.block_size} if self.corpus.format == "text" else {})

    def _training_ranges(self, base: Plan, values: Values) -> dict[str, Range]:
        recipe = base.recipe
        sizes = [recipe.batch_size // 2, recipe.batch_size, 2 * recipe.batch_size]
        batches = [size for size in sizes if size == sizes[1] or 8 <= size <= max(self.targets // 8, sizes[1])]
        around = {"learning_rate": (3, 3), "adamw_learning_rate": (4, 2), "decay": (5, 5)}
        ranges: dict[str, Range] = {"batch_size": tuple(batches)}
        if self.corpus.format == "text":
            blocks = [recipe.block_size // 2, recipe.block_size, 2 * recipe.block_size]
            ranges["block_size"] = tuple(size for size in blocks if size == blocks[1] or 1 <= size <= min(batches))
        for setting, (below, above) in around.items():
            ranges[setting] = Between(float(values[setting]) / below, float(values[setting]) * above)
        ranges["averaging"] = Between(30.0, 400.0)
        limited = bool(self.limits.max_seconds)
        ranges["length"] = Between((1.0 if limited else 0.5) / LONGEST, 1.0, log=not limited)
        return ranges


@cache
def _count(model: str, size: int, config: ModelConfig, num_labels: int) -> int:
    return build_without_memory(model, size, config, num_labels).parameter_count()


def rounded(value: Value) -> Value:
    """Round a number to three digits, as nobody needs more; whole numbers and texts remain.

    >>> rounded(0.0123456), rounded(12), rounded("silu")
    (0.0123, 12, 'silu')
    """
    return float(f"{value:.3g}") if isinstance(value, float) else value


def _own_settings(base: Plan) -> list[str]:
    return [field.name for field in fields(MODELS[base.model].config)]
