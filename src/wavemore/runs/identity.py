"""Whether two runs have the same data or the same recipe, and what differs."""

import hashlib
import json
from dataclasses import asdict, replace
from typing import Any

from wavemore.engine.recipe import Recipe
from wavemore.runs.config import DataConfig, RunConfig
from wavemore.runs.describe import describe_split, describe_teachers, source_name


def data_key(data: DataConfig) -> tuple[Any, ...]:
    """All that decides the train, val and test parts: losses are comparable if it is equal."""
    split_seed = data.split_seed if data.split_method == "distinct" else 0
    split = data.split_method, split_seed, data.train_fraction
    counts = data.by_count and data.layout.count is not None
    others = (*data.more_files, data.val_file, data.test_file)
    files = len(data.more_files), *(file and (file.sha256, file.encoding, file.layout) for file in others)
    return data.sha256, data.encoding, data.cleaning, data.layout, split, counts, files


def data_differences(a: DataConfig, b: DataConfig) -> list[str]:
    """What differs between the train, val and test parts of two runs; empty if they are the same."""
    differences = []
    if a.sha256 != b.sha256:
        differences.append(f"data {a.name} ({a.sha256[:8]}) and {b.name} ({b.sha256[:8]})")
    if a.encoding != b.encoding:
        differences.append(f"encoding {a.encoding} and {b.encoding}")
    for name, value in asdict(a.cleaning).items():
        if value != getattr(b.cleaning, name):
            differences.append(f"{name.replace('_', ' ')} {value} and {getattr(b.cleaning, name)}")
    if a.layout != b.layout:
        differences.append(f"items in {a.layout} and in {b.layout}")
    if describe_split(a) != describe_split(b):
        differences.append(f"split {describe_split(a)} and {describe_split(b)}")
    if a.by_count != b.by_count:
        differences.append("items weighed by their counts and not")
    if data_key(a) != data_key(b) and not differences:
        differences.append("files")
    return differences


def recipe_key(config: RunConfig) -> tuple[Any, ...]:
    """All that must be equal for two runs to be seeds of the same experiment."""
    teachers = tuple(sorted(teacher.model for teacher in config.teachers))
    source = None if config.carried_from is None else config.carried_from.sha256
    model = config.model, config.model_config, source
    return *data_key(config.data), *model, _comparable(config), _minutes(config), teachers


def _comparable(config: RunConfig) -> Recipe:
    """Return the recipe without its seed and, if it was planned for a time, without the steps that fit into it."""
    recipe = replace(config.recipe.planned_first, seed=0)
    return recipe if config.budget is None else replace(recipe, steps=1, num_evals=1)


def _minutes(config: RunConfig) -> float | None:
    return None if config.budget is None else config.budget.minutes


def training_digest(config: RunConfig) -> str:
    """SHA-256 of all settings that decide a training: also its seed, its teachers' weights, and those it began with."""
    teachers = [teacher.sha256 for teacher in config.teachers]
    recipe = asdict(config.recipe.planned_first)  # a change of its steps on the way leaves it the same training
    del recipe["replanned"]
    settings: list[Any] = [data_key(config.data), config.model, config.model_config, recipe, teachers]
    if config.carried_from is not None:
        settings += [config.carried_from.sha256, config.data.extra_characters]
    # By `asdict`, as msgspec leaves out the defaults of fields that a file does not have.
    return hashlib.sha256(json.dumps(settings, default=asdict).encode()).hexdigest()


def changed_settings(a: RunConfig, b: RunConfig) -> tuple[str, ...]:
    """The settings in which b differs from a, except the seed, such as "hidden 8 → 48"; the model's come first."""
    before, after = (
        {
            "model": config.model,
            **(asdict(config.model_config) if a.model == b.model else {"size": config.model_config.label}),
            **asdict(_comparable(config)),
            "minutes": "any" if config.budget is None else f"{config.budget.minutes:g}",
            "teachers": describe_teachers(config) or "none",
            "from": source_name(config) or "random weights",
        }
        for config in (a, b)
    )
    return tuple(
        f"{name.replace('_', ' ')} {_text(before[name])} → {_text(after[name])}"
        for name in before
        if before[name] != after[name]
    )


def _text(value: Any) -> str:
    return "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
