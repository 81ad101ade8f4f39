"""What a run knows of its data's lines, and runs together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wavemore.errors import RunError, UsageError
from wavemore.runs.ensemble import load_ensemble
from wavemore.runs.known_lines import known_lines
from wavemore.runs.run import Run
from wavemore.text.datasets import load_corpus


def test_they_are_all_lines_of_the_data(trained: Run, names_file: Path, tmp_path: Path) -> None:
    assert sorted(known_lines(trained)) == sorted(names_file.read_text().split())
    lost = Run(trained.path, str(tmp_path / "nothing.txt"))
    with pytest.raises(RunError, match="is not there; put the right file there"):
        known_lines(lost)


def test_runs_together_are_their_mean(trained: Run, other: Run, names_file: Path) -> None:
    ensemble = load_ensemble([trained, other])
    assert ensemble.parameter_count() == 2 * trained.model().parameter_count()
    assert ensemble.characters == load_corpus(names_file).vocabulary.characters


def test_runs_with_other_characters_are_not_averaged(
    trained: Run, tmp_path: Path, config: Any, train_until: Callable[..., None]
) -> None:
    from dataclasses import replace

    from wavemore.runs.training import data_config

    (tmp_path / "xyz.txt").write_text("".join(f"{a}{b}\n" for a in "xyz" for b in "xyzw"))
    corpus = load_corpus(tmp_path / "xyz.txt")
    foreign = Run(tmp_path / "foreign")
    foreign.create(replace(config, data=data_config(corpus, corpus.source)), corpus)
    train_until(foreign, corpus)
    with pytest.raises(UsageError, match="foreign has other characters or labels than"):
        load_ensemble([trained, foreign])
