"""The share of the processor's matrix-product (GEMM) speed that a training reaches."""

from functools import partial
from statistics import median
from time import perf_counter, sleep

import numpy as np
import torch

from benchmarks.measurement import Measurement, seconds_of
from benchmarks.small_trees import backward
from wavemore.engine.batchers import WindowBatcher
from wavemore.engine.optimizer import Optimizers
from wavemore.engine.plan import plan
from wavemore.nn.layers import Linear
from wavemore.nn.models import build
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.nn.unique_plan import UniquePlan
from wavemore.text.line_corpus import LineCorpus

SIZES = (8_192, 4_096)
"""Batch sizes. Muon takes the same time for any batch, so the share grows with the batch."""
PEAK_SIZE = 2_048
"""Rows and columns of the matrices whose product is the peak."""


def gemm_peak(corpus: LineCorpus, repeats: int) -> Measurement:
    """Measure the share of the float32 matrix-product peak while training with hidden 256.

    Only the products of forward and backward are counted, not those of Muon; the time is that of whole steps.
    """
    trainings = [_training(corpus, hidden=256, batch_size=size) for size in SIZES]
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((PEAK_SIZE, PEAK_SIZE), dtype=np.float32) for _ in range(2))
    peaks: dict[str, list[float]] = {"torch": [], "numpy": []}
    products = {"torch": partial(torch.mm, torch.from_numpy(a), torch.from_numpy(b)), "numpy": partial(np.matmul, a, b)}
    for product in products.values():
        product()
    speeds: list[list[float]] = [[] for _ in SIZES]
    for _ in range(repeats):
        for name, product in products.items():
            peaks[name].append(2 * PEAK_SIZE**3 / seconds_of(product) / 1e9)
            sleep(0.1)  # the threads of a library keep spinning for a while, waiting for the next product
        for (model, batches, optimizers, size), speed in zip(trainings, speeds, strict=True):
            positions_of_steps = [random.choice(corpus.train.num_targets, size, replace=False) for _ in range(6)]
            flops = sum(_flops(model, batches.plan(positions)) for positions in positions_of_steps[1:])
            for step, positions in enumerate(positions_of_steps):
                if step == 1:  # the first step fills the caches, as in a training each step follows another
                    start = perf_counter()
                optimizers.zero_grad()
                backward(model, batches, positions)
                optimizers.step(1.0)
            speed.append(flops / (perf_counter() - start) / 1e9)
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
        detail="products of forward and backward only; peak: the faster of two libraries, float32, "
        f"{PEAK_SIZE:,} cubed, {', '.join(f'{name} {median(speed):.0f}' for name, speed in peaks.items())}; "
        f"batch {SIZES[0]:,} (with {SIZES[1]:,}: {100 * shares[1]:.0f} %)",
    )


def _flops(model: Tree, plan: UniquePlan) -> int:
    """Count the multiplications and additions in the products of a step: forward, and as many for each gradient."""
    linears = [layer for layer in model.layers if isinstance(layer, Linear)]
    rows = [sum(parts) / len(parts) for parts in plan.parts]  # each row is multiplied by the columns of one child
    pairs = zip(linears, [*rows, plan.children[-1].shape[1]], strict=True)
    return round(sum(3 * 2 * count * linear.weight.numel() for linear, count in pairs))


def _training(corpus: LineCorpus, hidden: int, batch_size: int) -> tuple[Tree, WindowBatcher, Optimizers, int]:
    """Build a model of the lecture's shape, its batches, its optimisers, and the batch size that the data allows."""
    config = TreeConfig(fuse=(2, 2, 2), embedding=24, hidden=hidden, activation="tanh")
    model = build("tree", len(corpus.vocabulary), config, seed=0).train()
    size = min(batch_size, corpus.train.num_targets)
    recipe = plan(corpus, batch_size=batch_size).recipe
    return model, WindowBatcher(corpus.train.tokens, model, "unique"), Optimizers(model, recipe), size
