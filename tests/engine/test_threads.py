"""The number of threads: fixed, or the faster of one and the most."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch

from wavemore.engine import threads
from wavemore.engine.evaluate import evaluate
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.plan import plan
from wavemore.engine.sampling import Sampling
from wavemore.engine.threads import FIRST_PAUSE, TRIAL, balance_threads, measured, set_threads
from wavemore.nn.models import MODELS, build
from wavemore.nn.threads import most_threads
from wavemore.text.line_corpus import LineCorpus


@pytest.fixture(autouse=True)
def _restore() -> Iterator[None]:
    yield
    set_threads(1)


def pieces(speed: threads._Speed, seconds: float, speeds: dict[int, float], now: float = 0.0) -> list[int]:
    """Do pieces of a tenth of TRIAL at the given speeds; return the threads of each."""
    used = []
    end = now + seconds
    while now < end:
        used.append(speed.threads)
        now += TRIAL / 10
        speed.add(speeds[speed.threads] * TRIAL / 10, TRIAL / 10, now)
    return used


def test_several_threads_are_used_where_they_are_faster() -> None:
    used = pieces(threads._Speed(2), 10 * TRIAL, {1: 100.0, 2: 180.0})
    assert set(used[:10]) == {1}
    assert set(used[13:]) == {2}


def test_several_threads_that_are_slower_are_tried_ever_more_rarely() -> None:
    used = pieces(threads._Speed(4), 100.0, {1: 100.0, 4: 25.0})
    assert used.count(4) / len(used) < 0.02
    starts = [at for at in range(1, len(used)) if used[at - 1 : at + 1] == [1, 4]]
    pauses = [(b - a) * TRIAL / 10 for a, b in pairwise(starts)]
    assert pauses == pytest.approx([FIRST_PAUSE * 2**n + TRIAL for n in range(len(pauses))], rel=0.3)
    assert len(pauses) > 3


def test_the_number_follows_a_machine_that_becomes_busy_and_quiet_again() -> None:
    speed = threads._Speed(2)
    pieces(speed, 5.0, {1: 100.0, 2: 180.0})
    busy = pieces(speed, 5.0, {1: 100.0, 2: 20.0}, now=5.0)
    assert busy[0] == 2
    assert busy[-1] == 1
    assert pieces(speed, 20.0, {1: 100.0, 2: 180.0}, now=10.0)[-1] == 2


def test_a_moment_of_bad_luck_is_soon_forgotten() -> None:
    speed = threads._Speed(2)
    pieces(speed, 5.0, {1: 100.0, 2: 180.0})
    pieces(speed, TRIAL, {1: 100.0, 2: 20.0}, now=5.0)
    used = pieces(speed, 5.0, {1: 100.0, 2: 180.0}, now=5.0 + TRIAL)
    assert used.count(1) * TRIAL / 10 < 2 * FIRST_PAUSE


def test_only_measured_work_uses_several() -> None:
    balance_threads(2)
    assert (torch.get_num_threads(), most_threads()) == (1, 2)
    used = set()
    assert threads._balance is not None
    threads._balance.speeds["work"] = threads._Speed(2, threads=2)
    with measured("work", 1):
        used.add(torch.get_num_threads())
    assert used == {2}
    assert torch.get_num_threads() == 1
    set_threads(2)
    with measured("work", 1):
        assert torch.get_num_threads() == 2
    assert most_threads() == 2


@pytest.mark.parametrize("model", MODELS)
def test_losses_and_samples_do_not_depend_on_when_the_threads_change(model: str) -> None:
    lines = ["".join(chr(97 + (i * j) % 23) for j in range(1, 3 + i % 9)) for i in range(1, 400)]
    corpus = LineCorpus.from_lines(lines)
    settings: dict[str, Any] = {} if model == "ngram" else {"steps": 2}
    settings |= {"hidden": 256} if "hidden" in MODELS[model].config.__dataclass_fields__ else {}
    planned = plan(corpus, model=model, **settings)
    network = build(planned.model, len(corpus.vocabulary), planned.model_config, seed=0)
    balance_threads(2)
    for _ in fit(network, corpus, planned.recipe):
        pass
    results = []
    for count in (1, 2):
        torch.set_num_threads(count)
        samples = [line.text for line in generate(network, corpus.vocabulary, 300, Sampling(max_length=11, seed=3))]
        results.append((repr(evaluate(network, corpus.train)), samples))  # of which one loss is nan, unlike itself
    assert results[0] == results[1]
