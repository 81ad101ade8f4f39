"""How fast known lines near to others are found, and lists are ranked: `python -m benchmarks.nearest`.

A default tree draws all lines. A million known ones and the candidates are thus much alike, which is the hard case:
many share a part with each candidate. The baseline is a plain comparison of all pairs by rapidfuzz, for a few
candidates. The ranking is the whole command `wavemore score RUN FILE` for a long file, but for the start of Python and
the imports. Each figure is the median of interleaved repetitions, on one thread; the record is records/nearest.json.
"""

import argparse
import contextlib
import io
import json
import tempfile
import tracemalloc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from rapidfuzz.distance import Levenshtein
from rapidfuzz.process import cdist

import wavemore as wm
from wavemore.cli import main as main_of_wavemore
from wavemore.engine.threads import set_threads
from wavemore.runs.environment import environment
from wavemore.text.lines import Lines
from wavemore.text.nearest import Distinct, NearLines

RECORD = Path(__file__).resolve().parents[1] / "records" / "nearest.json"
SIZES = (30_000, 1_000_000)
CANDIDATES, RANKED = 10_000, 100_000
COMPARED = 64
"""Candidates of the baseline, compared at once, which is when rapidfuzz is fastest."""


def main() -> None:
    """Measure for lists of several sizes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.nearest", description="Search known lines by distance.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RECORD)
    arguments = parser.parse_args()
    set_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        _wavemore("train", "names", "--run", run, "--threads", "1")
        drawn = _drawn(run, max(SIZES) + CANDIDATES)
        file = Path(folder) / "ranked.txt"
        file.write_text("\n".join(drawn[:RANKED]) + "\n", encoding="utf-8")
        seconds = [_wavemore("score", run, str(file)) for _ in range(arguments.repeats + 1)][1:]
    ranking = {"ranked": RANKED, "seconds": median(seconds), "lines_per_second": RANKED / median(seconds)}
    print(json.dumps(ranking, indent=1), flush=True)
    record = {
        "command": f"python -m benchmarks.nearest --repeats {arguments.repeats}",
        "ranking": ranking,
        "rows": [_measure(drawn[:size], drawn[-CANDIDATES:], arguments.repeats) for size in SIZES],
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _wavemore(*words: str) -> float:
    """Run a command in this process, and return its seconds."""
    start = perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        assert main_of_wavemore(words) == 0
    return perf_counter() - start


def _drawn(run: str, count: int) -> list[str]:
    """Return distinct lines that a run has drawn."""
    found = wm.find_run(run)
    sampling = wm.Sampling(distinct=True, temperature=1.2, max_length=15)
    return [sample.text for sample in wm.generate(found.model(), found.vocabulary(), count, sampling)]


def _measure(known: list[str], candidates: list[str], repeats: int) -> dict[str, Any]:
    lines = Lines.from_iterable(known)
    lines.hashes()
    start = perf_counter()
    _indexed(lines, candidates)
    seconds = perf_counter() - start
    tracemalloc.start()  # makes it several times as slow
    near = _indexed(lines, candidates)
    held, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    tasks: dict[str, tuple[Callable[[], object], int]] = {
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


def _indexed(lines: Lines, candidates: list[str]) -> NearLines:
    near = NearLines(lines)
    near.within(candidates[:1], 1)
    return near


def _accepted(candidates: list[str], distance: int) -> int:
    distinct = Distinct(distance)
    return sum(map(distinct.accept, candidates))


def _compare(known: list[str], candidates: list[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    distances = cdist(candidates, known, scorer=Levenshtein.distance, score_cutoff=1, dtype=np.uint8)
    return np.asarray((distances <= 1).any(axis=1))


if __name__ == "__main__":
    main()
