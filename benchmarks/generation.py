"""Speed of generation: new names against the lecture's loop, a WaveNet's next character with and without a cache."""

from functools import partial
from statistics import median
from time import perf_counter

import torch

from benchmarks import lecture
from benchmarks.measurement import Measurement, seconds_of
from benchmarks.small_trees import briefly_trained
from wavemore.engine.evaluate import eval_mode
from wavemore.engine.generate_lines import generate
from wavemore.engine.sampling import Sampling
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.line_corpus import LineCorpus

TEXTS = 16
"""Texts that are continued at once, beside one alone."""
FIELDS = tuple(2**power for power in range(3, 11))
"""Receptive fields: 8, 16, ..., 1,024 characters."""


def sampling(corpus: LineCorpus, repeats: int) -> Measurement:
    """Count new names per second, against the lecture's loop with the same weights."""
    model = briefly_trained(corpus, hidden=lecture.HIDDEN, epochs=2)
    loop = lecture.Lecture(corpus)
    loop.load(model)
    known = {*corpus.train.lines, *corpus.val.lines, *corpus.test.lines}
    slow, fast = [], []
    for seed in range(repeats):
        start = perf_counter()
        new = sum(name not in known for name in loop.sample(200))
        slow.append(new / (perf_counter() - start))
        start = perf_counter()
        settings = Sampling(max_length=corpus.longest_line, seed=seed)
        new = sum(sample.new for sample in generate(model, corpus.vocabulary, 30_000, settings, corpus.line_hashes))
        fast.append(new / (perf_counter() - start))
    return Measurement(
        key="sampling_ratio",
        what="new names per second, against the lecture's sampling loop",
        threads=torch.get_num_threads(),
        baseline=median(slow),
        measured=median(fast),
        unit="names/s",
        ratio=median(fast) / median(slow),
        detail=f"{repeats} x 200 names against {repeats} x 30,000, the same weights",
    )


def decoding(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time a WaveNet's next character with the cache of its decoder, against a full pass over the context."""
    cases = [(count, field) for count in (1, TEXTS) for field in FIELDS]
    models = {field: _wavenet(corpus, field) for field in FIELDS}
    cached: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    full: dict[tuple[int, int], list[float]] = {case: [] for case in cases}
    random = torch.Generator().manual_seed(0)
    texts = torch.randint(1, len(corpus.vocabulary), (TEXTS, FIELDS[-1] + 64), generator=random)
    gap = 0.0
    for _ in range(repeats):
        for count, field in cases:
            model, tokens = models[field], texts[:count]
            with eval_mode(model):
                decoder = model.decoder(count)
                for column in tokens.T[-field - 64 : -64]:  # until every cache is full
                    decoder.step(column)
                for column in tokens.T[-64:]:
                    cached[count, field].append(1e3 * seconds_of(partial(decoder.step, column)))
                for _ in range(5):
                    full[count, field].append(1e3 * seconds_of(partial(model, tokens[:, -field:])))
                gap = max(gap, float((model(tokens[:, -field:])[:, -1] - decoder.logits).abs().max()))
    ratios = {case: median(full[case]) / median(cached[case]) for case in cases}
    one, many = (", ".join(f"{field:,}: {ratios[count, field]:.1f}x" for field in FIELDS) for count in (1, TEXTS))
    longest = (1, FIELDS[-1])
    return Measurement(
        key="decoding_ratio",
        what=f"next character of a text, WaveNet that sees {FIELDS[-1]:,}: cached against whole contexts",
        threads=torch.get_num_threads(),
        baseline=median(full[longest]),
        measured=median(cached[longest]),
        unit="ms",
        ratio=ratios[longest],
        detail=f"receptive field {one}; {TEXTS} texts at once {many}; "
        f"cached {median(cached[1, FIELDS[0]]):.2f} to {median(cached[longest]):.2f} ms; channels 64; "
        f"the logits differ by {gap:.0e}",
    )


def _wavenet(corpus: LineCorpus, receptive_field: int) -> Model:
    """One cycle of dilations 1, 2, 4, ...: each block doubles the receptive field."""
    dilations = tuple(2**block for block in range(receptive_field.bit_length() - 1))
    return build("wavenet", len(corpus.vocabulary), WaveNetConfig(channels=64, dilations=dilations), seed=0)
