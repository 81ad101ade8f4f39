"""Does a training on a short list gain from the weights of a run on a related list?

`python -m benchmarks.carry_over` draws short lists from those in benchmarks/data/, and trains on each from random
weights and from the weights of two sources: the default run on the bundled names of the USA, and one on the names of
the other three countries. Both sides have their default settings. The side from random weights is trained again with
other seeds until it has had as much time, and the training with the best val loss counts.

Two losses are compared. *val*: on the val lines, as `wavemore train` prints it; none of them is in train. *new*: on all
other lines of the list that are in no source either, so that neither side has ever seen them. Everything is in lower
case, as the bundled names are. The settings were tuned on names of France and Italy and on other seeds. Writes
records/carry-over.json.
"""

import json
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tyro

import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.nn.carry_over import carry_over
from wavemore.nn.model import Model
from wavemore.runs.environment import environment
from wavemore.text.lines import Lines
from wavemore.text.parts import LinePart

RECORD = Path(__file__).resolve().parents[1] / "records/carry-over.json"
DATA = Path(__file__).parent / "data"
COUNTRIES = ("finland", "france", "germany", "italy")
TARGETS = {
    "names of Finland": "finland-names",
    "names of Germany": "germany-names",
    "towns of Germany": "germany-towns",
}
SIZES = (100, 300, 1_000)
USA, NEIGHBOURS = "names of the USA", "names of the other countries"
MOST_TRIES = 5
"""Trainings from random weights for one list, at most."""


@dataclass(frozen=True, kw_only=True)
class CarryOver:
    """Measure what a run on a related list is worth for a short list."""

    targets: tuple[str, ...] = tuple(TARGETS)
    """Lists to draw from."""
    sizes: tuple[int, ...] = SIZES
    """Lines of the short lists."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    """One short list per seed, which is that of its split and its training too."""
    source_epochs: float = 0.0
    """Passes of the sources over their data; 0: the default."""
    output: Path = RECORD
    """File of the record."""


class Trained:
    """A model with its plan, its lines, its vocabulary and the time that it took."""

    def __init__(self, corpus: wm.LineCorpus, plan: wm.Plan, model: Model | None = None) -> None:
        self.plan, self.vocabulary, self.lines = plan, corpus.vocabulary, set(list_of(corpus))
        seed = plan.recipe.seed
        self.model = model or wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed)
        start = perf_counter()
        *_, record = wm.fit(self.model, corpus, plan.recipe)
        self.seconds, self.val_in_training = perf_counter() - start, record.best_val_nats

    def nats(self, lines: Sequence[str]) -> float:
        """Return the loss on lines."""
        all_lines = Lines.from_iterable(lines)
        tokens, leak_free = all_lines.encode(self.vocabulary), np.ones(len(all_lines), np.bool_)
        return wm.evaluate(self.model, LinePart(all_lines, tokens, leak_free, self.vocabulary)).nats


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(CarryOver, description=__doc__)
    set_threads(1)
    usa = list_of(wm.load_corpus("names"))
    sources = {USA: source(usa, arguments.source_epochs)}
    rows = []
    for target in arguments.targets:
        own = TARGETS[target]
        others = [line for country in COUNTRIES if not own.startswith(country) for line in read(f"{country}-names")]
        sources[NEIGHBOURS] = source(dict.fromkeys(others), arguments.source_epochs)
        seen = {*usa, *others}
        for size in arguments.sizes:
            figures = [measure(read(own), size, seed, sources, seen) for seed in arguments.seeds]
            for name in sources:
                rows.append(
                    {"target": target, "lines": size, "source": name, **summary([row[name] for row in figures])}
                )
                print(json.dumps(rows[-1]), flush=True)
    record = {
        "question": "Does a training on a short list gain from the weights of a run on a related list?",
        "command": "python -m benchmarks.carry_over",
        "seeds": arguments.seeds,
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def read(name: str) -> list[str]:
    """Return the distinct lines of a list in benchmarks/data/, in lower case."""
    lines = (DATA / f"{name}.txt").read_text(encoding="utf-8").lower().splitlines()
    return list(dict.fromkeys(lines))


def list_of(corpus: wm.LineCorpus) -> list[str]:
    """Return all lines of a list."""
    return [line for part in (corpus.train, corpus.val, corpus.test) for line in part.lines]


def source(lines: Iterable[str], epochs: float) -> Trained:
    """Train a source with its default settings."""
    corpus = wm.LineCorpus.from_lines(lines)
    settings: dict[str, Any] = {"epochs": epochs} if epochs else {}
    return Trained(corpus, wm.plan(corpus, **settings))


def measure(
    lines: list[str], size: int, seed: int, sources: dict[str, Trained], seen: set[str]
) -> dict[str, dict[str, float]]:
    """Return the figures of one short list for each source."""
    drawn = random.Random(seed).sample(lines, len(lines))
    corpus = wm.LineCorpus.from_lines(drawn[:size], split_seed=seed)
    new = [line for line in (*corpus.test.lines, *drawn[size:]) if line not in seen]
    carried = {name: begun(trained, drawn[:size], seed) for name, trained in sources.items()}
    scratch = [Trained(corpus, wm.plan(corpus, seed=seed))]
    known = set("".join(drawn[:size]))
    new = [line for line in new if set(line) <= known]
    found = {}
    for name, (begun_model, begun_corpus) in carried.items():
        while sum(each.seconds for each in scratch) < begun_model.seconds and len(scratch) < MOST_TRIES:
            scratch.append(Trained(corpus, wm.plan(corpus, seed=seed + 1_000 * len(scratch))))
        best = min(scratch, key=lambda each: each.val_in_training)
        found[name] = {
            "scratch_val": wm.evaluate(best.model, corpus.val).leak_free_nats,
            "carried_val": wm.evaluate(begun_model.model, begun_corpus.val).leak_free_nats,
            "scratch_new": best.nats(new),
            "carried_new": begun_model.nats(new),
            "scratch_seconds": sum(each.seconds for each in scratch),
            "carried_seconds": begun_model.seconds,
            "known": sum(line in sources[name].lines for line in corpus.val.lines) / len(corpus.val.lines),
            "new_lines": len(new),
        }
    return found


def begun(trained: Trained, lines: list[str], seed: int) -> tuple[Trained, wm.LineCorpus]:
    """Train on a short list from the weights of a source; return also the list with the characters of both."""
    known = trained.vocabulary.characters
    vocabulary = wm.Vocabulary({*known, *"".join(lines)})
    corpus = wm.LineCorpus.from_lines(lines, vocabulary=vocabulary, split_seed=seed)
    name, config = trained.plan.model, trained.plan.model_config
    model = carry_over(name, config, trained.model, known, vocabulary.characters, seed)
    return Trained(corpus, wm.plan(corpus, model=name, carried=config, seed=seed), model), corpus


def summary(figures: list[dict[str, float]]) -> dict[str, Any]:
    """Return the means over the seeds, and the gains with their standard deviations."""
    means = {key: round(statistics.mean(row[key] for row in figures), 4) for key in figures[0]}
    for part in ("val", "new"):
        gains = [row[f"scratch_{part}"] - row[f"carried_{part}"] for row in figures]
        means[f"gain_{part}"] = round(statistics.mean(gains), 4)
        means[f"gain_{part}_std"] = round(statistics.stdev(gains), 4) if len(gains) > 1 else 0.0
    return means


if __name__ == "__main__":
    main()
