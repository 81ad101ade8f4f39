"""A study file in TOML: a question, the arms that answer it, the settings they share, and how each arm is tuned.

    question = "Is a fusion of two better than one of eight?"
    data = "names"
    seeds = [0, 1, 2]

    [fixed]                      # settings of `wavemore train` that all arms share
    parameters = 22_000          # the largest width with at most this many parameters
    seconds = 4                  # instead of epochs: as many steps as fit into 4 CPU-seconds

    [tune]                       # each arm tries all combinations and uses the one with the lowest val loss
    seeds = [100]
    learning_rate = [0.02, 0.04] # the `tune` of an arm adds settings or replaces these values

    [[arm]]                      # or [vary]: one arm for each combination of its lists
    name = "flat"
    fuse = [8]

    [[arm]]
    name = "tree"
    fuse = [2, 2, 2]

Arms with the same `group` share a table. Each arm is compared with its `baseline`: "first" (the first arm of its group,
the default), "previous" (the arm before it in its group) or the name of an arm.

Arms may be different models. An n-gram model is counted, not trained, so settings of the training in [fixed] and [tune]
do not apply to it; it has trials of its own, such as `tune = { order = [4, 5] }`. With `format = "text"` the data is
one continuous text.
"""

import itertools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec

from wavemore.engine.plan import Preset
from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError, UsageError, WavemoreError
from wavemore.files import check_regular
from wavemore.nn.models import MODELS
from wavemore.text.parts import Format

MAX_TRIALS = 200
"""Combinations of settings per arm."""

Text = Annotated[str, msgspec.Meta(pattern=r"\S")]
Seeds = Annotated[list[Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]], msgspec.Meta(min_length=1)]


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Losses that somebody else has published for an arm, in nats per character."""

    val: float
    train: float | None = None


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TOML file, key by key."""

    question: Text
    seeds: Seeds
    expected: str = ""
    """The result that was expected before the study was run."""
    data: str = "names"
    format: Format = "lines"
    split_method: Literal["distinct", "lecture"] = "distinct"
    split_seed: int = 0
    train_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)] | None = None
    """The fraction of a text that is its train part; 0.9 if None."""
    baseline: str = "first"
    measure: list[Literal["mode_gap", "memorisation"]] = []
    """Figures besides the losses. mode_gap: the loss in training mode minus that in eval mode, on the same train
    batches. memorisation: how much of each gain is lost on lines that do not occur in train."""
    fixed: dict[str, Any] = {}
    tune: dict[str, list[Any]] = {}
    vary: dict[str, list[Any]] = {}
    group_by: str = ""
    """The setting in `vary` that defines the groups."""
    arm: list[dict[str, Any]] = []
    source: str = ""
    """Where the published losses come from."""


@dataclass(frozen=True)
class Arm:
    """One row in the table of a study."""

    name: str
    group: str
    settings: dict[str, Any]
    trials: tuple[dict[str, Any], ...]
    """The combinations of settings that are tried; a single empty one if nothing is tuned."""
    published: Published | None


@dataclass(frozen=True)
class Study:
    """A question, and the arms that answer it."""

    name: str
    file: StudyFile
    arms: tuple[Arm, ...]
    tune_seeds: tuple[int, ...]

    def baseline_of(self, arm: Arm) -> Arm | None:
        """Return the arm that `arm` is compared with; None for a baseline itself."""
        group = [other for other in self.arms if other.group == arm.group]
        if self.file.baseline == "previous":
            baseline = group[max(0, group.index(arm) - 1)]
        elif self.file.baseline == "first":
            baseline = group[0]
        else:
            baseline = next(other for other in self.arms if other.name == self.file.baseline)
        return None if baseline == arm else baseline

    def with_seeds(self, seeds: Sequence[int]) -> "Study":
        """Return the same study with other seeds."""
        return replace(self, file=msgspec.structs.replace(self.file, seeds=_seeds("`seeds`", seeds)))


def shipped_studies() -> dict[str, Path]:
    """The files of the studies that come with wavemore, by name."""
    return dict(sorted((path.stem, path) for path in Path(__file__).parent.glob("*.toml")))


