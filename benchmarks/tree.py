"""Speed, as ratios against named baselines that run in the same process, in turn with what is measured.

Absolute times on a shared machine mean little; the ratio of two medians, taken in turns, holds. The baselines are the
lecture's own loops (`benchmarks/lecture.py`), the lecture's execution (`windows`), and for arithmetic a large matrix
product, measured on the spot.
"""

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from benchmarks import lecture
from benchmarks.measurement import Measurement, seconds_of
from benchmarks.rivals import time_to_makemore_val, time_to_nanogpt_val
from benchmarks.wavenet import receptive
from wavemore.engine.batches import WindowBatches
from wavemore.engine.evaluate import eval_mode, evaluate
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.plan import plan
from wavemore.engine.process import set_threads
from wavemore.engine.recipe import Execution, Recipe
from wavemore.engine.sampling import Sampling
from wavemore.nn.config import TreeConfig, WaveNetConfig
from wavemore.nn.layers import Linear
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.tree import Tree
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus

EXECUTIONS: tuple[Execution, Execution] = ("windows", "unique")

FAST = {
    "fuse": (2, 2, 2),
    "embedding": 24,
    "hidden": 128,
    "activation": "tanh",
    "batch_size": 3_072,
    "learning_rate": 0.06,
    "rest_learning_rate": 0.03,
    "weight_decay": 0.1,
    "average": 0.95,
    "epochs": 4,
    "evaluations": 1,
}
"""Settings of the race to the lecture's val loss, beside those of the plan."""


def time_to_lecture_val(corpus: Corpus, repeats: int) -> Measurement:
    """Training time to the lecture's val loss, for the lecture's model; evaluation does not count.

    The lecture's loop is timed over some thousand of its 200,000 steps, which are all alike.
    """
    baselines, times, vals = [], [], []
    loop = lecture.Lecture(corpus)
    steps = 1_000
    for seed in range(repeats):
        baselines.append(seconds_of(lambda: sum(1 for _ in loop.train(steps))) / steps * lecture.STEPS)
        chosen = plan(corpus, settings={**FAST, "seed": seed})
        model = build("tree", len(corpus.vocabulary), chosen.tree, seed)
        for progress in fit(model, corpus, chosen.recipe):
            last = progress
        times.append(last.seconds)
        vals.append(last.best_val_nats)
    reached = all(val <= lecture.VAL_NATS for val in vals)
    return Measurement(
        key="time_to_lecture_val_ratio",
        what=f"training to val {lecture.VAL_NATS}, against the lecture's loop",
        threads=torch.get_num_threads(),
        baseline=median(baselines),
        measured=median(times),
        unit="s",
        ratio=median(baselines) / median(times) if reached else None,
        detail=f"val {', '.join(f'{val:.4f}' for val in vals)} (seeds 0 to {repeats - 1}); "
        f"the loop's time is that of {repeats} x {steps:,} steps, for {lecture.STEPS:,}",
    )


def unique_step(corpus: Corpus, repeats: int) -> Measurement:
    """Forward and backward of 1,024 windows, planning included, against `windows` with the same fast layers."""
    return _step(corpus, repeats, "unique_step_ratio", "`windows`")


def unique_step_lecture(corpus: Corpus, repeats: int) -> Measurement:
    """The same against the lecture's own layers with the same weights, which are slower than wavemore's `windows`."""
    return _step(corpus, repeats, "unique_step_lecture_ratio", "the lecture's layers")


