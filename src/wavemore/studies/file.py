"""A study: a question, what varies, what is fixed, and the same tuning for every arm, as a TOML file says it.

    question = "Is a fusion of two better than one of eight?"
    data = "names"
    seeds = [0, 1, 2]

    [fixed]                     # settings of `wavemore train`, the same for every arm
    parameters = 22_000         # the largest hidden with at most so many parameters
    seconds = 4                 # instead of epochs: as many steps as one core does in that time

    [tune]                      # every arm tries all combinations and keeps the best by val
    seeds = [100]
    learning_rate = [0.02, 0.04] # an arm's own `tune` says what else, or other values

    [[arm]]                     # or [vary]: all combinations of its lists
    name = "flat"
    fuse = [8]

    [[arm]]
    name = "tree"
    fuse = [2, 2, 2]

Arms of one `group` stand together in the table; each is compared with the first arm of its group, or with what
`against` says: "first", "previous", or an arm's name.

Arms may be of different models. An n-gram is counted: what [fixed] and [tune] say of trainings is not for it, and what
it tries is its own, as in `tune = { n = [4, 5] }`. With `text = "stream"` the data is one continuous text.
"""

import itertools
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
import torch

from wavemore.engine.plan import Plan, Preset, plan
from wavemore.engine.recipe import Recipe
from wavemore.errors import UsageError, WavemoreError
from wavemore.nn.config import CONFIGS, ModelConfig, ModelName
from wavemore.nn.models import BUILDERS
from wavemore.text.continuous import SHARE, TextStream
from wavemore.text.corpus import Corpus
from wavemore.text.detect import TextKind

C = TypeVar("C", bound=ModelConfig)

MOST_TRIES = 200
"""Combinations that one arm may try."""

MEASURES = ("mode_gap", "memory")
"""What a study may measure beside the losses: see `StudyFile.measure`."""


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What somebody else has published for an arm, nats per character."""

    val: float
    train: float | None = None


class StudyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The TOML file, key by key."""

    question: str
    seeds: list[int]
    expected: str = ""
    """What was expected before the study was run."""
    data: str = "names"
    split: Literal["distinct", "lecture"] = "distinct"
    split_seed: int = 0
    text: TextKind = "lines"
    """lines: a list, one thing a line; stream: one continuous text."""
    split_share: float | None = None
    """Of a continuous text: what is trained on, from its beginning; without it 0.9."""
    against: str = "first"
    measure: list[str] = []
    """mode_gap: the loss in training mode less that in eval mode, on the same train batches; memory: the share of a
    gain that is gone on lines that train does not hold."""
    fixed: dict[str, Any] = {}
    tune: dict[str, list[Any]] = {}
    vary: dict[str, list[Any]] = {}
    group_by: str = ""
    """With `vary`: what makes the groups."""
    arm: list[dict[str, Any]] = []
    source: str = ""
    """Where published figures come from."""

    @property
    def share(self) -> float:
        """Of a continuous text, what is trained on."""
        return SHARE if self.split_share is None else self.split_share


@dataclass(frozen=True)
class Arm:
    """One row of a study's table: settings, and what is tried to tune them."""

    name: str
    group: str
    settings: dict[str, Any]
    tries: tuple[dict[str, Any], ...]
    """Combinations of settings to choose from, by val; one, empty, where nothing is tuned."""
    published: Published | None


@dataclass(frozen=True)
class Study:
    """What is asked and how it is answered."""

    name: str
    file: StudyFile
    arms: tuple[Arm, ...]
    tune_seeds: tuple[int, ...]

    def base_of(self, arm: Arm) -> Arm | None:
        """The arm that `arm` is compared with; None for the one that the others are compared with."""
        group = [other for other in self.arms if other.group == arm.group]
        if self.file.against == "previous":
            place = group.index(arm)
            return group[place - 1] if place else None
        base = group[0] if self.file.against == "first" else self.arm(self.file.against)
        return None if base == arm else base

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


