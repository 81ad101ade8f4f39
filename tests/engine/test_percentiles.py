import numpy as np
import pytest

from wavemore.engine.evaluate import line_percentiles, more_usual_than, score
from wavemore.nn.config import TreeConfig
from wavemore.nn.models import build
from wavemore.text.corpus import Corpus


def test_percentiles_are_those_of_the_scores_of_the_lines() -> None:
    corpus = Corpus.from_lines([f"{number:b}" for number in range(200)])
    model = build("tree", len(corpus.vocabulary), TreeConfig(fuse=(2,), embedding=4, hidden=8, norm="none"), seed=0)
    percentiles = line_percentiles(model, corpus.val)
    scores = [s.nats_per_char for s in score(model, corpus.vocabulary, list(corpus.val.lines))]
    assert len(percentiles) == 101
    assert percentiles == pytest.approx(np.percentile(scores, range(101)), abs=1e-6)
    for nats in scores:
        less_usual = np.mean([other > nats for other in scores])
        assert more_usual_than(percentiles, nats) == pytest.approx(less_usual, abs=1 / len(scores) + 0.01)


def test_lines_outside_of_all_are_at_the_ends() -> None:
    assert more_usual_than([2.0] * 101, 1.0) == 1.0
    assert more_usual_than([2.0] * 101, 3.0) == 0.0
    assert more_usual_than([1.0, 2.0, 3.0], 1.5) == pytest.approx(0.75)
