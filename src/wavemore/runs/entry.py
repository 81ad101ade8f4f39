"""Runs as the log and comparisons take them: read as far as they can be, found by name, alike or not."""

from collections import Counter
from dataclasses import dataclass, fields, replace
from typing import Any

from wavemore.errors import RunError
from wavemore.runs.config import Config, DataConfig
from wavemore.runs.record import Summary
from wavemore.runs.run import Run
from wavemore.text.continuous import SHARE

@dataclass(frozen=True)
class Entry:
    """A run as far as it can be read."""

    run: Run
    config: Config | None
    summary: Summary | None
    val_nats: float | None
    """Lowest val loss, also of a run that has not ended."""
    problem: str
    """Why the run is in no mean: it has not ended, or its files cannot be read."""
    stopped: bool = False
    """Whether it has not ended."""


def read(run: Run) -> Entry:
    """What can be read of a run; an error becomes its `problem`."""
    config = None
    try:
        config = run.config
        summary, metrics = run.summary(), run.metrics()
    except RunError as error:
        return Entry(run, config, None, None, str(error))
    if summary is not None:
        return Entry(run, config, summary, summary.val_nats, "")
    vals = [record["val_nats"] for record in metrics if isinstance(record.get("val_nats"), float)]
    last = metrics[-1]["step"] if metrics else 0
    words = f"stopped at step {last:,} of {config.recipe.steps:,}, or still running"
    return Entry(run, config, None, min(vals, default=None), words, stopped=True)


def data_key(config: Config) -> tuple[Any, ...]:
    """What has to agree for two losses to be of the same lines."""
    return _data_key(config.data)


def _data_key(data: DataConfig) -> tuple[Any, ...]:
    return data.sha256, data.encoding, data.split, data.split_seed if data.split == "distinct" else 0, data.share


def same_data(a: DataConfig, b: DataConfig) -> bool:
    """Whether train, val and test are the same."""
    return _data_key(a) == _data_key(b)


def other_data(a: DataConfig, b: DataConfig) -> list[str]:
    """What differs between two, in words."""
    words = []
    if a.sha256 != b.sha256:
        words.append(f"data {a.name} ({a.sha256[:8]}) and {b.name} ({b.sha256[:8]})")
    if a.encoding != b.encoding:
        words.append(f"encoding {a.encoding} and {b.encoding}")
    if a.split != b.split:
        words.append(f"split {a.split} and {b.split}")
    elif a.split == "distinct" and a.split_seed != b.split_seed:
        words.append(f"split seed {a.split_seed} and {b.split_seed}")
    elif a.share != b.share:
        words.append(f"{a.split_words} and {b.split_words}")
    return words


def recipe_key(config: Config) -> tuple[Any, ...]:
    """What has to agree for two runs to be seeds of one thing."""
    teachers = tuple(sorted(teacher.model for teacher in config.teachers))
    return *data_key(config), config.model, config.settings, replace(config.recipe, seed=0), teachers


def changed(a: Config, b: Config) -> tuple[str, ...]:
    """The settings in which b differs from a, but for the seed: the model's first."""
    places: list[tuple[Any, Any, str]] = [(a, b, "model")]
    if type(a.settings) is type(b.settings):
        places += [(a.settings, b.settings, name) for name in a.settings.kinds()]
    else:  # nothing to compare one by one
        places += [(a.settings, b.settings, "shape")]
    places += [(a.recipe, b.recipe, field.name) for field in fields(a.recipe) if field.name != "seed"]
    words = []
    for one, other, name in places:
        before, after = getattr(one, name), getattr(other, name, None)
        if before != after:
            words.append(f"{name.replace('_', ' ')} {_said(before)} → {_said(after)}")
    if teacher_words(a) != teacher_words(b):
        words.append(f"teachers {teacher_words(a) or 'none'} → {teacher_words(b) or 'none'}")
    return tuple(words)


def model_words(config: Config) -> str:
    """A model in a few words: fusions, embedding/hidden, optimiser."""
    optimizer = "" if config.model == "ngram" else f" {config.recipe.optimizer}"
    return f"{config.model} {config.settings.shape}{optimizer}"


def teacher_words(config: Config) -> str:
    """What taught a student, in a few words: how many of each kind; empty where nothing did."""
    kinds = Counter(teacher.model for teacher in config.teachers)
    return " and ".join(f"{count} x {model}" for model, count in sorted(kinds.items()))


def data_words(config: Config) -> str:
    """The data and its split in a few words."""
    data = config.data
    if data.share is not None:
        return f"{data.name} text" + (f" {100 * data.share:g} %" if data.share != SHARE else "")
    split = f"split {data.split_seed}" if data.split_seed and data.split == "distinct" else ""
    return " ".join(filter(None, [data.name, "lecture split" if data.split == "lecture" else split]))


def _said(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
