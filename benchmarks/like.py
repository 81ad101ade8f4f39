"""Does `--like` make lines like the examples, and lines that are new?

`python -m benchmarks.like` splits lists of several kinds of items in two. The default model learns one half of all of
them together, without labels. It is given five items of one kind, which are in its half, and makes 50 new lines. The
other half is the judge: an n-gram model of each kind says which kind a line is of, and one of all kinds whether it is
plausible (at least as likely per character as the least likely twentieth of the model's own half). Names of the USA
have kinds by a rule: an ending, or a length.

fits       lines of the kind of the examples
near       lines within one edit of an example
plausible  lines that could be in the list at all

The method was tuned on the worlds in `TUNING` with other examples. Writes records/like.json.
"""

import itertools
import json
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F
import tyro
from numpy.typing import NDArray

import wavemore as wm
from benchmarks.carry_over import COUNTRIES, read
from benchmarks.keepers import words
from benchmarks.small_lists import train
from wavemore.engine.adapt import LineRows, adapt
from wavemore.engine.line_source import Sample
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.runs.environment import environment
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit

RECORD = Path(__file__).resolve().parents[1] / "records/like.json"
TUNING = ("five languages", "names of four countries", "names of the USA")
MADE, ORDER = 50, 4
"""Lines that are made, and characters that the judges count together."""

Kinds = dict[str, list[str]]