def _step(corpus: Corpus, repeats: int, key: str, baseline: str) -> Measurement:
    model = _model(corpus, hidden=lecture.HIDDEN).train()
    loop = lecture.Lecture(corpus)
    loop.load(model)
    windows, unique = (WindowBatches(corpus.train.tokens, model, execution) for execution in EXECUTIONS)
    random = np.random.default_rng(0)
    size = min(1_024, corpus.train.targets)

    def step(slow: bool, positions: NDArray[np.int64]) -> None:
        if slow and key != "unique_step_ratio":
            loop.backward(torch.from_numpy(positions))
        else:
            _backward(model, windows if slow else unique, positions)

    times: dict[tuple[int, bool], list[float]] = {(turn, slow): [] for turn in (1, 40) for slow in (True, False)}
    for turn in (40, 1) * repeats:
        for _ in range(40 // turn):
            chosen = [random.choice(corpus.train.targets, size, replace=False) for _ in range(turn)]
            for which in (True, False):
                for positions in chosen:
                    model.zero_grad()
                    times[turn, which].append(1e3 * seconds_of(partial(step, which, positions)))
    ratios = {turn: median(times[turn, True]) / median(times[turn, False]) for turn in (1, 40)}
    return Measurement(
        key=key,
        what=f"forward + backward of {size:,} windows: `unique` against {baseline}",
        threads=torch.get_num_threads(),
        baseline=median(times[40, True]),
        measured=median(times[40, False]),
        unit="ms",
        ratio=ratios[40],
        detail="embedding 24, hidden 128, tanh, fuse 2 2 2; planning included; in turns of forty steps, as a training "
        f"keeps its execution (in turns of one, which empty the cache for each other: {ratios[1]:.1f}x)",
    )


def unique_evaluate(corpus: Corpus, repeats: int) -> Measurement:
    """Exact losses of train, val and test, tables included."""
    model = _model(corpus, hidden=lecture.HIDDEN)
    times: dict[Execution, list[float]] = {"windows": [], "unique": []}
    parts = (corpus.train, corpus.val, corpus.test)
    losses: dict[Execution, list[float]] = {"windows": [], "unique": []}
    for _ in range(repeats):
        for execution in EXECUTIONS:
            began = perf_counter()
            losses[execution] = [evaluate(model, part, execution=execution).nats for part in parts]
            times[execution].append(perf_counter() - began)
    apart = max(abs(a - b) for a, b in zip(losses["windows"], losses["unique"], strict=True))
    windows, unique = (1e3 * median(times[execution]) for execution in EXECUTIONS)
    return Measurement(
        key="unique_evaluate_ratio",
        what="exact losses of train, val and test: `unique` against `windows`",
        threads=torch.get_num_threads(),
        baseline=windows,
        measured=unique,
        unit="ms",
        ratio=windows / unique,
        detail=f"tables included; the losses differ by {apart:.0e}",
    )


def sampling(corpus: Corpus, repeats: int) -> Measurement:
    """New names a second, against the lecture's loop with the same weights."""
    model = _model(corpus, hidden=lecture.HIDDEN, epochs=2)
    loop = lecture.Lecture(corpus)
    loop.load(model)
    known = set(corpus.train.lines) | set(corpus.val.lines) | set(corpus.test.lines)
    slow, fast = [], []
    for seed in range(repeats):
        began = perf_counter()
        fresh = sum(name not in known for name in loop.sample(200))
        slow.append(fresh / (perf_counter() - began))
        began = perf_counter()
        settings = Sampling(max_length=corpus.report.longest, seed=seed)
        fresh = sum(s.new for s in generate(model, corpus.vocabulary, 30_000, settings, corpus.line_hashes))
        fast.append(fresh / (perf_counter() - began))
    return Measurement(
        key="sampling_ratio",
        what="new names a second, against the lecture's sampling loop",
        threads=torch.get_num_threads(),
        baseline=median(slow),
        measured=median(fast),
        unit="names/s",
        ratio=median(fast) / median(slow),
        detail=f"{repeats} x 200 names against {repeats} x 30,000, the same weights",
    )


def streaming(corpus: Corpus, repeats: int) -> Measurement:
    """A WaveNet's characters one by one: with what each block has kept, against whole contexts again each time."""
    fields = tuple(2**power for power in range(3, 11))
    cases = [(count, field) for count in (1, TEXTS) for field in fields]
    models = {field: _wavenet(corpus, field) for field in fields}
    fast: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    slow: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    random = torch.Generator().manual_seed(0)
    texts = torch.randint(1, len(corpus.vocabulary), (TEXTS, fields[-1] + 64), generator=random)
    apart = 0.0
    for _ in range(repeats):
        for count, field in cases:
            model, some = models[field], texts[:count]
            with eval_mode(model):
                stream = model.stream(count)
                for characters in some.T[-field - 64 : -64]:  # until all rings are full
                    stream.step(characters)
                for characters in some.T[-64:]:
                    fast[count, field].append(1e3 * seconds_of(partial(stream.step, characters)))
                for _ in range(5):
                    slow[count, field].append(1e3 * seconds_of(partial(model, some[:, -field:])))
                apart = max(apart, float((model(some[:, -field:])[:, -1] - stream.logits).abs().max()))
    ratios = {case: median(slow[case]) / median(fast[case]) for case in cases}
    alone, together = (", ".join(f"{field:,}: {ratios[count, field]:.1f}x" for field in fields) for count in (1, TEXTS))
    longest = (1, fields[-1])
    return Measurement(
        key="stream_ratio",
        what=f"next character of a text, WaveNet that sees {fields[-1]:,}: cached against whole contexts",
        threads=torch.get_num_threads(),
        baseline=median(slow[longest]),
        measured=median(fast[longest]),
        unit="ms",
        ratio=ratios[longest],
        detail=f"receptive field {alone}; {TEXTS} texts at once {together}; "
        f"cached {median(fast[1, fields[0]]):.2f} to {median(fast[longest]):.2f} ms; channels 64; "
        f"the logits differ by {apart:.0e}",
    )


TEXTS = 16


def _wavenet(corpus: Corpus, receptive_field: int) -> Model:
    """One cycle of dilations 1, 2, 4, ..., which doubles the receptive field with every block."""
    dilations = tuple(2**block for block in range(receptive_field.bit_length() - 1))
    return build("wavenet", len(corpus.vocabulary), WaveNetConfig(channels=64, dilations=dilations), seed=0)


def gemm_peak(corpus: Corpus, repeats: int) -> Measurement:
    """Share of the float32 matrix-product peak that training of hidden 256 reaches.

    Counted are the products of forward and backward alone, not those of Muon; the time is that of whole steps. Muon
    takes the same time whatever the batch, so the share grows with it: two sizes are measured.
    """
    sizes = (8_192, 4_096)
    trainings = [_training(corpus, hidden=256, batch_size=size) for size in sizes]
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((2_048, 2_048), dtype=np.float32) for _ in range(2))
    peaks: dict[str, list[float]] = {"torch": [], "numpy": []}
    products = {"torch": partial(torch.mm, torch.from_numpy(a), torch.from_numpy(b)), "numpy": partial(np.matmul, a, b)}
    for product in products.values():
        product()
    speeds: list[list[float]] = [[] for _ in sizes]
    for _ in range(repeats):
        for name, product in products.items():
            peaks[name].append(2 * 2_048**3 / seconds_of(product) / 1e9)
            sleep(0.1)  # the threads of a library go on for some time, in wait for the next product
        for (model, batches, optimizers, size), speed in zip(trainings, speeds, strict=True):
            picked = [random.choice(corpus.train.targets, size, replace=False) for _ in range(6)]
            flops = sum(_products(model, batches.plan(positions)) for positions in picked[1:])
            for step, positions in enumerate(picked):
                if step == 1:  # the first one fills the caches, as training is one step after the other
                    began = perf_counter()
                optimizers.zero_grad()
                _backward(model, batches, positions)
                optimizers.step(step)
            speed.append(flops / (perf_counter() - began) / 1e9)
    best = max(peaks, key=lambda name: median(peaks[name]))
    shares = [median(speed) / median(peaks[best]) for speed in speeds]
    return Measurement(
        key="gemm_peak_share",
        what="share of the GEMM peak while training hidden 256",
        threads=torch.get_num_threads(),
        baseline=median(peaks[best]),
        measured=median(speeds[0]),
        unit="GFLOP/s",
        ratio=shares[0],
        detail="products of forward and backward only; peak: the better one of two libraries, float32, "
        f"2,048 x 2,048 x 2,048, {', '.join(f'{name} {median(speed):.0f}' for name, speed in peaks.items())}; "
        f"batch {sizes[0]:,} (with {sizes[1]:,}: {100 * shares[1]:.0f} %)",
    )


