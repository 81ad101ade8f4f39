"""What a WaveNet costs in training as it sees further, for `wavemore bench`."""

from itertools import pairwise
from math import log
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measurement import Measurement
from benchmarks.peak_memory import PeakMemory
from wavemore.nn.config import WaveNetConfig
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus

FIELDS = tuple(2**power for power in range(3, 11))
BLOCKS = 7
"""At equal depth: as many as a receptive field of 8 can have, with dilations of 1 alone."""
STRETCHES = 4
"""Of a step."""


def receptive(corpus: Corpus, repeats: int, length: int = 2_048) -> Measurement:
    """Characters a second in training and peak memory, as the receptive field grows from 8 to 1,024.

    First at equal depth and width, by larger dilations alone; then by more blocks, each of which doubles the receptive
    field; then the memory of one step, as the stretches grow and their number stays. A stretch has `length`
    characters, more than any receptive field here.
    """
    size = len(corpus.vocabulary)
    deep = {field: _model(size, dilations(field, BLOCKS)) for field in FIELDS}
    more = {field: _model(size, tuple(2**block for block in range(field.bit_length() - 1))) for field in FIELDS}
    tokens = _tokens(size, length)
    cases = [(name, field, models[field]) for name, models in (("deep", deep), ("more", more)) for field in FIELDS]
    times: dict[tuple[str, int], list[float]] = {}
    for turn in range(repeats + 1):
        _step(deep[FIELDS[0]], tokens)  # so that what is measured first does not follow the largest
        for name, field, model in cases:
            began = perf_counter()
            _step(model, tokens)
            if turn:  # the first one asks for memory
                times.setdefault((name, field), []).append(perf_counter() - began)
    seconds = {case: median(found) for case, found in times.items()}
    speeds = {field: tokens[:, 1:].numel() / seconds["deep", field] for field in FIELDS}
    first, last = FIELDS[0], FIELDS[-1]
    exponent = log(seconds["more", last] / seconds["more", first]) / log(
        (last.bit_length() - 1) / (first.bit_length() - 1)
    )
    peaks = {some: _peak(more[last], _tokens(size, some)) for some in (length // 4, length // 2, length, 2 * length)}
    growth = max(log(high / low, 2) for (_, low), (_, high) in pairwise(peaks.items()))
    return Measurement(
        key="wavenet_receptive",
        what=f"training a WaveNet of {BLOCKS} blocks that sees {last:,} characters, against one that sees {first}",
        threads=torch.get_num_threads(),
        baseline=speeds[first],
        measured=speeds[last],
        unit="characters/s",
        ratio=speeds[last] / speeds[first],
        detail=f"channels 64, {STRETCHES} stretches of {length:,}, forward and backward; "
        f"{BLOCKS} blocks: {_listed(speeds)} characters/s; by more blocks, ms a block and step: "
        + _listed({f: 1e3 * seconds["more", f] / (f.bit_length() - 1) for f in FIELDS}, ".1f")
        + f" (time ~ blocks^{exponent:.2f}); peak memory of {STRETCHES} stretches of "
        + _listed({some: peak / 2**20 for some, peak in peaks.items()})
        + f" MB (~ length^{growth:.2f} at most)",
    )


def dilations(field: int, blocks: int) -> tuple[int, ...]:
    """Dilations that grow by about one factor and see `field` characters together.

    >>> dilations(8, 7), dilations(1024, 7)
    ((1, 1, 1, 1, 1, 1, 1), (1, 2, 8, 26, 77, 229, 680))
    """
    low, high = 1.0, float(field)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(_powers(middle, blocks)) < field else (low, middle)
    found = _powers(low, blocks)
    return (*found[:-1], found[-1] + field - 1 - sum(found))


def _powers(factor: float, count: int) -> tuple[int, ...]:
    return tuple(int(factor**power) for power in range(count))


def _model(vocabulary_size: int, sizes: tuple[int, ...]) -> Model:
    return build("wavenet", vocabulary_size, WaveNetConfig(channels=64, dilations=sizes), seed=0)


def _tokens(vocabulary_size: int, length: int) -> Tensor:
    return torch.randint(1, vocabulary_size, (STRETCHES, length + 1), generator=torch.Generator().manual_seed(0))


def _step(model: Model, tokens: Tensor) -> None:
    model.zero_grad()
    logits = model.logits_at_every(tokens[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]


def _peak(model: Model, tokens: Tensor) -> int:
    memory = PeakMemory()
    with memory:
        _step(model, tokens)
    return memory.peak


def _listed(found: dict[int, float], form: str = ",.0f") -> str:
    return ", ".join(f"{number:,}: {value:{form}}" for number, value in found.items())