def shipped() -> dict[str, Path]:
    """The studies that come with wavemore, by name."""
    folder = Path(str(files("wavemore"))) / "studies"
    return {path.stem: path for path in sorted(folder.glob("*.toml"), key=lambda path: path.stem)}


def read_study(name: str) -> Study:
    """Read a study that is shipped, by its name, or a file.

    Raises `UsageError` for a file that is missing, no TOML, or no study: one line that names the key.
    """
    path = shipped().get(name, Path(name))
    try:
        content = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(shipped())
        raise UsageError(f"there is no study {name!r}: give a TOML file, or one of {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise UsageError(f"cannot read {path}: {why}") from None
    try:
        return parse_study(content, path.stem)
    except WavemoreError as error:
        raise UsageError(f"{path}: {error}") from None


def parse_study(content: str, name: str) -> Study:
    """A study from the text of its file.

    Raises `UsageError` for what is no study.

    >>> study = parse_study('question = "?"\\nseeds = [0, 1]\\n[vary]\\nfuse = [[8], [2, 2, 2]]', "example")
    >>> [arm.name for arm in study.arms]
    ['fuse 8', 'fuse 2x2x2']
    """
    try:
        table = tomllib.loads(content)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"this is no TOML: {str(error).splitlines()[0]}") from None
    return study_of(table, name)


def study_of(table: Mapping[str, Any], name: str) -> Study:
    """A study from the tables of its file; raises `UsageError` for what is no study."""
    try:
        file = msgspec.convert(table, StudyFile)
    except msgspec.ValidationError as error:
        raise UsageError(_said(error)) from None
    _require(file.question.strip() != "", "question is empty: say what the study asks")
    _require_seeds("seeds", file.seeds)
    unknown = [measure for measure in file.measure if measure not in MEASURES]
    _require(not unknown, f"there is no measure {unknown[0] if unknown else ''!r}: choose of {', '.join(MEASURES)}")
    _require_one_kind_of_data(file)
    fixed = {key: _value(key, value) for key, value in file.fixed.items()}
    tune = dict(file.tune)
    tune_seeds = tune.pop("seeds", [1_000])
    _require_seeds("tune.seeds", tune_seeds)
    _require(not (file.vary and file.arm), "give [vary] or [[arm]], not both")
    _require(bool(file.vary or file.arm), "nothing varies: give a [vary] table or two [[arm]] tables")
    raw = _varied(file) if file.vary else file.arm
    arms = tuple(_arm(number, entry, fixed, tune) for number, entry in enumerate(raw, start=1))
    names = [arm.name for arm in arms]
    twice = {name for name in names if names.count(name) > 1}
    _require(not twice, f"two arms have the name {min(twice, default='')!r}")
    slugs = {slug(name) for name in names}
    _require(len(slugs) == len(names), "two arms have names that differ in signs only: give them different words")
    _require(len(arms) > 1, "a study compares two arms or more")
    budgets = {len(arm.tries) for arm in arms}
    _require(len(budgets) == 1, f"the arms have different tuning budgets: {', '.join(map(str, sorted(budgets)))} tries")
    _require(
        file.against in ("first", "previous", *names),
        f"against is {file.against!r}: say first, previous or the name of an arm",
    )
    return Study(name=name, file=file, arms=arms, tune_seeds=tuple(tune_seeds))


def parse_seeds(file: StudyFile, seeds: Sequence[int]) -> StudyFile:
    """The same study on other seeds."""
    _require_seeds("seeds", seeds)
    return msgspec.structs.replace(file, seeds=list(seeds))


def slug(name: str) -> str:
    """A folder's name for an arm.

    >>> slug("context 8, BatchNorm bug")
    'context-8-batchnorm-bug'
    """
    return re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.") or "arm"