def _products(model: Tree, plan: UniquePlan) -> int:
    """Multiplications and additions in the products of a step: forward, and as many for either gradient."""
    linears = [layer for layer in model.layers if isinstance(layer, Linear)]
    rows = [sum(parts) / len(parts) for parts in plan.parts]  # each with one of the children of a Linear
    pairs = zip(linears, [*rows, plan.children[-1].shape[1]], strict=True)
    return round(sum(3 * 2 * count * linear.weight.numel() for linear, count in pairs))


def _training(corpus: Corpus, hidden: int, batch_size: int) -> tuple[Tree, WindowBatches, Optimizers, int]:
    """What a training step of the lecture's shape takes."""
    shape = {"fuse": (2, 2, 2), "embedding": 24, "hidden": hidden, "activation": "tanh"}
    chosen = plan(corpus, settings={**shape, "batch_size": batch_size})
    model = build("tree", len(corpus.vocabulary), chosen.tree, seed=0).train()
    size = min(batch_size, corpus.train.targets)
    return model, WindowBatches(corpus.train.tokens, model, "unique"), Optimizers(model, chosen.recipe), size


def cold_start(corpus: Corpus, repeats: int) -> Measurement:
    """`wavemore train` on the bundled names, the whole process; the baseline is an empty Python with torch."""
    empty, whole = [], []
    for _ in range(repeats):
        empty.append(_process("-c", "import torch"))
        with tempfile.TemporaryDirectory() as folder:
            run = str(Path(folder) / "run")
            whole.append(_process("-m", "wavemore", "train", "--run", run, "--threads", str(torch.get_num_threads())))
    return Measurement(
        key="cold_start_seconds",
        what="`wavemore train`: from the command to samples",
        threads=torch.get_num_threads(),
        baseline=median(empty),
        measured=median(whole),
        unit="s",
        ratio=None,
        detail="whole process, bundled names, no flags; the baseline is `python -c 'import torch'`",
    )


