"""How fast are lines that meet wishes made, and are they as likely as those that are drawn until they fit?

`python -m benchmarks.wishes --data names.txt` trains the default model of a list. For each case of wishes it draws
lines without wishes and keeps those that meet them: the reference. The nats of lines with wishes are compared with
theirs. Then the time until 50 distinct new lines are there is measured, with wishes and by drawing until they fit,
interleaved. Writes records/wishes.json.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean, median, stdev
from time import perf_counter
from typing import Any

import numpy as np
import tyro
from numpy.typing import NDArray

import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.nn.model import Model
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records/wishes.json"
WANTED = 50
CASES: tuple[dict[str, Any], ...] = (
    {"suffix": "la", "contains": ("ber",), "match": "[a-m].*"},
    {"suffix": "ette", "contains": ("ri",), "match": "[a-j].*"},
    {"prefix": "st", "suffix": "a", "match": "..[aeiou].*[aeiou]n."},
    {"suffix": "ton"},
    {"contains": ("mar", "lyn")},
    {"min_length": 10, "suffix": "a"},
    {"without": ("a", "e"), "match": "(?:[^aeiouy][aeiouy])+"},
)
"""The rates are from one in a few dozen to one in tens of thousands of lines."""


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Measure lines with wishes."""

    data: Path
    """A list; the cases are for names."""
    reference: int = 400
    """Lines of the reference per case."""
    repeats: int = 3
    """Times of each side."""
    output: Path = RECORD
    """File of the record."""


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Wishes, description=__doc__)
    set_threads(1)
    corpus = wm.load_corpus(arguments.data)
    plan = wm.plan(corpus)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, plan.recipe.seed)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    known = np.sort(corpus.line_hashes)
    cases = []
    for wishes in CASES:
        sampling = wm.Sampling(max_length=corpus.longest_line, **wishes)
        cases.append({"wishes": wishes, **measure(model.eval(), corpus, sampling, known, arguments)})
        print(json.dumps(cases[-1]), flush=True)
    record = {
        "question": "How fast are lines that meet wishes made, and are they as likely as those drawn until they fit?",
        "command": f"python -m benchmarks.wishes --data {arguments.data.name}",
        "lines": len(corpus.train.lines),
        "cases": cases,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(
    model: Model, corpus: wm.LineCorpus, sampling: wm.Sampling, known: NDArray[np.uint64], arguments: Wishes
) -> dict[str, Any]:
    """Compare the nats and the times of one case."""
    drawn, reference = 0, list[float]()
    for sample, count in fitting(model, corpus, sampling, known, seed=1_000):
        drawn = count
        reference.append(sample.nats)
        if len(reference) == arguments.reference:
            break
    steered = [sample.nats for sample in wm.generate(model, corpus.vocabulary, 4_000, replace(sampling, seed=1), known)]
    times: dict[str, list[float]] = {"wishes": [], "rejection": []}
    for seed in range(arguments.repeats):
        wanted = replace(sampling, seed=seed, new=True, distinct=True)
        start = perf_counter()
        made = list(wm.generate(model, corpus.vocabulary, WANTED, wanted, known))
        times["wishes"].append(perf_counter() - start)
        assert len(made) == WANTED
        start, texts = perf_counter(), set[str]()
        for sample, _ in fitting(model, corpus, sampling, known, seed):
            if sample.new:
                texts.add(sample.text)
            if len(texts) == WANTED:
                break
        times["rejection"].append(perf_counter() - start)
    seconds = {side: median(values) for side, values in times.items()}
    return {
        "rate": len(reference) / drawn,
        "reference_nats": fmean(reference),
        "reference_error": stdev(reference) / len(reference) ** 0.5,
        "nats": fmean(steered),
        "error": stdev(steered) / len(steered) ** 0.5,
        "nats_ratio": fmean(steered) / fmean(reference),
        "seconds": seconds["wishes"],
        "rejection_seconds": seconds["rejection"],
        "speedup": seconds["rejection"] / seconds["wishes"],
    }


def fitting(
    model: Model, corpus: wm.LineCorpus, sampling: wm.Sampling, known: NDArray[np.uint64], seed: int
) -> Iterator[tuple[wm.Sample, int]]:
    """Draw lines without wishes; yield those that meet them, and how many were drawn so far."""
    free = wm.Sampling(max_length=sampling.max_length, seed=seed)
    pattern = re.compile(sampling.match) if sampling.match else None
    for count, sample in enumerate(wm.generate(model, corpus.vocabulary, 10**9, free, known), start=1):
        text = sample.text
        if (
            text.startswith(sampling.prefix)
            and text.endswith(sampling.suffix)
            and all(part in text for part in sampling.contains)
            and not any(part in text for part in sampling.without)
            and len(text) >= sampling.min_length
            and (pattern is None or pattern.fullmatch(text))
        ):
            yield sample, count


if __name__ == "__main__":
    main()
