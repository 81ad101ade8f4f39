"""Training time against a rival that is trained completely: minutes per figure, so they are measured only if named.

The rival is trained once, wavemore once per repetition, interleaved: the rival's training is cut into parts, and one of
ours follows each part, so that both run under the same load. The rival is evaluated after each part, and its lowest val
loss counts. Times are of training, without evaluation.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from math import ceil, inf
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.makemore import STEPS as MAKEMORE_STEPS
from benchmarks.makemore import Makemore
from benchmarks.measurement import Measurement
from benchmarks.nanogpt import STEPS as NANOGPT_STEPS
from benchmarks.nanogpt import NanoGPT
from wavemore.engine.evaluate import evaluate
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus


def wavenet_settings() -> dict[str, Any]:
    """Return the settings of the race against nanoGPT, from experiments/nanogpt.toml."""
    text = (files("wavemore") / "experiments" / "nanogpt.toml").read_text(encoding="utf-8")
    settings: dict[str, Any] = tomllib.loads(text)["train"]
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if name != "threads"
    }


def time_to_nanogpt_val(
    corpus: TextCorpus, repeats: int, steps: int = NANOGPT_STEPS, settings: Mapping[str, Any] | None = None
) -> Measurement:
    """Time nanoGPT's CPU setting against a WaveNet that reaches at least as low a val loss.

    The val loss to reach is measured nanoGPT's way, with contexts of 1 to 64 characters; its lower loss with contexts
    of 49 to 64 is reported too. The WaveNet's is exact: every character with the whole receptive field before it. The
    WaveNet's matrix products are in bfloat16, as its settings say, the rival's in float32, as published.
    """
    rival = NanoGPT(corpus)
    parts = _parts(rival.train(steps), steps, repeats, lambda: rival.loss(corpus.val))
    spent, val, ours = _interleaved(parts, corpus, settings or wavenet_settings())
    with_long_contexts = rival.loss(corpus.val, counted=16)
    return _race(
        "wavenet_text_ratio",
        "training `wavenet` on text to the val loss of nanoGPT's CPU setting",
        (spent, val),
        ours,
        f"nanoGPT's setting, {steps:,} steps: val {val:.4f} measured its way (contexts of 1 to 64 characters), "
        f"{with_long_contexts:.4f} with contexts of 49 to 64",
    )


def time_to_makemore_val(
    corpus: LineCorpus, repeats: int, steps: int = MAKEMORE_STEPS, settings: Mapping[str, Any] | None = None
) -> Measurement:
    """Time makemore's default transformer against ours of the same size, which must be as good."""
    rival = Makemore(corpus)
    ours_settings = {"model": "transformer", "num_evals": 1, **(settings or {})}
    parts = _parts(rival.train(steps), steps, repeats, lambda: rival.loss(corpus.val))
    spent, val, ours = _interleaved(parts, corpus, ours_settings)
    return _race(
        "transformer_ratio",
        "training `transformer` on names to the val loss of makemore's setting",
        (spent, val),
        ours,
        f"makemore's setting, {rival.model.parameter_count():,} parameters, {steps:,} steps: val {val:.4f}",
    )


Trained = tuple[float, float, int]
"""Seconds of training, val nats, number of parameters."""


def _parts(rival: Iterator[int], steps: int, count: int, val: Callable[[], float]) -> Iterator[tuple[float, float]]:
    """Train a rival completely in `count` parts; yield the seconds of each part and the val loss after it."""
    done = 0
    for part in range(1, count + 1):
        start = perf_counter()
        while done < ceil(steps * part / count):
            done = next(rival)
        yield perf_counter() - start, val()


def _interleaved(
    parts: Iterator[tuple[float, float]], data: Corpus, settings: Mapping[str, Any]
) -> tuple[float, float, list[Trained]]:
    """Train ours after each part of the rival, each time with another seed; return the rival's result and ours."""
    spent, val, ours = 0.0, inf, []
    for seed, (seconds, nats) in enumerate(parts):
        spent, val = spent + seconds, min(val, nats)
        ours.append(_train(data, {**settings, "seed": seed}))
    return spent, val, ours


def _train(data: Corpus, overrides: Mapping[str, Any]) -> Trained:
    settings = plan(data, **overrides)
    model = build(settings.model, len(data.vocabulary), settings.model_config, settings.recipe.seed)
    for record in fit(model, data, settings.recipe):
        seconds = record.seconds
    return seconds, evaluate(model, data.val).nats, model.parameter_count()


def _race(key: str, what: str, rival: tuple[float, float], ours: list[Trained], detail: str) -> Measurement:
    """Compare the rival's seconds and val loss with ours; there is no ratio if one of ours is not as good."""
    spent, val = rival
    seconds = median(took for took, _, _ in ours)
    vals = ", ".join(f"{nats:.4f}" for _, nats, _ in ours)
    seeds = "seed 0" if len(ours) == 1 else f"seeds 0 to {len(ours) - 1}"
    return Measurement(
        key=key,
        what=what,
        threads=torch.get_num_threads(),
        baseline=spent,
        measured=seconds,
        unit="s",
        ratio=spent / seconds if all(nats <= val for _, nats, _ in ours) else None,
        detail=f"{detail}; wavemore, {ours[0][2]:,} parameters: val {vals} ({seeds})",
    )
