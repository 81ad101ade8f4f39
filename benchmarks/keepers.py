"""Which lines should `wavemore sample` show without flags: at which temperature, and which of those that were drawn?

`python -m benchmarks.keepers --molecules FILE` draws lists of several kinds and sizes, trains the default model on
each, and keeps 20 new lines at a time by some rules. All other items of the kind, which the model has never seen, are
the judge: an n-gram model of them reads the lines, and the lines are compared with them. The rule was chosen by the
lists in `TUNING`; the others only confirm it. Of the bundled names, the test part is left out.

plausible  lines that the judge finds at least as likely per character as the least likely twentieth of real ones
real       lines within one edit of a real one that the model has not seen
apart      mean edit distance between two of the 20 lines
begin, end distinct first letters, and distinct last two letters, of the 20 lines
length     mean length of the lines

The last four are over those of 20 real lines. Writes records/keepers.json.
"""

import gzip
import itertools
import json
import random
import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from tyro.conf import arg

import wavemore as wm
from benchmarks.carry_over import read
from benchmarks.small_lists import train
from wavemore.engine.defaults import suggested_temperature
from wavemore.engine.evaluate import part_losses
from wavemore.engine.ranked import nats_per_char
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.runs.environment import environment
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit

ROOT = Path(__file__).resolve().parents[1]
RECORD = ROOT / "records/keepers.json"
TUNING = ("names of Italy", "towns of Germany", "English words", "names of the USA")
"""Kinds of lists that the rule is chosen by."""
SIZES, LEAST_OTHERS = (150, 1_000, 10_000), 300
"""Lines of the lists, and of the judge at least."""
TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6)
KEPT, GROUPS, FACTORS = 20, 12, (1, 2, 4, 8)
"""Lines that are kept at a time, how many times, and how many are drawn for each of them."""

