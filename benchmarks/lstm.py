"""Speed of an LSTM of hidden 384 on a list: training steps and new lines, and what sharing beginnings gains."""

from collections.abc import Iterator
from functools import partial
from statistics import median
from time import perf_counter

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks.measurement import Measurement, seconds_of
from wavemore.engine.batchers import LineBatcher
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.prefixes import prefix_plan
from wavemore.engine.recipe import Precision, Recipe
from wavemore.engine.sampling import Sampling
from wavemore.engine.step_record import StepRecord
from wavemore.nn.models import build
from wavemore.nn.recurrent import Recurrent, RecurrentConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.vocabulary import BOUNDARY

BATCH_SIZE, STEPS, LINES = 2_048, 5, 3_000
"""Characters per step, steps that each side takes in turn, and lines that are drawn."""


def lstm_training(corpus: LineCorpus, repeats: int) -> Measurement:
    """Count characters per second in whole training steps, in float32 and in bfloat16, which lists are trained in."""
    trainings = {
        "torch": _training(_by_torch(_model(corpus)), corpus, "float32"),
        "float32": _training(_model(corpus), corpus, "float32"),
        "bfloat16": _training(_model(corpus), corpus, "bfloat16"),
    }
    for training in trainings.values():
        next(training)  # the first step allocates memory
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(repeats):
        for name, training in trainings.items():
            seconds[name] += [seconds_of(partial(next, training)) for _ in range(STEPS)]
    speed = {name: min(BATCH_SIZE, corpus.train.num_targets) / median(times) for name, times in seconds.items()}
    return Measurement(
        key="lstm_training_ratio",
        what="training an LSTM of hidden 384 on a list, against torch's layer",
        threads=torch.get_num_threads(),
        baseline=speed["torch"],
        measured=speed["bfloat16"],
        unit="chars/s",
        ratio=speed["bfloat16"] / speed["torch"],
        detail=f"whole steps of {BATCH_SIZE:,} characters with Muon; torch's layer computes all lines in float32, ours "
        f"each distinct beginning, in bfloat16 (in float32: {speed['float32'] / speed['torch']:.1f}x)",
    )


def lstm_sharing(corpus: LineCorpus, repeats: int) -> Measurement:
    """Compute each distinct beginning of a batch once, against every line by itself: milliseconds, in float32."""
    model = _model(corpus)
    batcher = LineBatcher(corpus.train.tokens, model)
    batch = batcher.sampler(BATCH_SIZE, "shuffle", seed=0).at(0)
    targets, spans = batcher.targets(batch), batcher.spans
    lines = np.flatnonzero(np.isin(spans.starts, batch))
    # With a first token of its own, no line shares anything.
    apart = prefix_plan(np.arange(len(lines)), corpus.train.tokens, spans.starts[lines], spans.lengths[lines])
    apart.tokens[: apart.sizes[0]] = BOUNDARY
    targets_of = {"apart": batcher.targets(spans.positions(lines)), "shared": targets}
    plans = {"apart": apart, "shared": batcher.plan(batch)}

    def step(name: str) -> float:
        start = perf_counter()
        F.cross_entropy(model.unique(plans[name]), targets_of[name]).backward()  # type: ignore[no-untyped-call]
        return 1_000 * (perf_counter() - start)

    for name in plans:
        step(name)  # the first step allocates memory
    times: dict[str, list[float]] = {name: [] for name in plans}
    for _ in range(STEPS * repeats):
        for name, each in times.items():
            each.append(step(name))
    baseline, measured = median(times["apart"]), median(times["shared"])
    rows = 1 - sum(plans["shared"].sizes) / sum(apart.sizes)
    return Measurement(
        key="lstm_sharing_ratio",
        what="forward + backward of an LSTM of hidden 384, each distinct beginning once against every line by itself",
        threads=torch.get_num_threads(),
        baseline=baseline,
        measured=measured,
        unit="ms",
        ratio=baseline / measured,
        detail=f"{len(lines)} lines, {BATCH_SIZE:,} characters; {rows:.0%} fewer rows",
    )


def lstm_sampling(corpus: LineCorpus, repeats: int) -> Measurement:
    """Count lines per second, with the same weights."""
    model = _model(corpus)
    for _, _ in zip(range(50), _training(model, corpus, "bfloat16"), strict=False):  # so that lines come to an end
        pass
    models = {"torch": _by_torch(_model(corpus)), "wavemore": model}
    models["torch"].load_state_dict(model.state_dict())
    speed: dict[str, list[float]] = {name: [] for name in models}
    for seed in range(repeats):
        for name, one in models.items():
            start = perf_counter()
            sampling = Sampling(max_length=corpus.longest_line, seed=seed)
            count = sum(1 for _ in generate(one, corpus.vocabulary, LINES, sampling))
            speed[name].append(count / (perf_counter() - start))
    baseline, measured = median(speed["torch"]), median(speed["wavemore"])
    return Measurement(
        key="lstm_sampling_ratio",
        what="lines per second from an LSTM of hidden 384, against torch's layer",
        threads=torch.get_num_threads(),
        baseline=baseline,
        measured=measured,
        unit="lines/s",
        ratio=measured / baseline,
        detail=f"{repeats} x {LINES:,} lines, the same weights after 50 steps; both in float32",
    )


def _model(corpus: LineCorpus) -> Recurrent:
    model = build("lstm", len(corpus.vocabulary), RecurrentConfig(embedding=48, hidden=384), seed=0)
    assert isinstance(model, Recurrent)
    return model


def _by_torch(model: Recurrent) -> Recurrent:
    """Return a model that calls torch's layer, as it has a hook."""
    model.cells.register_forward_hook(lambda *_: None)
    return model


def _training(model: Recurrent, corpus: LineCorpus, precision: Precision) -> Iterator[StepRecord]:
    recipe = Recipe(steps=1_000_000, batch_size=BATCH_SIZE, num_evals=1, warmup_fraction=0.0, precision=precision)
    return fit(model, corpus, recipe)
