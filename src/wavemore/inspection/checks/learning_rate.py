"""Whether a training went too fast or too slowly, or past its best: judged by its records.

How far a step may move a weight, as a share of its size, depends on how many steps there are. Muon and AdamW make all
steps about equally long, in directions that chance decides, so after 1 / ratio^2 steps a weight is another one. What
counts is how many passes over the data that takes, its `memory`: a good learning rate gives 5 to 130 epochs. With a
tenth of it they are 600 to 2,000, and the weights never get away from where they began; with ten times as much 0.2 to
1.7, and what the first half of the data taught is forgotten before the second half is through.

The steps of SGD are as long as the gradient, and weights behind a normalisation grow until their steps suit them. There
the first and the last weight tell the pace, which have no normalisation behind them: log10 of their ratio is -2.9 to
-2.1 with a good learning rate, -3.5 to -3.2 with a tenth and -1.9 to -1.3 with ten times as much.

These figures are of trainings with each optimiser, on lists of 100 to 30,000 lines.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import fmean, median
from typing import Any

from wavemore.engine.recipe import Recipe
from wavemore.inspection.finding import Finding

SHORTEST_MEMORY = {"muon": 2.0, "adamw": 3.5}
LONGEST_MEMORY = 400.0
"""Epochs."""
FAST_SGD, SLOW_SGD = -2.05, -3.05
FAST_HIDDEN_SGD, SHRUNK_SGD = -0.65, -0.95
"""Of the hidden weights, where weight decay keeps them from growing."""
FAR = 8.0
"""How often its own size a weight has to be moved in all, to be anywhere new."""
PAST_BEST = 0.2
"""Nats by which the val loss may rise after its best."""


@dataclass(frozen=True)
class Pace:
    """How far the steps moved the weights, where the learning rate was at least half of its peak."""

    ratios: dict[str, float]
    """log10 of update / weight: the median, by the weight's name."""
    hidden: float | None
    """The median of the matrices between the first and the last."""
    ends: float | None
    """The mean of the first and the last."""
    path: float
    """Update / weight of the hidden ones, added up over all steps."""


def pace_of(records: Sequence[Mapping[str, Any]]) -> Pace:
    """Gather the update ratios of a training's records."""
    told = [record for record in records if record.get("update_ratios")]
    if not told:
        return Pace({}, None, None, 0.0)
    peak = max(record["learning_rate"] for record in told)
    names = list(dict.fromkeys(name for record in told for name in record["update_ratios"]))
    fast = [record["update_ratios"] for record in told if record["learning_rate"] >= peak / 2]
    ratios = {name: median(found) for name in names if (found := [each[name] for each in fast if name in each])}
    hidden = names[1:-1] or names
    path, before = 0.0, 0
    for record in told:
        values = [record["update_ratios"][name] for name in hidden if name in record["update_ratios"]]
        path += 10 ** median(values) * (record["step"] - before) if values else 0.0
        before = record["step"]
    of_hidden = [ratios[name] for name in hidden if name in ratios]
    of_ends = [ratios[name] for name in (names[0], names[-1]) if name in ratios]
    return Pace(ratios, median(of_hidden) if of_hidden else None, fmean(of_ends) if of_ends else None, path)


