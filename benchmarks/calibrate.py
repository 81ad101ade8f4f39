"""How often is a recipe called better that is not? `python -m benchmarks.calibrate` writes the record.

Each trial draws seeds and lines anew, and judges them as `compare`, `log` and `study` do (`evidence.judge`). The two
recipes are equally good over all seeds and lines, so every "better" is wrong; a second series has a real difference,
as a verdict that is never "better" would be calibrated too.

- *simulated*: the losses are drawn: effects of the line, the seed, recipe x line, and the rest. Regimes are the number
  of seeds and the ratio of the error of the lines to that of the seeds; among them are sides with different numbers of
  seeds, few lines, skewed losses, a text whose neighbouring lines are alike, and a counted model.
- *trained*: 2 x 200 real trainings of small models on 3,000 of the bundled names, evaluated on 21,000 others. A trial
  draws some of these models and lines. The recipes are a tree and a model of another kind, whose losses on all lines
  are shifted so that both are equally good; or the same tree on both sides.

This takes about eight minutes on one core.
"""

import argparse
import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

import wavemore as wm
from wavemore.comparison.evidence import SideLosses, judge
from wavemore.engine.evaluate import part_losses
from wavemore.engine.threads import set_threads
from wavemore.engine.unit_losses import UnitLosses
from wavemore.runs.environment import environment
from wavemore.text.parts import MAX_BLOCKS

RECORD = Path(__file__).resolve().parents[1] / "records" / "calibration.json"
SEEDS = (3, 5, 10, 20)
RATIOS = (0.5, 1.0, 2.0, 4.0)
"""The error of the lines divided by that of the seeds."""
LINES = 500
TRIALS = 4_000
POWER_ERRORS = 3.0
"""The real difference of the second series, in standard errors."""
SEED_STD = 0.01
TRAINED_MODELS, TRAIN_NAMES = 200, 3_000
SIZE = {"embedding": 8, "hidden": 16, "steps": 100, "batch_size": 256, "num_evals": 1}
RECIPES: dict[str, dict[str, Any]] = {"tree": {"fuse": (2, 2), **SIZE}, "mlp": {"fuse": (3,), **SIZE}}

Array = NDArray[np.float64]
Trial = tuple[SideLosses, SideLosses, Array, float]
"""Two sides that are equally good over all seeds and lines, the targets of the lines, and the error of B - A."""
Draw = Callable[[np.random.Generator], Trial]


