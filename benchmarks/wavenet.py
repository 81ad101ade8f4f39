"""The training cost of a WaveNet as its receptive field grows."""

from itertools import pairwise
from math import log
from statistics import median
from time import perf_counter

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measurement import Measurement
from benchmarks.peak_memory import PeakMemory
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.line_corpus import LineCorpus

FIELDS = tuple(2**power for power in range(3, 11))
BLOCKS = 7
"""Blocks at equal depth: as many as fit into a receptive field of 8, with dilations of 1."""
TEXTS = 4
"""Texts per step."""


def receptive_field_cost(corpus: LineCorpus, repeats: int, length: int = 2_048) -> Measurement:
    """Measure characters per second in training, and peak memory, as the receptive field grows from 8 to 1,024.

    First at equal depth and width, with larger dilations; then with more blocks, each of which doubles the receptive
    field; then the memory of one step as the texts get longer. A text has `length` characters, more than any receptive
    field here.
    """
    size = len(corpus.vocabulary)
    deep = {field: _model(size, dilations(field, BLOCKS)) for field in FIELDS}
    more = {field: _model(size, tuple(2**block for block in range(field.bit_length() - 1))) for field in FIELDS}
    tokens = _tokens(size, length)
    cases = [(name, field, models[field]) for name, models in (("deep", deep), ("more", more)) for field in FIELDS]
    times: dict[tuple[str, int], list[float]] = {}
    for turn in range(repeats + 1):
        _step(deep[FIELDS[0]], tokens)  # so that the first one measured does not come right after the largest
        for name, field, model in cases:
            began = perf_counter()
            _step(model, tokens)
            if turn:  # the first round allocates memory
                times.setdefault((name, field), []).append(perf_counter() - began)
    seconds = {case: median(values) for case, values in times.items()}
    speeds = {field: tokens[:, 1:].numel() / seconds["deep", field] for field in FIELDS}
    first, last = FIELDS[0], FIELDS[-1]
    exponent = log(seconds["more", last] / seconds["more", first]) / log(
        (last.bit_length() - 1) / (first.bit_length() - 1)
    )
    lengths = (length // 4, length // 2, length, 2 * length)
    peaks = {each: _peak(more[last], _tokens(size, each)) for each in lengths}
    growth = max(log(high / low, 2) for (_, low), (_, high) in pairwise(peaks.items()))
    return Measurement(
        key="wavenet_receptive",
        what=f"training a WaveNet of {BLOCKS} blocks that sees {last:,} characters, against one that sees {first}",
        threads=torch.get_num_threads(),
        baseline=speeds[first],
        measured=speeds[last],
        unit="characters/s",
        ratio=speeds[last] / speeds[first],
        detail=f"channels 64, {TEXTS} texts of {length:,} characters, forward and backward; "
        f"{BLOCKS} blocks: {_listed(speeds)} characters/s; with more blocks, ms per block and step: "
        + _listed({f: 1e3 * seconds["more", f] / (f.bit_length() - 1) for f in FIELDS}, ".1f")
        + f" (time ~ blocks^{exponent:.2f}); peak memory of {TEXTS} texts of "
        + _listed({each: peak / 2**20 for each, peak in peaks.items()})
        + f" MB (~ length^{growth:.2f} at most)",
    )


def dilations(field: int, blocks: int) -> tuple[int, ...]:
    """Return dilations that grow by about one factor and together see `field` characters.

    >>> dilations(8, 7), dilations(1024, 7)
    ((1, 1, 1, 1, 1, 1, 1), (1, 2, 8, 26, 77, 229, 680))
    """
    low, high = 1.0, float(field)
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(_powers(middle, blocks)) < field else (low, middle)
    powers = _powers(low, blocks)
    return (*powers[:-1], powers[-1] + field - 1 - sum(powers))


def _powers(factor: float, count: int) -> tuple[int, ...]:
    return tuple(int(factor**power) for power in range(count))


def _model(vocabulary_size: int, sizes: tuple[int, ...]) -> Model:
    return build("wavenet", vocabulary_size, WaveNetConfig(channels=64, dilations=sizes), seed=0)


def _tokens(vocabulary_size: int, length: int) -> Tensor:
    return torch.randint(1, vocabulary_size, (TEXTS, length + 1), generator=torch.Generator().manual_seed(0))


def _step(model: Model, tokens: Tensor) -> None:
    model.zero_grad()
    logits = model(tokens[:, :-1])
    F.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()  # type: ignore[no-untyped-call]


def _peak(model: Model, tokens: Tensor) -> int:
    memory = PeakMemory()
    with memory:
        _step(model, tokens)
    return memory.peak


def _listed(values: dict[int, float], form: str = ",.0f") -> str:
    return ", ".join(f"{number:,}: {value:{form}}" for number, value in values.items())
