"""How good are the default settings, for lists of other sizes? `python scripts/check_defaults.py`

For subsets of the bundled names: the loss of the default settings on 3,000 names that no subset holds, beside that of
settings around them, mean of three subsets; and how many of 1,000 samples are lines of the list.
"""

import random
import statistics
import sys
from collections.abc import Iterator
from time import perf_counter
from typing import Any

import wavemore as wm
from wavemore.engine.process import set_threads
from wavemore.text.corpus import Corpus, Part

SIZES = (100, 200, 500, 1_000, 3_000, 10_000)
SUBSETS = 3


def main() -> None:
    """Print the table."""
    set_threads(1)
    names = list(wm.load("names").train.lines)
    random.Random(0).shuffle(names)
    judges, pool = names[:3_000], names[3_000:]
    variants = "default | decay / 4 | decay x 4 | half as wide | twice as wide | twice the epochs"
    print(f"| lines | {variants} | seconds | known |\n|---|---|---|---|---|---|---|---|---|")
    for size in SIZES:
        found: dict[str, list[float]] = {}
        for subset in range(SUBSETS):
            lines = random.Random(subset).sample(pool, size)
            for name, value in measure(lines, judges, subset):
                found.setdefault(name, []).append(value)
        seconds, known = statistics.mean(found.pop("seconds")), statistics.mean(found.pop("known"))
        losses = " | ".join(f"{statistics.mean(values):.3f}" for values in found.values())
        print(f"| {size:,} | {losses} | {seconds:.1f} | {known:.0%} |")
        sys.stdout.flush()


def measure(lines: list[str], judges: list[str], seed: int) -> Iterator[tuple[str, float]]:
    """Losses of the default settings and of those around them."""
    vocabulary = wm.Vocabulary("abcdefghijklmnopqrstuvwxyz")
    corpus = Corpus.from_lines(lines, vocabulary=vocabulary, split_seed=seed)
    judge = Corpus.from_lines(judges, vocabulary=vocabulary, split="lecture").train
    plan = wm.plan(corpus)
    epochs = plan.recipe.steps * plan.recipe.batch_size / corpus.train.targets
    around: dict[str, dict[str, Any]] = {
        "default": {},
        "decay / 4": {"weight_decay": plan.recipe.weight_decay / 4},
        "decay x 4": {"weight_decay": plan.recipe.weight_decay * 4},
        "half as wide": {"hidden": plan.tree.hidden // 2},
        "twice as wide": {"hidden": plan.tree.hidden * 2},
        "twice the epochs": {"epochs": epochs * 2},
    }
    for name, settings in around.items():
        began = perf_counter()
        model = train(corpus, {**settings, "seed": seed})
        if name == "default":
            yield "seconds", perf_counter() - began
            sampling = wm.Sampling(seed=seed, max_length=corpus.report.longest)
            samples = list(wm.generate(model, vocabulary, 1_000, sampling, corpus.line_hashes))
            yield "known", sum(not sample.new for sample in samples) / len(samples)
        yield name, loss(model, judge)


def train(corpus: Corpus, settings: dict[str, Any]) -> wm.Tree:
    """The model with the best val loss."""
    plan = wm.plan(corpus, settings=settings)
    model = wm.build("tree", len(corpus.vocabulary), plan.tree, plan.recipe.seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    return model


def loss(model: wm.Tree, part: Part) -> float:
    """Nats a character."""
    return wm.evaluate(model, part).nats


if __name__ == "__main__":
    main()
