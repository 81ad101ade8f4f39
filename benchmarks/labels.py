"""Does a model of labelled words know the languages, and do its words look like the language that was asked for?

`python -m benchmarks.labels` trains on benchmarks/data/words.csv, common words of five languages, as `wavemore train
--label-column language` does, with each of some seeds, which also decide the split. It counts the test words whose
likeliest label is their own. Beside it is a naive Bayes classifier: wavemore's n-gram model of each language, counted
on the same train words. The same classifier reads new words that the model makes for each language. Writes
records/labels.json.
"""

import json
import statistics
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

import wavemore as wm
from wavemore.engine.defaults import suggested_temperature
from wavemore.engine.labels import recovery
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.runs.environment import environment
from wavemore.text.parts import LinePart

ROOT = Path(__file__).resolve().parents[1]
WORDS = ROOT / "benchmarks/data/words.csv"
RECORD = ROOT / "records/labels.json"
ORDER, SAMPLES = 3, 200
"""Characters that the n-gram models count together, and words that are made per language."""


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Measure how well labels are recovered, and how well samples fit their label."""

    seeds: int = 5
    """Trainings, each with a split of its own."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Labels, description=__doc__)
    set_threads(1)
    runs = []
    for seed in range(arguments.seeds):
        runs.append(measure(seed))
        print(json.dumps(runs[-1]), flush=True)
    figures = [key for key in runs[0] if isinstance(runs[0][key], float)]
    record = {
        "question": "Does a model of labelled words know the languages, and make words of the language asked for?",
        "command": "python -m benchmarks.labels",
        "labels": load(0).vocabulary.labels.names,
        "words": load(0).report.lines,
        "order": ORDER,
        "runs": runs,
        "mean": {key: statistics.mean(run[key] for run in runs) for key in figures},
        "std": {key: statistics.stdev(run[key] for run in runs) for key in figures},
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def load(seed: int) -> wm.LineCorpus:
    """Return the words in one of the splits."""
    return wm.load_corpus(WORDS, label_column="language", split_seed=seed)


def measure(seed: int) -> dict[str, Any]:
    """Train a model and count what it and the n-gram models recognise."""
    corpus = load(seed)
    plan, vocabulary, start = wm.plan(corpus, seed=seed), corpus.vocabulary, perf_counter()
    labels = vocabulary.labels
    model = wm.build(plan.model, len(vocabulary), plan.model_config, seed, num_labels=len(labels))
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    seconds = perf_counter() - start
    counted, found = NaiveBayes(corpus), recovery(model, corpus.test, vocabulary)
    assert found is not None
    assert corpus.test.labels is not None
    bayes = counted.classify(list(corpus.test.lines)) == corpus.test.labels.numbers
    return {
        "seed": seed,
        "model": plan.model,
        "test_words": found.lines,
        "recovered": found.recovered / found.lines,
        "bayes_recovered": float(bayes.mean()),
        "samples_fit": read(model, corpus, counted, seed),
        "test_nats": wm.evaluate(model, corpus.test).nats,
        "bayes_test_nats": counted.nats(corpus.test),
        "seconds": seconds,
    }


def read(model: Model, corpus: wm.LineCorpus, counted: "NaiveBayes", seed: int) -> float:
    """Return the fraction of new words, as many per language, that naive Bayes finds to be of their language."""
    fits = []
    for number, name in enumerate(corpus.vocabulary.labels.names):
        sampling = wm.Sampling(
            label=name, temperature=suggested_temperature(corpus), new=True, max_length=corpus.longest_line, seed=seed
        )
        samples = wm.generate(model, corpus.vocabulary, SAMPLES, sampling, corpus.line_hashes)
        fits.append(counted.classify([sample.text for sample in samples]) == number)
    return float(np.concatenate(fits).mean())


class NaiveBayes:
    """An n-gram model of each label, counted on its train words."""

    def __init__(self, corpus: wm.LineCorpus) -> None:
        self.vocabulary = wm.Vocabulary(corpus.vocabulary.characters)
        self.shares, self.models = corpus.vocabulary.labels.shares, list[Model]()
        assert corpus.train.labels is not None
        for number in range(len(self.shares)):
            words = corpus.train.lines.take(np.flatnonzero(corpus.train.labels.numbers == number))
            model = Ngram(len(self.vocabulary), NgramConfig(order=ORDER))
            model.count(torch.from_numpy(words.encode(self.vocabulary).astype(np.int64)))
            self.models.append(model.eval())

    def word_nats(self, words: list[str]) -> NDArray[np.float64]:
        """Return -log p of each word given each label, (K, N)."""
        return np.array([[s.nats for s in wm.score(model, self.vocabulary, words)] for model in self.models])

    def classify(self, words: list[str]) -> NDArray[np.int64]:
        """Return the number of each word's likeliest label, (N,)."""
        numbers: NDArray[np.int64] = np.argmax(np.log(self.shares)[:, None] - self.word_nats(words), axis=0)
        return numbers

    def nats(self, part: LinePart) -> float:
        """Return the mean nats per character of the words of a part, each given its label."""
        assert part.labels is not None
        own = np.take_along_axis(self.word_nats(list(part.lines)), part.labels.numbers[None].astype(np.int64), axis=0)
        return float(own.sum() / part.num_targets)


if __name__ == "__main__":
    main()
