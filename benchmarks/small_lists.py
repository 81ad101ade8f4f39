"""Which model suits a short list, and at which temperature do its samples look like items?

`python -m benchmarks.small_lists --lists towns.txt` trains on short lists drawn from the bundled names and from other
long lists, and judges the models by what none of them has seen: the loss on 2,000 other items, and an n-gram model of
thousands of further items, which reads the samples. A sample is plausible if the judge finds it at least as likely per
character as the least likely twentieth of real items. Writes records/small-lists.json.
"""

import json
import random
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Annotated, Any

import numpy as np
import tyro
from numpy.typing import NDArray
from tyro.conf import arg

import wavemore as wm
from wavemore.engine.defaults import suggested_temperature
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records/small-lists.json"
SIZES = (10, 50, 150, 500, 2_000, 10_000)
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
HELD_OUT, SAMPLES = 2_000, 500
ARMS: dict[str, dict[str, Any]] = {
    "default": {},
    "tree": {"model": "tree"},
    "lstm": {"model": "lstm"},
    "lstm, decay / 4": {"model": "lstm", "decay": 0.25},
    "lstm, decay x 4": {"model": "lstm", "decay": 4.0},
    "lstm, half as wide": {"model": "lstm", "width": 0.5},
    "lstm, twice as wide": {"model": "lstm", "width": 2.0},
    "lstm, twice the epochs": {"model": "lstm", "length": 2.0},
    "ngram": {"model": "ngram", "order": 4},
}
READ = ("default", "tree", "lstm", "ngram")
"""The arms whose samples are read by the judge."""


@dataclass(frozen=True, kw_only=True)
class SmallLists:
    """Measure which model and which temperature suit short lists."""

    lists: Annotated[tuple[Path, ...], arg(metavar="FILE")] = ()
    """Files with one item per line, at least 3,000 more than in the longest list that is drawn from them."""
    sizes: tuple[int, ...] = SIZES
    """Lines of the lists."""
    subsets: int = 3
    """Lists per size, with one seed each."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(SmallLists, description=__doc__)
    set_threads(1)
    kinds = {"names": list(wm.load_corpus("names").train.lines)}
    kinds |= {path.stem: path.read_text(encoding="utf-8").splitlines() for path in arguments.lists}
    rows = []
    for kind, items in kinds.items():
        world = World(items, max(arguments.sizes))
        for size in arguments.sizes:
            rows.append({"kind": kind, "lines": size, "arms": world.measure(size, arguments.subsets)})
            print(json.dumps(rows[-1]), flush=True)
    files = ["--lists", *(path.name for path in arguments.lists)] if arguments.lists else []
    record = {
        "question": "Which model suits a short list, and at which temperature do its samples look like items?",
        "command": " ".join(["python -m benchmarks.small_lists", *files]),
        "subsets": arguments.subsets,
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


class World:
    """All items of one kind: those to test on, `most` items to draw lists from, and those of the judge."""

    def __init__(self, items: list[str], most: int) -> None:
        random.Random(0).shuffle(items)
        self.vocabulary = wm.Vocabulary("".join(sorted(set("".join(items)))))
        held_out, self.pool, rest = items[:HELD_OUT], items[HELD_OUT:][:most], items[HELD_OUT + most :]
        self.test = self.corpus(held_out, split_method="lecture").train
        self.judge = train(self.corpus(rest), {"model": "ngram", "order": 6})
        self.limit = float(np.quantile(self.judged(held_out), 0.95))

    def corpus(self, lines: list[str], **settings: Any) -> wm.LineCorpus:
        """Return a list with the characters of all items."""
        return wm.LineCorpus.from_lines(lines, vocabulary=self.vocabulary, **settings)

    def judged(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return the judge's nats per character of each line."""
        return np.array([score.nats_per_char for score in wm.score(self.judge, self.vocabulary, lines)])

    def measure(self, size: int, subsets: int) -> dict[str, dict[str, Any]]:
        """Return the mean figures of all arms on lists of a size."""
        found: dict[str, dict[str, list[float]]] = {}
        for subset in range(subsets):
            corpus = self.corpus(random.Random(subset).sample(self.pool, size), split_seed=subset)
            for name, figures in self.trained(corpus, subset):
                for key, value in figures.items():
                    found.setdefault(name, {}).setdefault(key, []).append(value)
        return {
            name: {key: round(statistics.mean(values), 4) for key, values in figures.items()}
            | {"std": round(statistics.stdev(figures["nats"]), 4)}
            for name, figures in found.items()
        }

    def trained(self, corpus: wm.LineCorpus, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
        """Yield the figures of each arm."""
        for name, arm in ARMS.items():
            settings = changed(corpus, arm) | ({} if arm.get("model") == "ngram" else {"seed": seed})
            start = perf_counter()
            model = train(corpus, settings)
            figures = {"seconds": perf_counter() - start, "nats": wm.evaluate(model, self.test).nats}
            if name in READ:
                figures["temperature"] = suggested_temperature(corpus)
                for temperature in TEMPERATURES:
                    figures |= self.read(model, corpus, temperature)
            yield name, figures

    def read(self, model: Model, corpus: wm.LineCorpus, temperature: float) -> dict[str, float]:
        """Return which share of the samples is plausible, new and distinct."""
        sampling = wm.Sampling(temperature=temperature, seed=1, max_length=corpus.longest_line)
        samples = [s for s in wm.generate(model, self.vocabulary, SAMPLES, sampling, corpus.line_hashes) if s.text]
        new = [sample.text for sample in samples if sample.new]
        plausible = float((self.judged(new) <= self.limit).mean()) if new else 0.0
        return {
            f"plausible@{temperature:g}": plausible,
            f"new@{temperature:g}": len(new) / SAMPLES,
            f"distinct@{temperature:g}": len({sample.text for sample in samples}) / SAMPLES,
        }


def changed(corpus: wm.LineCorpus, arm: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of an arm, with the changes of the defaults that it names."""
    settings = {name: value for name, value in arm.items() if name not in ("decay", "width", "length")}
    plan = wm.plan(corpus, **settings)
    if "decay" in arm:
        settings["weight_decay"] = plan.recipe.weight_decay * arm["decay"]
    if "width" in arm:
        settings["hidden"] = int(plan.model_config.width * arm["width"])
    if "length" in arm:
        settings["steps"] = int(plan.recipe.steps * arm["length"])
        settings["weight_decay"] = plan.recipe.weight_decay
    return settings


def train(corpus: wm.LineCorpus, settings: dict[str, Any]) -> Model:
    """Train a model; returned with its best weights."""
    plan = wm.plan(corpus, **settings)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    return model


if __name__ == "__main__":
    main()
