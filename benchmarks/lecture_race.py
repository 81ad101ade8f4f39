"""Training time to the lecture's val loss, against the lecture's own loop."""

from statistics import median
from typing import Any

import torch

from benchmarks import lecture
from benchmarks.measurement import Measurement, seconds_of
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.nn.models import build
from wavemore.text.line_corpus import LineCorpus

SETTINGS: dict[str, Any] = {
    "fuse": (2, 2, 2),
    "embedding": 24,
    "hidden": 128,
    "activation": "tanh",
    "batch_size": 3_072,
    "learning_rate": 0.06,
    "adamw_learning_rate": 0.03,
    "weight_decay": 0.1,
    "ema_decay": 0.95,
    "epochs": 4,
    "num_evals": 1,
}
"""The lecture's model, and a short training of it."""
LOOP_STEPS = 1_000
"""The lecture's 200,000 steps all take the same time, so this many are timed per repetition."""


def time_to_lecture_val(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time the training of the lecture's model to the lecture's val loss, without evaluation."""
    baselines, times, vals = [], [], []
    loop = lecture.Lecture(corpus)
    for seed in range(repeats):
        seconds = seconds_of(lambda: sum(1 for _ in loop.train(LOOP_STEPS)))
        baselines.append(seconds / LOOP_STEPS * lecture.STEPS)
        settings = plan(corpus, **SETTINGS, seed=seed)
        model = build("tree", len(corpus.vocabulary), settings.model_config, seed)
        for record in fit(model, corpus, settings.recipe):
            last = record
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
        detail=f"val {', '.join(f'{val:.4f}' for val in vals)} (seeds 0 to {repeats - 1}); the time of the loop's "
        f"{lecture.STEPS:,} steps is extrapolated from {repeats} x {LOOP_STEPS:,} steps",
    )
