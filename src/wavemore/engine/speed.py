"""How fast this machine trains, evaluates and samples a model, by a probe of some seconds."""

from dataclasses import replace
from statistics import fmean
from time import perf_counter
from typing import NamedTuple

from wavemore.engine.batchers import evaluation_batcher
from wavemore.engine.evaluate import chunk_nats, eval_mode
from wavemore.engine.fit import fit
from wavemore.engine.recipe import MAX_COUNT
from wavemore.engine.sampling import SAMPLE_LINES
from wavemore.engine.training_plan import Plan
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus

WINDOWS = 4
"""Parts of a probe; the last half of them counts, as the first ones warm up the machine and try numbers of threads."""
DRAWN = 50
"""Characters of samples that are drawn to measure how fast that is."""


class Speed(NamedTuple):
    """Characters per second."""

    training: float
    evaluation: float
    drawing: float
    """Of each sample; all are drawn at once."""


def probe(plan: Plan, corpus: Corpus, seconds: float, device: str = "cpu") -> Speed:
    """Measure the speed of training, with steps of about so many seconds in all, of evaluation and of sampling."""
    size, num_labels = len(corpus.vocabulary), len(corpus.vocabulary.labels)
    model = build(plan.model, size, plan.model_config, plan.recipe.seed, num_labels).to(device)
    recipe = replace(plan.recipe, steps=MAX_COUNT, num_evals=1)
    begin, steps, speeds = perf_counter(), 0, list[float]()
    for record in fit(model, corpus, recipe):
        now = perf_counter()
        if record.step == 1:  # it takes longer
            begin, steps = now, 1
        elif now - begin >= seconds / WINDOWS:
            speeds.append((record.step - steps) * recipe.batch_size / (now - begin))
            begin, steps = now, record.step
            if len(speeds) == WINDOWS:
                break
    speed = fmean(speeds[WINDOWS // 2 :])
    part = corpus.val.sample(max(1, int(speed * seconds / 2)))  # which takes much less, as nothing is learned
    batcher = evaluation_batcher(part, model)
    begin = perf_counter()
    for _ in chunk_nats(model, batcher):
        pass
    return Speed(speed, part.num_targets / (perf_counter() - begin), _drawing_speed(model))


def _drawing_speed(model: Model) -> float:
    """Measure the speed of samples, with a few characters of each."""
    begin = perf_counter()
    with eval_mode(model):
        decoder = model.decoder(SAMPLE_LINES)
        for _ in range(DRAWN):
            decoder.step(decoder.logits.argmax(dim=1))
    return DRAWN / (perf_counter() - begin)
