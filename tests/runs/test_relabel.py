"""A run's note and its experiment's name can be changed after it began; nothing else changes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wavemore.errors import RunError
from wavemore.runs.config import RunConfig
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus


def test_a_renamed_run_resumes_bit_identically(
    trained: Run, tmp_path: Path, config: RunConfig, corpus: LineCorpus, train_until: Callable[..., None]
) -> None:
    whole = Run(tmp_path / "whole")
    whole.create(config, corpus)
    train_until(whole, corpus)
    trained.relabel(note="later", experiment="mine")
    train_until(trained, corpus)
    for name in ("model.safetensors", "state.safetensors"):
        assert (trained.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert trained.config == replace(config, note="later", experiment="mine")


def test_each_of_the_two_changes_alone_and_the_date_stays(trained: Run) -> None:
    created = trained.config.created
    trained.relabel(experiment="mine")
    trained.relabel(note="words")
    assert (trained.config.note, trained.config.experiment) == ("words", "mine")
    trained.relabel(experiment="")
    assert (trained.config.note, trained.config.experiment) == ("words", "")
    assert trained.config.created == created


def test_errors(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run at"):
        Run(tmp_path / "nothing").relabel(note="x")
    with pytest.raises(RunError, match=r"cannot write .*config.json"):
        trained.relabel(note="\ud800")
    assert trained.config.note == ""