def words(value: Any) -> str:
    """A setting's value as people say it: fusions as 2x2x2, numbers without useless digits."""
    if isinstance(value, (list, tuple)):
        return "x".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _require_one_kind_of_data(file: StudyFile) -> None:
    """Raise `UsageError` for keys of lists in a study of a text, and the other way round."""
    if file.text == "lines":
        _require(file.split_share is None, 'split_share is of a continuous text: say text = "stream", or leave it out')
        return
    _require(file.split == "distinct" and not file.split_seed, "a continuous text is split by split_share alone")
    _require(0 < file.share < 1, f"split_share is {file.share:g}; it must be above 0 and below 1")
    _require(not file.measure, f"{', '.join(file.measure)} is measured on lines, and a continuous text has none")


def _varied(file: StudyFile) -> list[dict[str, Any]]:
    for key, values in file.vary.items():
        _require(len(values) > 0, f"vary.{key} is empty: give it two values or more")
    _require(not file.group_by or file.group_by in file.vary, f"group_by is {file.group_by!r}, which does not vary")
    arms = []
    for combination in itertools.product(*file.vary.values()):
        chosen = dict(zip(file.vary, combination, strict=True))
        name = ", ".join(f"{key.replace('_', ' ')} {words(value)}" for key, value in chosen.items())
        group = f"{file.group_by.replace('_', ' ')} {words(chosen[file.group_by])}" if file.group_by else ""
        arms.append({"name": name, "group": group, **chosen})
    return arms


def _arm(number: int, entry: Mapping[str, Any], fixed: Mapping[str, Any], tune: Mapping[str, list[Any]]) -> Arm:
    rest = dict(entry)
    name, group = rest.pop("name", ""), rest.pop("group", "")
    _require(isinstance(name, str) and name.strip() != "", f"arm {number} has no name")
    _require(isinstance(group, str), f"arm {name!r}: group is a word or some, not {group!r}")
    try:
        published = msgspec.convert(rest.pop("published", None), Published | None)
        own_tune = msgspec.convert(rest.pop("tune", {}), dict[str, list[Any]])
    except msgspec.ValidationError as error:
        raise UsageError(f"arm {name!r}: {_said(error)}") from None
    own = {key: _value(key, value) for key, value in rest.items()}
    if own.get("model", fixed.get("model")) == "ngram":
        fixed, tune = ({key: kept[key] for key in kept if key not in TRAINED} for kept in (fixed, tune))
    settings = {**fixed, **own}
    ranges = {**tune, **own_tune}
    for key, values in ranges.items():
        _require(len(values) > 0, f"tune.{key} is empty: give it values to try")
        _require(key not in ("model", "parameters", "seconds", "recipe"), f"{key} cannot be tuned")
    ranges = {key: [_value(key, value) for value in values] for key, values in ranges.items()}
    tries = tuple(dict(zip(ranges, chosen, strict=True)) for chosen in itertools.product(*ranges.values()))
    _require(len(tries) <= MOST_TRIES, f"arm {name!r} has {len(tries):,} combinations to try; at most {MOST_TRIES}")
    return Arm(name.strip(), group, settings, tries, published)


KINDS: dict[str, Any] = {
    **{name: kind for config in reversed(CONFIGS.values()) for name, kind in config.kinds().items()},
    **{field.name: field.type for field in fields(Recipe) if field.name != "seed"},
    "model": ModelName,
    "context": int,
    "epochs": float,
    "parameters": int,
    "seconds": float,
    "recipe": Preset,
}
"""The settings of an arm: those of `wavemore train`, and two that make arms equal."""

TRAINED = {"epochs", "recipe", *(field.name for field in fields(Recipe))}
"""Those of a training, which counting has not."""


def _value(key: str, value: Any) -> Any:
    """A setting's value in its own type."""
    if key == "seed":
        raise UsageError("seed is no setting of a study: its seeds are those of `seeds`")
    if key == "teacher_share":
        raise UsageError("teacher_share is no setting of a study: its arms have no teachers")
    _require(key in KINDS, f"there is no setting {key!r}: choose of {', '.join(KINDS)}")
    if get_origin(KINDS[key]) is Literal:
        choices = get_args(KINDS[key])
        _require(value in choices, f"there is no {key} {value!r}: choose of {', '.join(map(str, choices))}")
    try:
        return msgspec.convert(value, KINDS[key])
    except msgspec.ValidationError as error:
        raise UsageError(f"{key} is {value!r}: {_said(error)}") from None


