"""The result of a tuning: the winner, the verdicts on fresh seeds, the winner's curse, all trials.

Nothing here, and nothing before, looks at test.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from math import inf, isfinite
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import numpy as np

from wavemore.comparison.evidence import SideLosses, judge
from wavemore.comparison.statistics import holm, mean_std
from wavemore.comparison.verdict import Outcome
from wavemore.errors import RunError, UsageError
from wavemore.runs.config import RunConfig
from wavemore.runs.describe import describe_data, describe_model, describe_split
from wavemore.runs.environment import environment
from wavemore.runs.run import Run
from wavemore.runs.saved_losses import saved_unit_losses
from wavemore.studies.tuning.importance import importance
from wavemore.studies.tuning.ranges import Between
from wavemore.studies.tuning.record import FORMAT
from wavemore.studies.tuning.request import Search
from wavemore.studies.tuning.space import Space
from wavemore.studies.tuning.trials import Tried

LEAST_OF_NORMAL = (0.0, 0.0, 0.56, 0.85, 1.03, 1.16)
"""How far below 0 the least of n standard normal numbers is expected, by n."""


@dataclass(frozen=True)
class Finalist:
    """A trial that was repeated on fresh seeds."""

    tried: Tried
    experiment: str
    config: RunConfig
    """Of one of its repeats."""
    command: tuple[str, ...]
    """What trains it again, on the first of the fresh seeds."""
    runs: tuple[Run, ...]
    """The repeats that are finished."""
    results: tuple[dict[str, Any], ...]
    """What they reached, with their seeds."""

    @property
    def mean(self) -> float:
        """The mean val loss of the repeats."""
        return fmean(result["val_nats"] for result in self.results)


class Tuning(Protocol):
    """What the result needs to know of a tuner."""

    folder: Path
    space: Space
    command: tuple[str, ...]

    @property
    def elapsed(self) -> float:
        """Seconds of everything so far."""

    def tried(self) -> list[Tried]:
        """All trials."""


def result_of(tuner: Tuning, search: Search, finalists: Sequence[Finalist]) -> dict[str, Any]:
    """Judge the finalists, and put everything together. Raises `UsageError` if no repeat was finished."""
    repeated = sorted((each for each in finalists if each.results), key=lambda each: each.mean)
    if not repeated:
        raise UsageError("the time was over before a repeat of the best trials ended: give more `minutes`")
    winner, tried = repeated[0], tuner.tried()
    kind, config = winner.config.model, winner.config
    return {
        "format": FORMAT,
        "name": tuner.folder.name,
        "command": list(tuner.command),
        "data": {
            "name": search.data.name,
            "sha256": search.data.sha256,
            "format": search.data.format,
            "description": describe_data(config),
            "split": describe_split(search.data),
        },
        "search": {
            "models": list(tuner.space.kinds),
            "default": tuner.space.default,
            "max_parameters": search.max_parameters,
            "max_seconds": search.max_seconds,
            "seconds": search.seconds,
            "seed": search.seed,
        },
        "winner": winner.tried.number,
        "finalists": [_finalist_record(each) for each in repeated],
        "comparisons": _comparisons(winner, repeated[1:]),
        "curse": _curse(finalists, repeated),
        "importance": {"model": kind, "values": importance(kind, tried)},
        "ranges": {name: _is_log(tuner.space, name) for name in _searched(tried)},
        "trials": [_trial_record(each) for each in tried],
        "environment": environment(),
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(tuner.elapsed, 1),
    }


def _finalist_record(finalist: Finalist) -> dict[str, Any]:
    first = finalist.results[0]
    keys = ("seed", "train_nats", "val_nats", "leak_free_val_nats", "seconds")
    return {
        "trial": finalist.tried.number,
        "experiment": finalist.experiment,
        "description": describe_model(finalist.config),
        "settings": dict(finalist.tried.facts.settings),
        "command": list(finalist.command),
        "parameters": first["parameters"],
        "steps": first["steps"],
        "search_val": finalist.tried.val_nats,
        "train_seconds": fmean(result["seconds"] for result in finalist.results),
        "paths": [str(run.path) for run in finalist.runs],
        "runs": [{key: result[key] for key in keys} for result in finalist.results],
    }


def _comparisons(winner: Finalist, others: Sequence[Finalist]) -> list[dict[str, Any]]:
    """Judge the winner (B) against each other finalist (A) by their val losses; p is adjusted by Holm's method."""
    outcomes = [(other.tried.number, judge_finalists(other, winner)) for other in others]
    adjusted = iter(holm([outcome.p for _, outcome in outcomes if outcome.p is not None]))
    return [
        {"trial": number, "outcome": asdict(outcome), "p": None if outcome.p is None else next(adjusted)}
        for number, outcome in outcomes
    ]


def judge_finalists(a: Finalist, b: Finalist) -> Outcome:
    """Compare two finalists as `compare` does, by the losses that their runs have kept."""
    sides, targets = [], None
    for each in (a, b):
        losses = [saved_unit_losses(run, "val") for run in each.runs]
        known = [loss for loss in losses if loss is not None]
        if len(known) < len(losses):
            raise RunError(
                f"{each.runs[0].path} lacks the losses of its val lines: delete it, and run the command again"
            )
        targets = known[0].targets.astype(np.float64)
        sides.append(SideLosses(np.stack([loss.nats for loss in known]), each.config.model_config.counted))
    assert targets is not None
    return judge(sides[0], sides[1], targets)


def _curse(finalists: Sequence[Finalist], repeated: Sequence[Finalist]) -> dict[str, Any] | None:
    """Return the best trial of the search, its val loss there, and on fresh seeds; None if it was not repeated."""
    best = min(finalists, key=lambda each: inf if each.tried.val_nats is None else each.tried.val_nats)
    if not best.results:
        return None
    deviations = [mean_std([run["val_nats"] for run in each.results]) for each in repeated]
    errors = [each.std / each.n**0.5 for each in deviations if each.std is not None]
    least = LEAST_OF_NORMAL[min(len(repeated), len(LEAST_OF_NORMAL) - 1)]
    known = len(repeated) > 1 and len(errors) == len(repeated)  # one repeat alone says nothing about its error
    return {
        "trial": best.tried.number,
        "search": best.tried.val_nats,
        "fresh": best.mean,
        "of_repeats": least * float(np.sqrt(np.mean(np.square(errors)))) if known else None,
    }


def _trial_record(tried: Tried) -> dict[str, Any]:
    facts = tried.facts
    return {
        "number": tried.number,
        "state": tried.state,
        "model": facts.model,
        "val_nats": tried.val_nats,
        "losses": {str(step): nats for step, nats in tried.losses.items() if isfinite(nats)},
        "values": {name.partition(".")[2]: value for name, value in tried.values.items() if "." in name},
        "parameters": facts.parameters,
        "train_seconds": facts.train_seconds,
        "elapsed": facts.elapsed,
        "why": facts.why,
        "failed": facts.failed,
    }


def _searched(tried: Sequence[Tried]) -> list[str]:
    names = (name for each in tried for name in each.values if "." in name)
    return list(dict.fromkeys(names))


def _is_log(space: Space, name: str) -> bool | None:
    """Whether a setting is searched on a logarithmic scale; None for one without a scale."""
    model, _, setting = name.partition(".")
    ranges = space.kinds[model].ranges.get(setting) if model in space.kinds else None
    return ranges.log if isinstance(ranges, Between) else None