@dataclass(frozen=True, kw_only=True)
class Like:
    """Measure how well lines fit examples."""

    seeds: tuple[int, ...] = (10, 11, 12, 13, 14)
    """One choice of examples each."""
    examples: tuple[int, ...] = (1, 5, 20)
    """How many examples are given; all methods are compared with five."""
    worlds: tuple[str, ...] = ()
    """Lists that are used (default: all)."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Like, description=__doc__)
    set_threads(1)
    rows = []
    for name, (kinds, rule) in worlds().items():
        if arguments.worlds and name not in arguments.worlds:
            continue
        world = World(name, kinds, rule)
        for count, (method, make) in itertools.product(arguments.examples, METHODS.items()):
            if count == 5 or method in ("chosen", "adapted"):
                rows.append(
                    {"world": name, "tuned": name in TUNING, "model": world.kind, "examples": count, "method": method}
                )
                rows[-1] |= world.measure(partial(make, world), count, arguments.seeds)
                print(json.dumps(rows[-1]), flush=True)
    record = {
        "question": "Does --like make new lines like the examples?",
        "command": "python -m benchmarks.like",
        "seeds": arguments.seeds,
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def worlds() -> dict[str, tuple[Kinds, Callable[[str], str] | None]]:
    """Return lists of kinds of items and, for some, a rule that says of which kind an item is."""
    usa = wm.load_corpus("names")
    names = [*usa.train.lines, *usa.val.lines]
    towns = {"towns of Germany": read("germany-towns"), "names of Germany": read("germany-names")}
    return {
        "five languages": (
            {name: words(name) for name in ("English", "Finnish", "German", "Hungarian", "Italian")},
            None,
        ),
        "names of four countries": ({name: read(f"{name}-names") for name in COUNTRIES}, None),
        "names of the USA": (by_rule(names, son_or_long), son_or_long),
        "towns and names": (towns, None),
        "made languages": (made_languages(), None),
        "endings in the USA": (by_rule(names, ending), ending),
    }


def by_rule(items: Sequence[str], rule: Callable[[str], str]) -> Kinds:
    """Return items by the kind that a rule finds; the kind "" is of those that no examples are taken of."""
    kinds: Kinds = {}
    for item in items:
        kinds.setdefault(rule(item), []).append(item)
    return kinds


def son_or_long(name: str) -> str:
    """Return whether a name ends in -son or is long."""
    return "ending in -son" if name.endswith("son") else "ten letters or more" if len(name) >= 10 else ""


def ending(name: str) -> str:
    """Return the ending of a name, if it is one of a few."""
    return next((f"ending in -{end}" for end in ("leigh", "ella", "ian", "ette") if name.endswith(end)), "")


def made_languages() -> Kinds:
    """Return 600 words of each of six languages, each with syllables of its own, drawn from the same letters."""
    kinds = {}
    for number in range(6):
        rng = random.Random(number)
        syllables = [
            "".join([rng.choice("bdgklmnprst"), rng.choice("aeiou"), rng.choice(["", "", "n", "r", "s"])])
            for _ in range(25)
        ]
        found: set[str] = set()
        while len(found) < 600:
            found.add("".join(rng.choices(syllables, k=rng.choice((2, 2, 3, 3, 4)))))
        kinds[f"language {number + 1}"] = sorted(found)
    return kinds


class World:
    """A model of one half of some kinds of items, and judges of the other half."""

    def __init__(self, name: str, kinds: Kinds, rule: Callable[[str], str] | None) -> None:
        self.rule, halves = rule, {}
        for kind, items in kinds.items():
            items = random.Random(0).sample(sorted(set(items)), len(set(items)))
            halves[kind] = items[: len(items) // 2], items[len(items) // 2 :]
        self.own = {kind: own for kind, (own, _) in halves.items()}
        others = {kind: other for kind, (_, other) in halves.items()}
        everything = [item for own in self.own.values() for item in own]
        self.vocabulary = wm.Vocabulary(
            {*"".join(everything), *"".join(item for other in others.values() for item in other)}
        )
        random.Random(1).shuffle(everything)
        self.corpus = wm.LineCorpus.from_lines(everything, name=name, vocabulary=self.vocabulary)
        self.kind = wm.plan(self.corpus).model
        self.model = train(self.corpus, {"seed": 0})
        self.judges = {kind: counted(self.vocabulary, other) for kind, other in others.items()}
        self.whole = counted(self.vocabulary, [item for other in others.values() for item in other], order=5)
        self.limit = float(np.quantile(per_char(self.whole, self.vocabulary, everything), 0.95))

    def draw(self, model: Model, n: int) -> list[Sample]:
        """Draw distinct new lines."""
        sampling = wm.Sampling(0.8, new=True, distinct=True, seed=1, max_length=self.corpus.longest_line)
        return list(wm.generate(model, self.vocabulary, n, sampling, self.corpus.line_hashes))

    def kinds_of(self, lines: Sequence[str]) -> list[str]:
        """Return the kind of each line, as the judges see it."""
        if self.rule is not None:
            return list(map(self.rule, lines))
        names = list(self.judges)
        nats = np.array([per_char(judge, self.vocabulary, lines) for judge in self.judges.values()])
        return [names[number] for number in nats.argmin(axis=0)]

    def measure(
        self, make: Callable[[Sequence[str]], list[str]], count: int, seeds: Sequence[int]
    ) -> dict[str, float | dict[str, float]]:
        """Return the mean figures over kinds and seeds, the deviation of `fits`, and `fits` of each kind."""
        found: dict[str, list[float]] = {"fits": [], "near": [], "plausible": [], "seconds": [], "lines": []}
        by_kind: dict[str, list[float]] = {}
        for kind, seed in itertools.product(filter(None, self.own), seeds):
            examples = random.Random(seed).sample(self.own[kind], count)
            start = perf_counter()
            lines = make(examples)
            found["seconds"].append(perf_counter() - start)
            hashes = np.sort(Lines.from_iterable(examples).hashes())
            found["near"].append(float(within_one_edit(lines, hashes, self.vocabulary.characters).mean()))
            found["fits"].append(statistics.mean(each == kind for each in self.kinds_of(lines)))
            found["plausible"].append(float((per_char(self.whole, self.vocabulary, lines) <= self.limit).mean()))
            found["lines"].append(len(lines))
            by_kind.setdefault(kind, []).append(found["fits"][-1])
        return {
            **{key: round(statistics.mean(values), 4) for key, values in found.items()},
            "fits_std": round(statistics.pstdev(found["fits"]), 4),
            "by_kind": {kind: round(statistics.mean(values), 4) for kind, values in by_kind.items()},
        }


def counted(
    vocabulary: wm.Vocabulary, lines: Sequence[str], weights: NDArray[np.int64] | None = None, order: int = ORDER
) -> Ngram:
    """Return an n-gram model of lines, each counted as often as its weight says."""
    model, tokens = (
        Ngram(len(vocabulary), NgramConfig(order=order)),
        vocabulary.encode_text("".join(f"{line}\n" for line in lines)),
    )
    repeated = None if weights is None else torch.from_numpy(np.repeat(weights, [len(line) + 1 for line in lines]))
    model.count(torch.from_numpy(tokens.astype(np.int64)), repeated)
    return model.eval()


def per_char(model: Model, vocabulary: wm.Vocabulary, lines: Sequence[str]) -> NDArray[np.float64]:
    """Return the nats per character of each line, (N,)."""
    return np.array([score.nats_per_char for score in wm.score(model, vocabulary, lines)])


def unchanged(world: World, examples: Sequence[str]) -> list[str]:
    """Draw from the model as it is."""
    return [sample.text for sample in world.draw(world.model, MADE)]


def reranked(world: World, examples: Sequence[str]) -> list[str]:
    """Draw 20 times as many, and keep those that n-grams of the examples favour the most."""
    own, pool = ([sample.text for sample in world.draw(world.model, n)] for n in (2_000, 20 * MADE))
    weights = np.array([1] * len(own) + [400 // len(examples)] * len(examples))
    with_them, without = (
        counted(world.vocabulary, [*own, *examples], weights, 3),
        counted(world.vocabulary, own, None, 3),
    )
    gains = per_char(with_them, world.vocabulary, pool) - per_char(without, world.vocabulary, pool)
    return [pool[number] for number in np.argsort(gains, kind="stable")[:MADE]]


def tuned(world: World, examples: Sequence[str]) -> list[str]:
    """Train a copy on the examples, while it keeps its predictions on lines that it drew."""
    copy = wm.build(world.kind, len(world.vocabulary), world.model.config, 0)
    copy.load_state_dict(world.model.state_dict())
    shown = LineRows(copy.eval(), world.vocabulary, examples, [""] * len(examples))
    own = [sample.text for sample in world.draw(world.model, 1_000)]
    optimizer = torch.optim.AdamW(copy.parameters(), lr=2e-3, weight_decay=0.0)
    for step in range(40):
        optimizer.param_groups[0]["lr"] = 2e-3 * (1 - step / 40)
        batch = random.Random(step).sample(own, 128)
        usual = LineRows(copy, world.vocabulary, batch, [""] * len(batch))
        with torch.no_grad():
            before = world.model(usual.inputs)[usual.inside].log_softmax(dim=1)
        after = copy(usual.inputs)[usual.inside].log_softmax(dim=1)
        loss = F.cross_entropy(copy(shown.inputs)[shown.inside], shown.targets)
        loss = loss + (before.exp() * (before - after)).sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [sample.text for sample in world.draw(copy, MADE)]


def adapted(world: World, examples: Sequence[str]) -> list[str]:
    """Draw from the adapted model."""
    return [sample.text for sample in world.draw(adapt(world.model, world.vocabulary, examples).model, MADE)]


def chosen(world: World, examples: Sequence[str]) -> list[str]:
    """Draw more lines from it, and choose."""
    found = adapt(world.model, world.vocabulary, examples)
    return [sample.text for sample in found.choose(world.draw(found.model, found.pool_size(MADE)), MADE)]


METHODS: dict[str, Callable[[World, Sequence[str]], list[str]]] = {
    "unchanged": unchanged,
    "reranked": reranked,
    "tuned": tuned,
    "adapted": adapted,
    "chosen": chosen,
}


if __name__ == "__main__":
    main()