def findings(
    records: Sequence[Mapping[str, Any]], recipe: Recipe, targets: int, uniform: float, *, on_lists: bool = True
) -> Iterator[Finding]:
    """Findings about the learning rate, and about a training that went on past its best, on `targets` characters.

    Which paces are healthy is known `on_lists` alone; elsewhere the losses are judged, and no pace.
    """
    if not records:
        return
    pace = pace_of(records if on_lists else ())
    steps_of_epoch = targets / recipe.batch_size
    rate, complete = recipe.learning_rate, records[-1]["step"] >= recipe.steps
    if why := _too_fast(pace, records, recipe, steps_of_epoch, uniform):
        yield Finding(
            "learning rate too high",
            recipe.optimizer,
            f"{why}: the weights jump about and do not settle; take a lower --learning-rate than {rate:g}, as "
            f"{rate / 10:g}{', or less --weight-decay' if recipe.weight_decay else ''}",
        )
    elif recipe.optimizer == "sgd" and recipe.weight_decay and pace.hidden is not None and pace.hidden > SHRUNK_SGD:
        yield Finding(
            "weight decay too high",
            recipe.optimizer,
            f"it made the hidden weights so small that a step moves them by {_share(pace.hidden)}; 0.01 (-2) is "
            f"healthy: take less --weight-decay than {recipe.weight_decay:g}, as 0",
        )
    elif complete and (why := _too_slow(pace, recipe, steps_of_epoch)):
        yield Finding(
            "learning rate too low",
            recipe.optimizer,
            f"{why}: take a higher --learning-rate than {rate:g}, as {rate * 10:g}, or many more steps",
        )
    vals = [(record["val_nats"], record["step"]) for record in records if record.get("val_nats") is not None]
    if vals and vals[-1][0] - min(vals)[0] > PAST_BEST:
        best, step = min(vals)
        yield Finding(
            "overfitting",
            "",
            f"val was best after step {step:,} with {best:.3f} nats and is {vals[-1][0]:.3f} at the end, where train "
            f"has {records[-1]['train_nats']:.3f}: train was learned by heart (the best state was kept); take fewer "
            "--epochs, more --weight-decay or a smaller model",
        )


def _too_fast(
    pace: Pace, records: Sequence[Mapping[str, Any]], recipe: Recipe, steps_of_epoch: float, uniform: float
) -> str:
    """Why the learning rate is too high; nothing where it is not."""
    highest = max(record["train_nats"] for record in records[len(records) // 4 :])
    if highest > uniform + 0.3:
        return f"the train loss rose to {highest:.2f} nats, where guessing has {uniform:.2f}"
    if pace.hidden is None or pace.ends is None:
        return ""
    if recipe.optimizer == "sgd":
        if pace.ends > FAST_SGD:
            return f"a step moves the first and the last weight by {_share(pace.ends)}; 0.003 (-2.5) is healthy"
        if pace.hidden > FAST_HIDDEN_SGD:
            return f"a step moves the hidden weights by {_share(pace.hidden)}; 0.01 (-2) is healthy"
        return ""
    slowest = max(pace.hidden, pace.ends) if recipe.optimizer == "adamw" else pace.hidden
    memory = _memory(slowest, steps_of_epoch)
    if memory < SHORTEST_MEMORY[recipe.optimizer]:
        return (
            f"a step moves the weights by {_share(slowest)}, so after {memory:.1f} epochs nothing is left of what they "
            "were (5 to 100 are healthy)"
        )
    return ""


def _too_slow(pace: Pace, recipe: Recipe, steps_of_epoch: float) -> str:
    if pace.hidden is None or pace.ends is None:
        return ""
    if recipe.optimizer == "sgd":
        if pace.ends < SLOW_SGD:
            return f"a step moves the first and the last weight by {_share(pace.ends)}; 0.003 (-2.5) is healthy"
        return ""
    if _memory(pace.hidden, steps_of_epoch) > LONGEST_MEMORY and pace.path < FAR:
        return (
            f"a step moves the hidden weights by {_share(pace.hidden)}, all {recipe.steps:,} steps together by "
            f"{pace.path:.1f} times their size (10 to 40 are healthy), so they stay close to where they began"
        )
    return ""


def _memory(ratio: float, steps_of_epoch: float) -> float:
    """Epochs after which a weight is another one, if chance decides the directions."""
    return 10 ** (-2 * ratio) / steps_of_epoch if steps_of_epoch else inf


def _share(ratio: float) -> str:
    """An update ratio in words: `0.003 of their size (log10 -2.5)`."""
    return f"{10**ratio:.2g} of their size (log10 {ratio:.1f})"
