"""A run's note and its experiment's name may change after it was begun; nothing else does."""

from collections.abc import Callable
from pathlib import Path

import pytest

from wavemore.engine.evaluate import evaluate
from wavemore.errors import RunError
from wavemore.runs.config import Config, Label, read_label
from wavemore.runs.run import Run
from wavemore.text.corpus import Corpus


def test_a_renamed_run_is_read_and_resumed_to_the_same_bits(
    trained: Run, tmp_path: Path, config: Config, corpus: Corpus, go_on: Callable[..., None]
) -> None:
    whole = Run(tmp_path / "whole")
    whole.create(config, corpus)
    go_on(whole, corpus)
    before = (trained.path / "config.json").read_bytes()
    trained.relabel(note="later", experiment="mine")
    assert (trained.config.note, trained.config.experiment) == ("later", "mine")
    assert (trained.path / "config.json").read_bytes() == before
    assert evaluate(trained.model(), corpus.val).nats > 0
    go_on(trained, corpus)
    for name in ("model.safetensors", "state.safetensors"):
        assert (trained.path / name).read_bytes() == (whole.path / name).read_bytes()
    assert trained.config.note == "later"


def test_one_of_both_changes_alone_and_may_be_taken_away(trained: Run) -> None:
    trained.relabel(experiment="mine")
    trained.relabel(note="words")
    assert read_label(trained.path / "label.json") == Label("words", "mine")
    trained.relabel(experiment="")
    assert (trained.config.note, trained.config.experiment) == ("words", "")


def test_a_label_goes_with_its_run(trained: Run) -> None:
    trained.relabel(note="words")
    trained.delete()
    assert not (trained.path / "label.json").exists()


def test_a_damaged_label_and_what_is_no_run_are_said_in_a_line(trained: Run, tmp_path: Path) -> None:
    (trained.path / "label.json").write_text('{"note": 3}')
    with pytest.raises(RunError, match=r"label.json is damaged or was changed .*; remove it, then name the run again"):
        _ = trained.config
    with pytest.raises(RunError, match="is no complete run"):
        Run(tmp_path / "nothing").relabel(note="x")
    (trained.path / "label.json").unlink()
    with pytest.raises(RunError, match="these words cannot be kept"):
        trained.relabel(note="\ud800")
    assert trained.config.note == ""