def read_study(name: str) -> Study:
    """Read a study that comes with wavemore, by its name, or any file.

    Raises `UsageError` for a file that is missing or not a valid study; the message is one line and names the key.
    """
    path = shipped_studies().get(name, Path(name))
    try:
        check_regular(path, follow=True)
        return parse_study(path.read_text(encoding="utf-8"), path.stem)
    except FileNotFoundError:
        known = ", ".join(shipped_studies())
        raise UsageError(f"there is no study {name!r}: give a TOML file, or one of {known}") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"cannot read {path}: it is not UTF-8 text") from None
    except RunError as error:
        raise UsageError(str(error)) from None
    except WavemoreError as error:
        raise UsageError(f"{path}: {error}") from None


def parse_study(content: str, name: str) -> Study:
    """Parse the text of a study file. Raises `UsageError` if it is not a valid study.

    >>> study = parse_study('question = "?"\\nseeds = [0, 1]\\n[vary]\\nfuse = [[8], [2, 2, 2]]', "example")
    >>> [arm.name for arm in study.arms]
    ['fuse 8', 'fuse 2x2x2']
    """
    try:
        table = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"not valid TOML: {str(error).splitlines()[0]}") from None
    return convert_study(table, name)


def convert_study(table: Mapping[str, Any], name: str) -> Study:
    """Convert the tables of a study file. Raises `UsageError` if they are not a valid study."""
    file = _convert(table, StudyFile)
    _check_file(file)
    fixed = {key: _value(key, value) for key, value in file.fixed.items()}
    tune = dict(file.tune)
    tune_seeds = _seeds("tune.seeds", tune.pop("seeds", [1_000]))
    tables = _tables_of_vary(file) if file.vary else file.arm
    arms = tuple(_arm(number, entry, fixed, tune) for number, entry in enumerate(tables, start=1))
    _check_arms(arms, file.baseline)
    return Study(name=name, file=file, arms=arms, tune_seeds=tuple(tune_seeds))