MEASURES: dict[str, Callable[[Corpus, int], Measurement]] = {
    "time_to_lecture_val_ratio": time_to_lecture_val,
    "unique_step_ratio": unique_step,
    "unique_step_lecture_ratio": unique_step_lecture,
    "unique_evaluate_ratio": unique_evaluate,
    "sampling_ratio": sampling,
    "stream_ratio": streaming,
    "wavenet_receptive": receptive,
    "gemm_peak_share": gemm_peak,
    "cold_start_seconds": cold_start,
    "transformer_ratio": time_to_makemore_val,
}

TEXT_MEASURES: dict[str, Callable[[TextStream, int], Measurement]] = {"wavenet_text_ratio": time_to_nanogpt_val}
"""The same of continuous text."""

USUAL = tuple(key for key in MEASURES if key != "transformer_ratio")
"""What is measured where nothing is named: without those that train a rival whole, minutes each."""


def bench(
    corpus: Corpus, keys: Sequence[str], threads: Sequence[int], repeats: int, text: TextStream | None = None
) -> Iterator[Measurement]:
    """Measure what is named, for each number of threads; what is measured on a text needs one."""
    before = torch.get_num_threads()
    try:
        for key in keys:
            for number in threads:
                set_threads(number)
                if key in TEXT_MEASURES:
                    assert text is not None, f"{key} needs a text"
                    yield TEXT_MEASURES[key](text, repeats)
                else:
                    yield MEASURES[key](corpus, repeats)
    finally:
        set_threads(before)


def _model(corpus: Corpus, hidden: int, epochs: float = 0.2) -> Tree:
    """A model of the lecture's shape that was trained a little, in eval mode."""
    recipe = Recipe(batch_size=1_024, steps=max(1, round(epochs * corpus.train.targets / 1_024)), evaluations=1)
    model = build("tree", len(corpus.vocabulary), TreeConfig(hidden=hidden), seed=0)
    for _ in fit(model, corpus, replace(recipe, seed=0)):
        pass
    return model.eval()


def _backward(model: Tree, batches: WindowBatches, positions: np.ndarray) -> None:
    """Forward and backward; who wants no gradients added up forgets those of the step before."""
    F.cross_entropy(batches.logits(positions), batches.targets(positions)).backward()  # type: ignore[no-untyped-call]


def _process(*words: str) -> float:
    return seconds_of(lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True))