def main() -> None:
    """Judge many trials of each regime, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.calibrate", description="Write calibration.json.")
    parser.add_argument("-n", type=int, default=TRIALS, help="trials per regime and series")
    parser.add_argument("--models", type=int, default=TRAINED_MODELS, help="real trainings per recipe")
    parser.add_argument("-o", type=Path, default=RECORD, help="the record")
    arguments = parser.parse_args()
    set_threads(1)
    machine = environment()  # read now: an edit of the source during the run does not change what runs
    record = {
        "question": "How often is a recipe called better that is not, and how often one that is?",
        "command": "python -m benchmarks.calibrate",
        "trials": arguments.n,
        "power_errors": POWER_ERRORS,
        "simulated": list(regimes(simulated(), arguments.n)),
        "models": arguments.models,
        "train_names": TRAIN_NAMES,
        "recipes": RECIPES,
        "trained": list(regimes(trained(arguments.models), arguments.n)),
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": machine,
    }
    arguments.o.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def regimes(draws: Iterator[tuple[dict[str, Any], Draw]], trials: int) -> Iterator[dict[str, Any]]:
    """Count the verdicts of each regime."""
    for number, (regime, draw) in enumerate(draws):
        random = np.random.default_rng([7, number])
        false = real = 0
        for _ in range(trials):
            a, b, targets, error = draw(random)
            false += judge(a, b, targets).better is not None
            better = SideLosses(b.nats - POWER_ERRORS * error * targets, b.counted)
            real += judge(a, better, targets).better == "b"
        row = {**regime, "false_better": false / trials, "power": real / trials}
        print(row, flush=True)
        yield row


@dataclass(frozen=True)
class Effects:
    """What a simulated loss consists of; deviations are per target."""

    seeds: tuple[int, int]
    ratio: float
    lines: int = LINES
    skewed: bool = False
    correlation: float = 0.0
    """Of the recipe x line effects of neighbouring lines: those of a text."""
    counted: bool = False
    """Whether A is an n-gram model: one seed without an effect."""

    def __call__(self, random: np.random.Generator) -> Trial:
        """Draw both sides."""
        targets = random.integers(3, 13, self.lines).astype(float)
        weights = targets / targets.sum()
        seed_error = SEED_STD * sum(1 / seeds for seeds in self.seeds[self.counted :]) ** 0.5
        line_error = self.ratio * seed_error
        # The effects of correlated neighbours add up to more.
        spread = (weights**2).sum() * (1 + self.correlation) / (1 - self.correlation)
        deviation = line_error / (2 * spread) ** 0.5
        line, sides = random.normal(2.2, 0.5, self.lines), []
        for seeds, counted in zip(self.seeds, (self.counted, False), strict=True):
            seed = np.zeros((1, 1)) if counted else random.normal(0, SEED_STD, (seeds, 1))
            sides.append(SideLosses(targets * (line + deviation * self._line_effects(random) + seed), counted))
        return sides[0], sides[1], targets, (seed_error**2 + line_error**2) ** 0.5

    def _line_effects(self, random: np.random.Generator) -> Array:
        """Effects of mean 0 and deviation 1."""
        if self.skewed:
            skewed: Array = (random.lognormal(0, 1, self.lines) - np.exp(0.5)) / ((math.e - 1) * math.e) ** 0.5
            return skewed
        fresh: Array = random.normal(0, 1, self.lines)
        if not self.correlation:
            return fresh
        fresh[1:] *= (1 - self.correlation**2) ** 0.5
        effects: Array = lfilter([1.0], [1.0, -self.correlation], fresh)
        return effects


def simulated() -> Iterator[tuple[dict[str, Any], Draw]]:
    """The regimes of simulated losses."""
    for seeds in SEEDS:
        for ratio in RATIOS:
            yield {"kind": "list", "seeds": [seeds, seeds], "ratio": ratio}, Effects((seeds, seeds), ratio)
    for kind, effects in {
        "different seeds": Effects((3, 10), 1.0),
        "30 lines": Effects((5, 5), 2.0, lines=30),
        "skewed losses": Effects((5, 5), 2.0, skewed=True),
        "a counted side": Effects((1, 5), 1.0, counted=True),
    }.items():
        yield {"kind": kind, "seeds": list(effects.seeds), "ratio": effects.ratio}, effects
    text = Effects((5, 5), 2.0, lines=2_000, correlation=0.6)
    yield {"kind": "text, in blocks", "seeds": [5, 5], "ratio": 2.0}, lambda random: _blocks(text(random))


def _blocks(trial: Trial) -> Trial:
    """Sum neighbouring lines in the blocks of a text."""
    a, b, targets, error = trial
    starts = np.linspace(0, len(targets), MAX_BLOCKS, endpoint=False).astype(np.int64)
    sides = (SideLosses(np.add.reduceat(side.nats, starts, axis=1), side.counted) for side in (a, b))
    return *sides, np.add.reduceat(targets, starts), error  # type: ignore[return-value]


def trained(models: int) -> Iterator[tuple[dict[str, Any], Draw]]:
    """The regimes of real trainings: the number of lines makes the ratio of the errors."""
    names = wm.load_corpus("names")
    lines = np.random.default_rng(7).permutation([*names.train.lines, *names.val.lines, *names.test.lines])
    corpus = wm.LineCorpus.from_lines(lines[:TRAIN_NAMES].tolist(), vocabulary=names.vocabulary)
    others = wm.LineCorpus.from_lines(lines[TRAIN_NAMES:].tolist(), vocabulary=names.vocabulary).train
    losses = {
        name: [_train(corpus, others, recipe, seed) for seed in range(models)] for name, recipe in RECIPES.items()
    }
    targets = losses["tree"][0].targets.astype(float)
    nats = {name: np.stack([each.nats for each in side]) for name, side in losses.items()}
    for pair in (("tree", "tree"), ("tree", "mlp")):
        a, b = (nats[name] for name in pair)
        b = b - targets * ((b.mean(axis=0).sum() - a.mean(axis=0).sum()) / targets.sum())  # equally good
        for seeds in SEEDS:
            for ratio in RATIOS if pair[0] != pair[1] else (1.0,):
                draw = _Population(a, b, targets, seeds, ratio)
                yield {"kind": " and ".join(pair), "seeds": [seeds, seeds], "ratio": ratio, "lines": draw.lines}, draw


def _train(corpus: wm.LineCorpus, others: Any, settings: dict[str, Any], seed: int) -> UnitLosses:
    plan = wm.plan(corpus, **settings, seed=seed)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    return part_losses(model, others).by_unit


class _Population:
    """Draws seeds and lines of two recipes, as many lines as make the ratio of their error to that of the seeds."""

    def __init__(self, a: Array, b: Array, targets: Array, seeds: int, ratio: float) -> None:
        self.a, self.b, self.targets, self.seeds = a, b, targets, seeds
        means = [side.sum(axis=1) / targets.sum() for side in (a, b)]
        self.seed_error = (sum(mean.var(ddof=1) for mean in means) / seeds) ** 0.5
        difference = b.mean(axis=0) - a.mean(axis=0)
        one_line = float((difference - targets * difference.sum() / targets.sum()).std() / targets.mean())
        # The same tree on both sides has no recipe x line effect: as many lines as the default split of the names.
        same = a is b or one_line < 1e-9
        self.lines = LINES if same else int(np.clip((one_line / (ratio * self.seed_error)) ** 2, 30, len(targets) // 4))
        self.error = (self.seed_error**2 + one_line**2 / self.lines) ** 0.5

    def __call__(self, random: np.random.Generator) -> Trial:
        """Draw both sides."""
        lines = random.choice(len(self.targets), self.lines, replace=False)
        seeds = random.permutation(len(self.a))[: 2 * self.seeds]  # one recipe on both sides: different models
        a, b = self.a[seeds[: self.seeds]][:, lines], self.b[seeds[self.seeds :]][:, lines]
        return SideLosses(a), SideLosses(b), self.targets[lines], self.error


if __name__ == "__main__":
    main()