def slug(name: str) -> str:
    """Turn the name of an arm into the name of a folder.

    >>> slug("context 8, BatchNorm bug")
    'context-8-batchnorm-bug'
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "arm"


def format_value(value: Any) -> str:
    """Format the value of a setting for people.

    >>> format_value((2, 2, 2)), format_value(0.10), format_value(76579)
    ('2x2x2', '0.1', '76,579')
    """
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def require(condition: bool, message: str) -> None:
    """Raise `UsageError` with this message unless the condition is true."""
    if not condition:
        raise UsageError(message)


def _check_file(file: StudyFile) -> None:
    """Raise `UsageError` for values that are wrong by themselves or contradict each other."""
    _seeds("seeds", file.seeds)
    require(not (file.vary and file.arm), "give [vary] or [[arm]], not both")
    require(bool(file.vary or file.arm), "nothing varies: give a [vary] table or two [[arm]] tables")
    require(not file.group_by or file.group_by in file.vary, f"group_by is {file.group_by!r}, which does not vary")
    for key, values in file.vary.items():
        require(len(values) > 0, f"vary.{key} is empty: give it two or more values")
    if file.format == "lines":
        message = 'train_fraction is only for a continuous text: add format = "text", or remove it'
        require(file.train_fraction is None, message)
    else:
        by_position = file.split_method == "distinct" and not file.split_seed
        require(by_position, "a continuous text is split by train_fraction only: remove split_method and split_seed")
        require(not file.measure, "measure is only for lines, which a continuous text does not have")


def _check_arms(arms: Sequence[Arm], baseline: str) -> None:
    """Raise `UsageError` for arms that cannot be told apart or compared."""
    slugs = [slug(arm.name) for arm in arms]
    for arm in arms:
        require(slugs.count(slug(arm.name)) == 1, f"two arms have the name {arm.name!r}, or nearly: rename one")
    require(len(arms) > 1, "a study needs two or more arms")
    budgets = sorted({len(arm.trials) for arm in arms})
    require(len(budgets) == 1, f"the arms have different tuning budgets: {', '.join(map(str, budgets))} trials")
    known = baseline in ("first", "previous", *(arm.name for arm in arms))
    require(known, f"baseline is {baseline!r}; it must be first, previous or the name of an arm")


def _tables_of_vary(file: StudyFile) -> list[dict[str, Any]]:
    """Make one arm for each combination of the values that vary."""
    tables = []
    for values in itertools.product(*file.vary.values()):
        settings = dict(zip(file.vary, values, strict=True))
        texts = {key: f"{key.replace('_', ' ')} {format_value(value)}" for key, value in settings.items()}
        tables.append({"name": ", ".join(texts.values()), "group": texts.get(file.group_by, ""), **settings})
    return tables


def _arm(number: int, entry: Mapping[str, Any], fixed: Mapping[str, Any], tune: Mapping[str, list[Any]]) -> Arm:
    rest = dict(entry)
    name, group = rest.pop("name", ""), rest.pop("group", "")
    require(isinstance(name, str) and name.strip() != "", f"arm {number} has no name")
    require(isinstance(group, str), f"arm {name!r}: group is {group!r}; it must be a string")
    published = _convert(rest.pop("published", None), Published | None, f"arm {name!r}: ")
    own_tune = _convert(rest.pop("tune", {}), dict[str, list[Any]], f"arm {name!r}: ")
    own = {key: _value(key, value) for key, value in rest.items()}
    if own.get("model", fixed.get("model")) == "ngram":
        fixed, tune = ({k: v for k, v in shared.items() if k not in TRAINING_SETTINGS} for shared in (fixed, tune))
    ranges = {}
    for key, values in {**tune, **own_tune}.items():
        require(len(values) > 0, f"tune.{key} is empty: give it values to try")
        require(key not in ("model", "parameters", "seconds", "preset"), f"{key} cannot be tuned")
        ranges[key] = [_value(key, value) for value in values]
    trials = tuple(dict(zip(ranges, values, strict=True)) for values in itertools.product(*ranges.values()))
    require(len(trials) <= MAX_TRIALS, f"arm {name!r} has {len(trials):,} trials; at most {MAX_TRIALS} are allowed")
    return Arm(name.strip(), group, {**fixed, **own}, trials, published)


SETTING_TYPES: dict[str, Any] = {
    **{field.name: field.type for entry in reversed(MODELS.values()) for field in fields(entry.config)},
    **{field.name: field.type for field in fields(Recipe) if field.name not in ("seed", "distill_weight", "replanned")},
    "model": str,
    "context": int,
    "epochs": float,
    "parameters": int,
    "seconds": float,
    "preset": Preset,
}
"""The settings of an arm: those of `wavemore train`, and `parameters` and `seconds`, which make arms comparable."""

TRAINING_SETTINGS = {"epochs", "preset", *(field.name for field in fields(Recipe) if field.metadata)}
"""Settings that do not apply to an n-gram model."""


def _value(key: str, value: Any) -> Any:
    """Convert the value of a setting to its type."""
    require(key != "seed", "seed is not a setting of an arm: list the seeds in seeds")
    require(key != "distill_weight", "distill_weight is not a setting of an arm: studies have no teachers")
    require(key in SETTING_TYPES, f"there is no setting {key!r}; the settings are {', '.join(SETTING_TYPES)}")
    kind = SETTING_TYPES[key]
    choices = list(MODELS) if key == "model" else get_args(kind) if get_origin(kind) is Literal else ()
    require(not choices or value in choices, f"{key} is {value!r}; it must be one of {', '.join(choices)}")
    return _convert(value, kind, f"{key} is {value!r}: ")


def _seeds(key: str, seeds: Any) -> list[int]:
    seeds = _convert(seeds, Seeds, f"{key}: ")
    require(len(set(seeds)) == len(seeds), f"{key} has the same seed twice")
    return list(seeds)


def _convert(value: Any, kind: Any, prefix: str = "") -> Any:
    """Convert a value to a type; raise `UsageError` with the prefix if that is not possible."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        text = str(error).replace("Object contains unknown field", "there is no key")
        text = text.replace("Object missing required field", "there must be a key")
        raise UsageError(prefix + re.sub(r" - at `\$\.?(.*?)`", r" (in \1)", text)) from None
