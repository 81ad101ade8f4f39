"""The `unique` execution of a tree against `windows` and the lecture's layers: a training step, exact losses."""

from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import lecture
from benchmarks.measurement import Measurement, seconds_of
from benchmarks.small_trees import backward, briefly_trained
from wavemore.engine.batchers import WindowBatcher
from wavemore.engine.evaluate import evaluate
from wavemore.engine.recipe import Execution
from wavemore.text.line_corpus import LineCorpus

EXECUTIONS: tuple[Execution, Execution] = ("windows", "unique")
RUNS = (40, 1)
"""Steps of one side before the other side has its turn: many, as in a training, or one."""


def unique_step(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time forward and backward of 1,024 windows, planning included, against `windows` with the same layers."""
    return _step(corpus, repeats, "unique_step_ratio", "`windows`")


def unique_step_lecture(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time the same against the lecture's own layers with the same weights, which are slower than our `windows`."""
    return _step(corpus, repeats, "unique_step_lecture_ratio", "the lecture's layers")


def _step(corpus: LineCorpus, repeats: int, key: str, baseline: str) -> Measurement:
    model = briefly_trained(corpus, hidden=lecture.HIDDEN).train()
    loop = lecture.Lecture(corpus)
    loop.load(model)
    windows, unique = (WindowBatcher(corpus.train.tokens, model, execution) for execution in EXECUTIONS)
    random = np.random.default_rng(0)
    size = min(1_024, corpus.train.num_targets)

    def step(is_baseline: bool, positions: NDArray[np.int64]) -> None:
        if is_baseline and key == "unique_step_lecture_ratio":
            loop.backward(torch.from_numpy(positions))
        else:
            backward(model, windows if is_baseline else unique, positions)

    times: dict[tuple[int, bool], list[float]] = {(run, side): [] for run in RUNS for side in (True, False)}
    for run in RUNS * repeats:
        for _ in range(max(RUNS) // run):
            batches = [random.choice(corpus.train.num_targets, size, replace=False) for _ in range(run)]
            for side in (True, False):
                for positions in batches:
                    model.zero_grad()
                    times[run, side].append(1e3 * seconds_of(partial(step, side, positions)))
    ratios = {run: median(times[run, True]) / median(times[run, False]) for run in RUNS}
    return Measurement(
        key=key,
        what=f"forward + backward of {size:,} windows: `unique` against {baseline}",
        threads=torch.get_num_threads(),
        baseline=median(times[40, True]),
        measured=median(times[40, False]),
        unit="ms",
        ratio=ratios[40],
        detail="embedding 24, hidden 128, tanh, fuse 2 2 2; planning included; 40 steps of one side, then 40 of the "
        f"other, as a training keeps its execution (alternating every step, which empties the cache: {ratios[1]:.1f}x)",
    )


def unique_evaluate(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time the exact losses of train, val and test, n-gram tables included."""
    model = briefly_trained(corpus, hidden=lecture.HIDDEN)
    times: dict[Execution, list[float]] = {"windows": [], "unique": []}
    parts = (corpus.train, corpus.val, corpus.test)
    losses: dict[Execution, list[float]] = {"windows": [], "unique": []}
    for _ in range(repeats):
        for execution in EXECUTIONS:
            start = perf_counter()
            losses[execution] = [evaluate(model, part, execution=execution).nats for part in parts]
            times[execution].append(perf_counter() - start)
    gap = max(abs(a - b) for a, b in zip(losses["windows"], losses["unique"], strict=True))
    windows, unique = (1e3 * median(times[execution]) for execution in EXECUTIONS)
    return Measurement(
        key="unique_evaluate_ratio",
        what="exact losses of train, val and test: `unique` against `windows`",
        threads=torch.get_num_threads(),
        baseline=windows,
        measured=unique,
        unit="ms",
        ratio=windows / unique,
        detail=f"n-gram tables included; the losses differ by {gap:.0e}",
    )
