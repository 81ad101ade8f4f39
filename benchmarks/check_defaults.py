"""How good are the default settings for lists of other sizes? `python -m benchmarks.check_defaults`

For subsets of the bundled names: the loss of the default settings on 3,000 names that are in no subset, beside that of
neighbouring settings, mean of three subsets; and how many of 1,000 samples are lines of the list.
"""

import random
import statistics
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model

SIZES = (100, 200, 500, 1_000, 3_000, 10_000)
SUBSETS = 3
COLUMNS = "default | decay / 4 | decay x 4 | half as wide | twice as wide | twice the epochs"


def main() -> None:
    """Print the table."""
    set_threads(1)
    names = list(wm.load_corpus("names").train.lines)
    random.Random(0).shuffle(names)
    held_out, pool = names[:3_000], names[3_000:]
    print(f"| lines | {COLUMNS} | seconds | known |\n|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        columns: dict[str, list[float]] = {}
        for subset in range(SUBSETS):
            lines = random.Random(subset).sample(pool, size)
            for name, value in measure(lines, held_out, subset):
                columns.setdefault(name, []).append(value)
        seconds, known = statistics.mean(columns.pop("seconds")), statistics.mean(columns.pop("known"))
        losses = " | ".join(f"{statistics.mean(values):.3f}" for values in columns.values())
        print(f"| {size:,} | {losses} | {seconds:.1f} | {known:.0%} |")
        sys.stdout.flush()


def measure(lines: list[str], held_out: list[str], seed: int) -> Iterator[tuple[str, float]]:
    """Yield the losses of the default settings and of neighbouring ones."""
    vocabulary = wm.Vocabulary("abcdefghijklmnopqrstuvwxyz")
    corpus = wm.LineCorpus.from_lines(lines, vocabulary=vocabulary, split_seed=seed)
    test = wm.LineCorpus.from_lines(held_out, vocabulary=vocabulary, split_method="lecture").train
    plan = wm.plan(corpus)
    assert isinstance(plan.model_config, wm.TreeConfig)
    epochs = plan.recipe.steps * plan.recipe.batch_size / corpus.train.num_targets
    neighbours: dict[str, dict[str, Any]] = {
        "default": {},
        "decay / 4": {"weight_decay": plan.recipe.weight_decay / 4},
        "decay x 4": {"weight_decay": plan.recipe.weight_decay * 4},
        "half as wide": {"hidden": plan.model_config.hidden // 2},
        "twice as wide": {"hidden": plan.model_config.hidden * 2},
        "twice the epochs": {"epochs": epochs * 2},
    }
    for name, settings in neighbours.items():
        start = perf_counter()
        model = train(corpus, {**settings, "seed": seed})
        if name == "default":
            yield "seconds", perf_counter() - start
            sampling = wm.Sampling(seed=seed, max_length=corpus.longest_line)
            samples = list(wm.generate(model, vocabulary, 1_000, sampling, corpus.line_hashes))
            yield "known", sum(not sample.new for sample in samples) / len(samples)
        yield name, wm.evaluate(model, test).nats


def train(corpus: wm.LineCorpus, settings: dict[str, Any]) -> Model:
    """Train a tree; returned with its best weights."""
    plan = wm.plan(corpus, **settings)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    return model


if __name__ == "__main__":
    main()
