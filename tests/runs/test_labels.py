"""The run folder of items with labels."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from wavemore.engine.evaluate import evaluate
from wavemore.engine.plan import plan
from wavemore.errors import RunError
from wavemore.runs.identity import data_differences
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config, finish
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus


@pytest.fixture
def corpus(tmp_path: Path) -> LineCorpus:
    words = [a + b + c for a in "kmnt" for b in "aeiou" for c in ("", "na", "ri")]
    rows = "".join(f"{word};{'de' if word[0] in 'kt' else 'fi'};x\n" for word in words)
    (tmp_path / "people.csv").write_text("name;land;rest\n" + rows)
    return load_corpus(tmp_path / "people.csv", column="name", label_column="land")


@pytest.fixture
def started(tmp_path: Path, corpus: LineCorpus) -> Callable[[str], Run]:
    chosen = plan(corpus, hidden=8, embedding=4, steps=12, batch_size=32, num_evals=4)

    def start(name: str) -> Run:
        return Run(tmp_path / name).create(config_of(chosen, data_config(corpus, corpus.source)), corpus)

    return start


def test_a_resumed_training_is_bit_identical(
    started: Callable[[str], Run], train_until: Callable[..., None], corpus: LineCorpus
) -> None:
    whole, stopped = started("whole"), started("stopped")
    train_until(whole, corpus)
    train_until(stopped, corpus, step=7)
    again = stopped.corpus()
    assert isinstance(again, LineCorpus)
    train_until(stopped, again)
    for run in (whole, stopped):
        finish(run, run.model(), corpus, Recorder(run, run.checkpoint()))
    weights = [run.model().state_dict() for run in (whole, stopped)]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    assert whole.samples() == stopped.samples()
    summaries = [run.summary() for run in (whole, stopped)]
    assert summaries[0] is not None
    assert summaries[1] is not None
    assert summaries[0].val_nats == summaries[1].val_nats == evaluate(whole.model(), corpus.val).nats
    assert summaries[0].val_label_recovery == summaries[1].val_label_recovery
    assert whole.vocabulary() == corpus.vocabulary
    assert whole.model().labels == ("de", "fi")


def test_runs_with_other_labels_have_other_data(started: Callable[[str], Run], corpus: LineCorpus) -> None:
    ours = started("run").config.data
    plain = load_corpus(corpus.source, column="name")
    (difference,) = data_differences(ours, data_config(plain, plain.source))
    assert "below a header, with labels in column 2 and in column 1 of a table" in difference


@pytest.mark.parametrize(
    "labels",
    [
        {"fi": 1, "de": 2},
        {"de": -1, "fi": 2},
        {"de": True, "fi": 2},
        {"de": 1.0, "fi": 2},
        {"de": "1", "fi": 2},
        {"de": 0, "fi": 0},
        {"de": 10**30, "fi": 2},
        {"": 1, "fi": 2},
        {"d\ne": 1, "fi": 2},
        {"d\ud800": 1, "fi": 2},
        {"d" * 1_000: 1, "fi": 2},
        {str(number): 1 for number in range(10_000, 12_000)},
        ["de", "fi"],
        "de",
        {},
        None,
    ],
)
def test_labels_of_a_stranger(started: Callable[[str], Run], labels: object) -> None:
    run = started("run")
    path = run.path / "vocabulary.json"
    content = json.loads(path.read_text())
    assert content["labels"] == {"de": 23, "fi": 25} or sum(content["labels"].values()) == 48
    path.write_text(json.dumps(content | {"labels": labels}))
    with pytest.raises(RunError, match=r"vocabulary.json is damaged or was changed"):
        run.vocabulary()


def test_fewer_labels_than_the_weights_have(
    started: Callable[[str], Run], train_until: Callable[..., None], corpus: LineCorpus
) -> None:
    run = started("run")
    train_until(run, corpus)
    path = run.path / "vocabulary.json"
    content = json.loads(path.read_text())
    path.write_text(json.dumps({"characters": content["characters"]}))
    with pytest.raises(RunError, match=r"embedding.weight"):
        run.model()
    with pytest.raises(RunError, match="does not match the data"):
        run.corpus()