Numbers = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Keepers:
    """Measure rules for the lines that are shown."""

    molecules: Annotated[Path | None, arg(metavar="FILE")] = None
    """Molecules as SMILES, one per line, compressed by gzip; without it, they are left out."""
    kinds: tuple[str, ...] = ()
    """Kinds of lists (default: all)."""
    seeds: int = 3
    """Lists per kind and size, with one training each."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Keepers, description=__doc__)
    set_threads(1)
    rows = []
    for kind, items in lists(arguments.molecules):
        for size in SIZES:
            if len(items) >= size + LEAST_OTHERS and (kind in arguments.kinds or not arguments.kinds):
                rows.append({"kind": kind, "lines": size, "rules": measure(items, size, arguments.seeds)})
                print(json.dumps(rows[-1]), flush=True)
    record = {
        "question": "Which lines should `wavemore sample` show without flags?",
        "command": "python -m benchmarks.keepers --molecules FILE",
        "seeds": list(range(arguments.seeds)),
        "tuning": TUNING,
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    # The figures of a rule stand on one line.
    text = re.sub(r"\{[^{}]*\}", lambda figures: " ".join(figures[0].split()), json.dumps(record, indent=1))
    arguments.output.write_text(text + "\n", encoding="utf-8")


def lists(molecules: Path | None) -> Iterator[tuple[str, list[str]]]:
    """Yield the kinds of lists with all their items."""
    usa = wm.load_corpus("names")
    yield "names of Italy", read("italy-names")
    yield "towns of Germany", read("germany-towns")
    yield "English words", words("English")
    yield "names of the USA", [*usa.train.lines, *usa.val.lines]
    yield "names of Finland", read("finland-names")
    yield "Hungarian words", words("Hungarian")
    yield "products", products()
    if molecules is not None:
        with gzip.open(molecules, "rt", encoding="utf-8") as file:
            yield "molecules", [line.strip() for line in itertools.islice(file, 20_000)]


def words(language: str) -> list[str]:
    """Return the words of a language in benchmarks/data/."""
    rows = (ROOT / "benchmarks/data/words.csv").read_text(encoding="utf-8").splitlines()
    return [row.removesuffix(f",{language}").lower() for row in rows if row.endswith(f",{language}")]


BRANDS = itertools.product(["Vel", "Tro", "Kan", "Lumi", "Bra", "Sor", "Nor", "Ari"], ["ora", "vik", "ano", "ex", "ia"])
COLOURS = ["Red", "Oak", "Steel", "White", "Black", "Soft", "", "", ""]
THINGS = ["Lamp", "Chair", "Desk", "Shelf", "Mug", "Kettle", "Clock", "Rug", "Bed", "Sofa", "Fan", "Mirror", "Basket"]
VARIANTS = ["XL", "S", "M", "Mini", "Pro", "Plus", "100", "200", "300", "450", "", ""]


def products() -> list[str]:
    """Return names of products, made by a grammar: a brand, perhaps a colour, what it is, perhaps a variant."""
    parts = [["".join(brand) for brand in BRANDS], COLOURS, THINGS, VARIANTS]
    return sorted({" ".join(filter(None, chosen)) for chosen in itertools.product(*parts)})


def measure(items: list[str], size: int, seeds: int) -> dict[str, dict[str, float]]:
    """Return the mean figures of all rules over lists of a size."""
    found: dict[str, dict[str, list[float]]] = {}
    for seed in range(seeds):
        drawn = random.Random(seed).sample(items, len(items))
        for rule, figures in figures_of(drawn[:size], Judge(drawn[:size], drawn[size:]), seed):
            for key, value in figures.items():
                found.setdefault(rule, {}).setdefault(key, []).append(value)
    return {
        rule: {key: round(statistics.mean(values), 4) for key, values in figures.items()}
        | {f"{key}_std": round(statistics.pstdev(figures[key]), 4) for key in ("plausible", "real")}
        for rule, figures in found.items()
    }


def figures_of(lines: list[str], judge: "Judge", seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """Train on a list, and yield the figures of real items and of each rule."""
    corpus = wm.LineCorpus.from_lines(lines, vocabulary=judge.vocabulary, split_seed=seed)
    model = train(corpus, {"seed": seed})
    percentiles = part_losses(model, corpus.val).percentiles
    yield "real items", judge.figures(judge.own, judge.own_groups) | {"suggested": suggested_temperature(corpus)}
    for temperature in TEMPERATURES:
        pool = judge.draw(model, corpus, percentiles, temperature)
        count = len(pool.texts) // (GROUPS * max(FACTORS))
        for factor, (name, rule) in itertools.product(FACTORS, RULES.items()):
            size = count * (max(FACTORS) if name in FILTERS else factor)
            if (factor == 1) == (name in ("first", *FILTERS)):
                groups = np.arange(GROUPS * size).reshape(GROUPS, size)
                yield f"{temperature:g}, {name}, {factor}", judge.figures(pool, [rule(pool, group) for group in groups])


class Pool:
    """Lines that were drawn, (N,), and what the judge finds of them."""

    def __init__(self, texts: Sequence[str], nats: NDArray[np.float64], percentiles: Sequence[float]) -> None:
        """The nats are those per character, the percentiles those of the val lines."""
        self.texts, self.percentiles = texts, percentiles
        self.nats = nats
        self.plausible, self.real = np.zeros(len(texts), np.bool_), np.zeros(len(texts), np.bool_)


def first(pool: Pool, group: Numbers) -> Numbers:
    """Keep all of them."""
    return group


def best(pool: Pool, group: Numbers) -> Numbers:
    """Keep the likeliest ones."""
    return group[np.argsort(pool.nats[group], kind="stable")[:KEPT]]


def typical(pool: Pool, group: Numbers) -> Numbers:
    """Keep those that are nearest to the middle of the val lines."""
    return group[np.argsort(np.abs(pool.nats[group] - pool.percentiles[50]), kind="stable")[:KEPT]]


def best_in_turn(pool: Pool, group: Numbers) -> Numbers:
    """Keep the likeliest of each few in a row."""
    return _best_of(group, pool.nats)


def best_neighbour(pool: Pool, group: Numbers) -> Numbers:
    """Keep the likeliest of each few that follow each other in the alphabet."""
    return _best_of(group[np.argsort([pool.texts[number] for number in group], kind="stable")], pool.nats)


def best_by_quotas(pool: Pool, group: Numbers) -> Numbers:
    """Keep the likeliest ones, but no more with one beginning or one ending than the drawn lines have."""
    beginnings, endings = ([pool.texts[number][part] for number in group] for part in (slice(1), slice(-2, None)))
    most = [
        {key: ceil(KEPT * count / len(group)) for key, count in Counter(keys).items()} for keys in (beginnings, endings)
    ]
    kept, rest = [], []
    for place in np.argsort(pool.nats[group], kind="stable"):
        begin, end = beginnings[place], endings[place]
        if most[0][begin] and most[1][end]:
            most[0][begin] -= 1
            most[1][end] -= 1
            kept.append(group[place])
        else:
            rest.append(group[place])
    return np.array([*kept, *rest][:KEPT])


def _best_of(order: Numbers, nats: NDArray[np.float64]) -> Numbers:
    """Return the lowest of each of `KEPT` groups."""
    return np.array([group[np.argmin(nats[group])] for group in np.array_split(order, KEPT) if len(group)])


def likelier_than(percentile: int) -> Callable[[Pool, Numbers], Numbers]:
    """Keep the first ones that are likelier than some of the val lines."""
    return lambda pool, group: group[pool.nats[group] <= pool.percentiles[percentile]][:KEPT]


FILTERS = ("likelier than a quarter of val", "likelier than half of val")
RULES: dict[str, Callable[[Pool, Numbers], Numbers]] = {
    "first": first,
    "best": best,
    "typical": typical,
    "best in turn": best_in_turn,
    "best neighbour": best_neighbour,
    "best by quotas": best_by_quotas,
    FILTERS[0]: likelier_than(75),
    FILTERS[1]: likelier_than(50),
}


class Judge:
    """All items of a kind that the model has not seen."""

    def __init__(self, seen: list[str], others: list[str]) -> None:
        self.vocabulary = wm.Vocabulary({*"".join(seen), *"".join(others)})
        corpus = wm.LineCorpus.from_lines(others, vocabulary=self.vocabulary, split_method="lecture")
        self.model = train(corpus, {"model": "ngram", "order": 6})
        self.hashes = np.sort(Lines.from_iterable(others).hashes())
        nats = self.nats(seen)
        self.limit = float(np.quantile(nats, 0.95))
        self.own = self.read(Pool(seen, nats, ()))
        self.own_groups = np.arange(min(GROUPS, len(seen) // KEPT) * KEPT).reshape(-1, KEPT)
        self.usual = dict.fromkeys(("apart", "begin", "end", "length"), 1.0)
        self.usual = {key: self.figures(self.own, self.own_groups)[key] for key in self.usual}

    def nats(self, lines: Sequence[str]) -> NDArray[np.float64]:
        """Return the nats per character of each line, (N,)."""
        return np.array([score.nats_per_char for score in wm.score(self.model, self.vocabulary, lines)])

    def draw(self, model: Model, corpus: wm.LineCorpus, percentiles: Sequence[float], temperature: float) -> Pool:
        """Draw new lines and read them."""
        sampling = wm.Sampling(temperature, new=True, distinct=True, seed=1, max_length=corpus.longest_line)
        most = GROUPS * KEPT * max(FACTORS)
        drawn = list(wm.generate(model, corpus.vocabulary, most, sampling, corpus.line_hashes))
        nats = np.array([nats_per_char(sample) for sample in drawn])
        return self.read(Pool([sample.text for sample in drawn], nats, percentiles))

    def read(self, pool: Pool) -> Pool:
        """Note which lines are plausible, and which are within one edit of a real one."""
        pool.plausible = self.nats(pool.texts) <= self.limit
        pool.real = within_one_edit(pool.texts, self.hashes, self.vocabulary.characters)
        return pool

    def figures(self, pool: Pool, groups: Sequence[Numbers] | Numbers) -> dict[str, float]:
        """Return the figures of some lines of a pool, (K,) of each group; those of a group are shown together."""
        found: dict[str, list[float]] = {}
        for group in groups:
            texts = [pool.texts[number] for number in group]
            figures = {
                "plausible": pool.plausible[group].mean(),
                "real": pool.real[group].mean(),
                "apart": statistics.mean(Levenshtein.distance(*pair) for pair in itertools.combinations(texts, 2)),
                "begin": len({text[0] for text in texts}),
                "end": len({text[-2:] for text in texts}),
                "length": statistics.mean(map(len, texts)),
            }
            for key, value in figures.items():
                found.setdefault(key, []).append(float(value) / self.usual.get(key, 1.0))
        return {key: statistics.mean(values) for key, values in found.items()}


if __name__ == "__main__":
    main()
