"""Plan a training that ends in time: a probe measures how fast this machine trains, and rules choose the rest.

The rules and their evidence are in `docs/defaults.md`.
"""

from collections.abc import Callable
from dataclasses import replace
from math import ceil, sqrt
from time import perf_counter
from typing import Any, NamedTuple

from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.defaults import RECURRENT
from wavemore.engine.evaluate import chunk_nats
from wavemore.engine.fit import fit, train_loss_part, val_in_training
from wavemore.engine.recipe import MAX_COUNT
from wavemore.engine.training_plan import Plan, TimeBudget
from wavemore.errors import UsageError
from wavemore.nn.models import build, parameter_count
from wavemore.text.corpus import Corpus

PROBE_SHARE, LONGEST_PROBE = 0.03, 5.0
"""Fraction of the time that a probe may take, and its seconds at most; there are two."""
CHARS_PER_PARAMETER = 20.0
"""Predicted characters per parameter of a training whose model has the best size for its time."""
MOST_EPOCHS = 12
"""Passes over the data, at most: with more, the model memorises it. A wider model takes the time, if it may."""
MOST_PARAMETERS = 4.0
"""Parameters per target of the train part, at most: a wider model would only memorise more."""
WIDTHS = (64, 96, 128, 192, 256, 384, 512, 640, 768, 896, 1024, 1280, 1536, 2048)
"""Channels of the state to choose from."""
LEAST_STEPS = 10
"""Steps of a training that is worth its name."""
EVALUATION_SHARE = 0.04
"""Fraction of the training time for the val loss on the way."""

Settings = dict[str, Any]


def plan_for_time(
    corpus: Corpus, minutes: float, elapsed: float, settings: Settings, planner: Callable[..., Plan]
) -> Plan:
    """Plan a training that takes `minutes` with everything that belongs to it; `elapsed` seconds of them are over.

    `planner` completes settings to a plan; `settings` are those that were requested, the model included.
    """
    start = perf_counter() - elapsed
    seconds = 60 * minutes
    TimeBudget(minutes, 1.0, 0.0)  # raises for a time out of range
    _check(settings)
    chosen: Settings = {} if settings["model"] else {"model": "lstm"}
    planned = planner(**settings | chosen)
    speed = probe(planned, corpus, min(LONGEST_PROBE, PROBE_SHARE * seconds))
    if planned.model in RECURRENT and "hidden" not in settings:
        chosen["hidden"] = _hidden(planned, corpus, seconds, speed.training)
        planned = planner(**settings | chosen)
        speed = probe(planned, corpus, min(LONGEST_PROBE, PROBE_SHARE * seconds))
    batch_size = planned.recipe.batch_size
    evaluation = val_in_training(corpus).num_targets / speed.evaluation
    ending = 0.5 + (corpus.val.num_targets + train_loss_part(corpus).num_targets) / speed.evaluation
    left = seconds - (perf_counter() - start) - ending
    num_evals = settings.get("num_evals", int(min(10, max(1, EVALUATION_SHARE * left / evaluation))))
    steps = int((left - num_evals * evaluation) * speed.training / batch_size)
    enough = ceil(MOST_EPOCHS * corpus.train.num_targets / batch_size)
    if steps < LEAST_STEPS:
        least = seconds - left + num_evals * evaluation + LEAST_STEPS * batch_size / speed.training
        raise UsageError(
            f"`minutes` is {minutes:g}, which is too short for {LEAST_STEPS} steps and the val loss of this model: "
            f"give at least {1.2 * least / 60:.2g}"
        )
    chosen |= {"steps": min(steps, max(enough, LEAST_STEPS), MAX_COUNT), "num_evals": num_evals}
    planned = planner(**settings | chosen)
    return replace(planned, budget=TimeBudget(minutes, speed.training, ending, chosen))


def _check(settings: Settings) -> None:
    """Raise `UsageError` for settings that contradict a given time."""
    for name in ("steps", "epochs"):
        if name in settings:
            raise UsageError(f"`minutes` decides how long the training is, and so does `{name}`: leave out one of them")
    if settings["model"] == "ngram":
        raise UsageError("an ngram is counted in one pass and needs no time: leave out `minutes`")
    if settings.get("distill_weight"):
        raise UsageError("`minutes` does not know how long the teachers take: leave out `minutes` or `distill_weight`")


class Speed(NamedTuple):
    """Characters per second."""

    training: float
    evaluation: float


def probe(plan: Plan, corpus: Corpus, seconds: float) -> Speed:
    """Measure the speed of training, with steps of about so many seconds in all, and that of evaluation.

    The first half of the time warms up the machine and lets the number of threads settle.
    """
    model = build(plan.model, len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    recipe = replace(plan.recipe, steps=MAX_COUNT, num_evals=1)
    begin, half, half_step, training = perf_counter(), 0.0, 0, 0.0
    for record in fit(model, corpus, recipe):
        now = perf_counter()
        if half_step == 0:
            if now - begin >= seconds / 2:
                half, half_step = now, record.step
        elif now - begin >= seconds:
            training = (record.step - half_step) * recipe.batch_size / (now - half)
            break
    begin, done = perf_counter(), 0
    for targets, _ in chunk_nats(model, evaluation_batcher(corpus.val, model)):
        done += len(targets)
        if perf_counter() - begin >= seconds / 4:
            break
    return Speed(training, done / (perf_counter() - begin))


def _hidden(reference: Plan, corpus: Corpus, seconds: float, speed: float) -> int:
    """Return the width whose parameters have `CHARS_PER_PARAMETER`, if the arithmetic of training is equally fast."""

    def parameters(hidden: int) -> int:
        config = replace(reference.model_config, hidden=hidden)
        return parameter_count(reference.model, len(corpus.vocabulary), config)

    work = speed * parameters(reference.model_config.width) * seconds  # characters x parameters
    targets = corpus.train.num_targets
    best = min(max(sqrt(work / CHARS_PER_PARAMETER), work / (MOST_EPOCHS * targets)), MOST_PARAMETERS * targets)
    return min(WIDTHS, key=lambda hidden: abs(parameters(hidden) / best - 1))
