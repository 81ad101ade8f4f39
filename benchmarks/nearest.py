"""How fast the known lines near to candidates are found: `python -m benchmarks.nearest`; writes records/nearest.json.

A tree draws the candidates. The known lines are a million others that it drew, so that both are much alike, which is
the hard case: many share a part with each candidate. The baseline is a plain comparison of all pairs by rapidfuzz,
for a few candidates. Each figure is the median of interleaved repetitions, on one thread.
"""

import argparse
import json
import tracemalloc
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.runs.environment import environment
from wavemore.text.lines import Lines
from wavemore.text.nearest import Distinct, NearLines

RECORD = Path(__file__).resolve().parents[1] / "records" / "nearest.json"
SIZES = (30_000, 1_000_000)
CANDIDATES = 10_000
COMPARED = 64
"""Candidates of the baseline, compared at once, which is when rapidfuzz is fastest."""


def main() -> None:
    """Measure for lists of several sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nearest", description="Search known lines by distance.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RECORD)
    arguments = parser.parse_args()
    set_threads(1)
    drawn = _drawn(max(SIZES) + CANDIDATES)
    rows = [_measure(drawn[:size], drawn[-CANDIDATES:], arguments.repeats) for size in SIZES]
    record = {
        "command": f"python -m benchmarks.nearest --repeats {arguments.repeats}",
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _drawn(count: int) -> list[str]:
    """Return distinct lines of a tree trained on the bundled names for an epoch."""
    corpus = wm.load_corpus("names")
    plan = wm.plan(corpus, epochs=1)
    model = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed=0)
    for _ in wm.fit(model, corpus, plan.recipe):
        pass
    sampling = wm.Sampling(distinct=True, temperature=1.2)
    return [sample.text for sample in wm.generate(model, corpus.vocabulary, count, sampling)]


def _measure(known: list[str], candidates: list[str], repeats: int) -> dict[str, Any]:
    lines = Lines.from_iterable(known)
    lines.hashes()
    tracemalloc.start()
    start = perf_counter()
    near = NearLines(lines)
    near.within(candidates[:1], 1)
    seconds = perf_counter() - start
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tasks = {
        "within_1": (lambda: near.within(candidates, 1), len(candidates)),
        "within_2": (lambda: near.within(candidates[:1_000], 2), 1_000),
        "nearest": (lambda: near.nearest(candidates[:1_000]), 1_000),
        "distinct_2": (lambda: _accepted(candidates, 2), len(candidates)),
        "all_pairs": (lambda: _compare(known, candidates[:COMPARED]), COMPARED),
    }
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repeats):
        for name, (task, _) in tasks.items():
            begin = perf_counter()
            task()
            times[name].append(perf_counter() - begin)
    row = {
        "known": len(known),
        "within_1_share": float(near.within(candidates, 1).mean()),
        "index_seconds": seconds,
        "index_megabytes": held / 1e6,
        "index_peak_megabytes": most / 1e6,
        **{f"{name}_per_second": count / median(times[name]) for name, (_, count) in tasks.items()},
    }
    print(json.dumps(row, indent=1), flush=True)
    return row


def _accepted(candidates: list[str], distance: int) -> int:
    distinct = Distinct(distance)
    return sum(map(distinct.accept, candidates))


def _compare(known: list[str], candidates: list[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    distances = cdist(candidates, known, scorer=Levenshtein.distance, score_cutoff=1, dtype=np.uint8)
    return np.asarray((distances <= 1).any(axis=1))


if __name__ == "__main__":
    main()