def settle(arm: Arm, tried: Mapping[str, Any], corpus: Corpus | TextStream, steps: int | None = None) -> Plan:
    """The model and the training of an arm, with one of its combinations; `steps` where its time is given.

    Raises `UsageError` for settings that contradict each other, or that no model can have.
    """
    settings = {**arm.settings, **tried}
    preset: Preset = settings.pop("recipe", "auto")
    seconds, parameters = settings.pop("seconds", None), settings.pop("parameters", None)
    try:
        if seconds is not None:
            _require(not {"epochs", "steps"} & set(settings), "seconds stands instead of epochs or steps")
            _require(seconds > 0, f"seconds is {seconds:g}; it must be above 0")
            if settings.get("model") != "ngram":  # which takes the time that it takes
                settings["steps"] = steps or 1_000
        chosen = plan(corpus, preset, settings)
        if parameters is not None and chosen.settings.width:  # a table has as many as it has
            given = [name for name in _of_width(chosen.settings) if name in settings]
            _require(not given, f"parameters stands instead of {' and '.join(given)}")
            size = len(corpus.vocabulary)
            found = largest(chosen.settings, lambda tried: parameter_count(chosen.model, size, tried), parameters)
            chosen = replace(chosen, settings=found)
    except UsageError as error:
        raise UsageError(f"arm {arm.name!r}: {error}") from None
    return chosen


def largest(settings: C, count: Callable[[C], int], most: int) -> C:
    """The widest model that `count` finds to have `most` parameters at most.

    Raises `UsageError` where none has, and for a model without a width to choose.

    >>> from wavemore.nn.config import TreeConfig
    >>> largest(TreeConfig(), lambda tree: tree.hidden ** 2, 100).hidden
    10
    """
    low, high = 0, 1
    while count(settings.widened(high)) <= most and high < 2**16:
        low, high = high, 2 * high
    _require(low > 0, f"no model has as few as {most:,} parameters with these settings")
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(settings.widened(middle)) <= most else (low, middle)
    return settings.widened(low)


def _of_width(settings: ModelConfig) -> list[str]:
    """The settings that a width decides."""
    wider = settings.widened(settings.width + 1).values()
    return [name for name, value in settings.values().items() if wider[name] != value]


@cache  # the tries of an arm ask for the same sizes
def parameter_count(model: str, vocabulary_size: int, settings: ModelConfig) -> int:
    """Parameters of a model, without making their values."""
    with torch.device("meta"):
        return BUILDERS[model](vocabulary_size, settings).parameter_count()


def _require_seeds(key: str, seeds: Sequence[Any]) -> None:
    right = all(isinstance(seed, int) and not isinstance(seed, bool) and 0 <= seed < 2**63 for seed in seeds)
    _require(right and len(seeds) > 0, f"{key} is a list of whole numbers of 0 or more, not {seeds!r}")
    _require(len(set(seeds)) == len(seeds), f"{key} names a seed twice")


def _require(met: bool, said: str) -> None:
    if not met:
        raise UsageError(said)


def _said(error: msgspec.ValidationError) -> str:
    """What msgspec says, in the words of the file.

    >>> _said(msgspec.ValidationError("Object contains unknown field `sedes`"))
    'there is no key `sedes` here'
    """
    text = str(error)
    text = re.sub(r"Object contains unknown field (`.*?`)( - at `\$.*`)?", r"there is no key \1 here", text)
    text = re.sub(r"Object missing required field (`.*?`)", r"the key \1 is missing", text)
    return re.sub(r" - at `\$\.?(.*?)`", r" (\1)", text)
