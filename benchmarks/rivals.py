"""The figures of `wavemore bench` for which a rival is trained whole: minutes each, so they are measured when named.

The rival is trained once, ours once for each repetition, in turns: one of ours after some of the rival's steps, so that
both have the same machine. After each of its parts the rival is evaluated, and its lowest val loss counts. Times are
those of training, without evaluation.
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
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus


def wavenet_settings() -> dict[str, Any]:
    """The settings of the race against nanoGPT: those of experiments/nanogpt.toml, and of no other place."""
    text = (files("wavemore") / "experiments" / "nanogpt.toml").read_text(encoding="utf-8")
    settings: dict[str, Any] = tomllib.loads(text)["train"]
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if name != "threads"
    }


def time_to_nanogpt_val(
    stream: TextStream, repeats: int, steps: int = NANOGPT_STEPS, settings: Mapping[str, Any] | None = None
) -> Measurement:
    """Training time of nanoGPT's CPU setting against that of a WaveNet which gets at least as low a val loss.

    The val loss to reach is the rival's in its own way, with contexts of 1 to 64 characters; the lower one that it has
    with contexts of 49 to 64 is told beside it. The WaveNet's is exact, every character with the whole receptive field
    before it. Its products in training are in bfloat16, as its settings say; the rival's are in float32, as published.
    """
    rival = NanoGPT(stream)
    parts = _parts(rival.train(steps), steps, repeats, lambda: rival.loss(stream.val))
    spent, val, ours = _in_turns(parts, stream, settings or wavenet_settings())
    kinder = rival.loss(stream.val, counted=16)
    return _race(
        "wavenet_text_ratio",
        "training `wavenet` on text to the val loss of nanoGPT's CPU setting",
        (spent, val),
        ours,
        f"nanoGPT's setting, {steps:,} steps: val {val:.4f} in its way (contexts of 1 to 64 characters), "
        f"{kinder:.4f} with contexts of 49 to 64",
    )


def time_to_makemore_val(
    corpus: Corpus, repeats: int, steps: int = MAKEMORE_STEPS, settings: Mapping[str, Any] | None = None
) -> Measurement:
    """Training time of makemore's default transformer against ours of the same size, which must be as good."""
    rival = Makemore(corpus)
    chosen = {"model": "transformer", "evaluations": 1, **(settings or {})}
    parts = _parts(rival.train(steps), steps, repeats, lambda: rival.loss(corpus.val))
    spent, val, ours = _in_turns(parts, corpus, chosen)
    return _race(
        "transformer_ratio",
        "training `transformer` on names to the val loss of makemore's setting",
        (spent, val),
        ours,
        f"makemore's setting, {rival.model.parameter_count():,} parameters, {steps:,} steps: val {val:.4f}",
    )


Trained = tuple[float, float, int]
"""Seconds of training, val nats, parameters."""


def _parts(rival: Iterator[int], steps: int, count: int, val: Callable[[], float]) -> Iterator[tuple[float, float]]:
    """Train a rival to its end in so many parts: the seconds of each, and the val loss after it."""
    done = 0
    for part in range(1, count + 1):
        began = perf_counter()
        while done < ceil(steps * part / count):
            done = next(rival)
        yield perf_counter() - began, val()


def _in_turns(
    parts: Iterator[tuple[float, float]], data: Corpus | TextStream, settings: Mapping[str, Any]
) -> tuple[float, float, list[Trained]]:
    """Train ours after each part of the rival, each time with another seed: the rival's seconds and val loss, ours."""
    spent, val, ours = 0.0, inf, []
    for seed, (seconds, nats) in enumerate(parts):
        spent, val = spent + seconds, min(val, nats)
        ours.append(_train(data, {**settings, "seed": seed}))
    return spent, val, ours


def _train(data: Corpus | TextStream, settings: Mapping[str, Any]) -> Trained:
    chosen = plan(data, settings=settings)
    model = build(chosen.model, len(data.vocabulary), chosen.settings, chosen.recipe.seed)
    for progress in fit(model, data, chosen.recipe):
        seconds = progress.seconds
    return seconds, evaluate(model, data.val).nats, model.parameter_count()


def _race(key: str, what: str, rival: tuple[float, float], ours: list[Trained], detail: str) -> Measurement:
    """The rival's seconds and val loss against ours; no ratio where one of ours is not as good."""
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
