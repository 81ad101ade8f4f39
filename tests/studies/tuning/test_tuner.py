"""A tuning learns from its trainings how long a step takes."""

from pathlib import Path

import pytest

import wavemore as wm
from wavemore.studies.tuning.request import Request
from wavemore.studies.tuning.tuner import Tuner

LINES = [a + b + c for a in "abcdefgh" for b in "aeiou" for c in ("n", "l", "rra")]


def test_the_time_of_a_step_counts_what_the_trainings_have_taken(tmp_path: Path) -> None:
    data = tmp_path / "names.txt"
    data.write_text("\n".join(LINES), encoding="utf-8")
    corpus = wm.load_corpus(data)
    tuner = Tuner(Request(trials=2, repeats=1, models=("tree",), max_seconds=0.5), corpus, tmp_path / "tuning")
    for _ in tuner.run():
        pass
    assert tuner._longer, "a trial has ended"
    assert all(ratio > 0 for ratio in tuner._longer)
    planned = wm.plan(corpus, model="tree")
    tuner._longer = [0.5]
    alone = tuner.step_seconds(planned)
    tuner._longer = [1.2, 1.3, 1.5]
    assert tuner.step_seconds(planned) == pytest.approx(1.3 * alone)
