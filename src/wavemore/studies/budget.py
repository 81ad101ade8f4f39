"""Equal budgets: the plan of an arm, with the width that its number of parameters allows and the steps of its time."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import inf
from pathlib import Path
from statistics import median
from time import process_time
from typing import Annotated, Any

import msgspec

from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.training_plan import Plan
from wavemore.errors import UsageError
from wavemore.nn import models
from wavemore.nn.config import MAX_SIZE, ModelConfig
from wavemore.runs.json_file import read_json, write_json
from wavemore.studies.file import Arm, require
from wavemore.text.corpus import Corpus

ROUNDS = 5
STEPS_PER_ROUND, SECONDS_PER_ROUND = 60, 0.8
WARM_UP_STEPS, WARM_UP_SECONDS = 10, 0.2
"""A round, and the uncounted steps before it, end at the first of the two limits."""

Milliseconds = Annotated[float, msgspec.Meta(gt=0, le=1e9)]

parameter_count = cache(models.parameter_count)
"""The trials of an arm ask for the same sizes again and again."""


def plan_trial(arm: Arm, trial: Mapping[str, Any], corpus: Corpus) -> Plan:
    """Plan the training of an arm with one combination of its tuned settings.

    An arm with a time budget has steps that are replaced when they are timed. Raises `UsageError` for settings that
    contradict each other or that the model does not have.
    """
    settings = {**arm.settings, **trial}
    seconds, parameters = settings.pop("seconds", None), settings.pop("parameters", None)
    try:
        if seconds is not None:
            require(not {"epochs", "steps"} & set(settings), "give only one of seconds, epochs and steps")
            require(0 < seconds < inf, f"seconds is {seconds:g}; it must be above 0 and finite")
        result = plan(corpus, **settings)
        if parameters is not None and result.model_config.width:
            given = [name for name in result.model_config.width_settings if name in settings]
            require(not given, f"parameters decides {' and '.join(given)}: give one or the other")
            size = len(corpus.vocabulary)
            config = largest_config(result.model_config, lambda c: parameter_count(result.model, size, c), parameters)
            result = replace(result, model_config=config)
    except UsageError as error:
        raise UsageError(f"arm {arm.name!r}: {error}") from None
    return result


def with_time(planned: Plan, seconds: float, step_ms: float) -> Plan:
    """Return the plan with as many steps as fit into this CPU time, at least 1."""
    return replace(planned, recipe=replace(planned.recipe, steps=max(1, round(1e3 * seconds / step_ms))))


def largest_config(config: ModelConfig, count: Callable[[Any], int], limit: int) -> ModelConfig:
    """Return the widest config whose `count` is at most `limit`. Raises `UsageError` if there is none."""
    unit = getattr(config, config.width_settings[0]) // config.width  # a transformer's is more than one channel
    widths = range(1, MAX_SIZE // unit + 1)
    width = bisect_left(widths, True, key=lambda width: count(config.with_width(width)) > limit)
    require(width > 0, f"even the smallest model with these settings has more than {limit:,} parameters")
    return config.with_width(width)


def time_steps(plans: Mapping[str, Plan], corpus: Corpus, path: Path) -> Iterator[str]:
    """Measure the CPU milliseconds per step of each plan, by type of step, and add them to the file.

    Types that are in the file already are not measured again. Each result is the median of several rounds, in which
    all types take turns. Yields after each round, and a message at the end.
    """
    step_ms = read_step_ms(path)
    unknown = {step: planned for step, planned in plans.items() if step not in step_ms}
    times: dict[str, list[float]] = {step: [] for step in unknown}
    for _ in range(ROUNDS):
        for step, planned in unknown.items():
            times[step].append(1e3 * seconds_per_step(planned, corpus))
            yield ""
    if unknown:
        step_ms |= {step: median(times[step]) for step in unknown}
        write_json(path, step_ms)
        yield "time per step: " + ", ".join(f"{step_ms[step]:.2f} ms ({step})" for step in unknown)


def read_step_ms(path: Path) -> dict[str, float]:
    """Read the milliseconds per step by type of step; empty if there is no file."""
    return read_json(path, msgspec.json.Decoder(dict[str, Milliseconds]).decode, "delete it to measure again") or {}


def step_type(planned: Plan, corpus: Corpus) -> str:
    """Describe everything that decides how long a step takes."""
    recipe = planned.recipe
    batches = f"blocks of {recipe.block_size}" if corpus.format == "text" else recipe.execution
    precision = "" if recipe.precision == "float32" else f", {recipe.precision}"
    return (
        f"{planned.model}: {planned.model_config.describe()}, {recipe.optimizer}, batch size {recipe.batch_size}, "
        f"{batches}{precision}"
    )


def seconds_per_step(
    planned: Plan, corpus: Corpus, seconds: float = SECONDS_PER_ROUND, most_steps: int = STEPS_PER_ROUND
) -> float:
    """Measure the CPU time of a step, which other processes on the machine disturb less than the clock.

    The measurement takes at most about `seconds`, or `most_steps`, and a little before.
    """
    # With so many steps the last one, which evaluates, is never reached; every tenth step is logged.
    recipe = replace(planned.recipe, steps=2_000, num_evals=1)
    size, num_labels = len(corpus.vocabulary), len(corpus.vocabulary.labels)
    model = models.build(planned.model, size, planned.model_config, seed=0, num_labels=num_labels)
    times: list[float] = []
    warm_up = 0  # steps that do not count
    for _ in fit(model, corpus, recipe):
        times.append(process_time())
        if not warm_up:
            if len(times) > WARM_UP_STEPS or times[-1] - times[0] > WARM_UP_SECONDS:
                warm_up = len(times)
        elif len(times) - warm_up >= most_steps or times[-1] - times[warm_up - 1] > seconds:
            break
    return (times[-1] - times[warm_up - 1]) / (len(times) - warm_up)
