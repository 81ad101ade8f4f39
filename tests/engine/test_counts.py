"""Items that occur several times by a count, against the same items repeated."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from wavemore.comparison.compare import compare_models
from wavemore.engine.batchers import training_batcher, training_sampler
from wavemore.engine.evaluate import evaluate, part_losses
from wavemore.engine.fit import fit
from wavemore.engine.recipe import Recipe
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus

NAMES = ["anna", "bo", "cleo", "dora", "ella", "fay", "gus", "hal", "ida", "jim", "kit", "lea", "mo", "nina", "otto"]
COUNTS = [7, 1, 3, 2, 11, 1, 1, 4, 2, 5, 1, 1, 30, 2, 6]
MODEL_NAMES = [name for name in MODELS if name != "ngram"]


@pytest.fixture
def corpora(tmp_path: Path) -> tuple[LineCorpus, LineCorpus]:
    """A list with counts, and the list in which each item is repeated as often."""
    counted, repeated = tmp_path / "counted.csv", tmp_path / "repeated.txt"
    counted.write_text("name,times\n" + "".join(f"{a},{n}\n" for a, n in zip(NAMES, COUNTS, strict=True)))
    repeated.write_text("".join(f"{a}\n" * n for a, n in zip(NAMES, COUNTS, strict=True)))
    return load_corpus(counted, column="name", count_column="times"), load_corpus(repeated)


def model_of(name: str, corpus: LineCorpus) -> Any:
    model = build(name, len(corpus.vocabulary), MODELS[name].config(), seed=0)
    for _ in fit(model, corpus, Recipe(steps=2, batch_size=16, num_evals=1)):
        pass
    return model


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_losses_are_those_of_repeated_items(corpora: tuple[LineCorpus, LineCorpus], name: str) -> None:
    counted, repeated = corpora
    model = model_of(name, counted)
    for part in ("train", "val", "test"):
        a, b = getattr(counted, part), getattr(repeated, part)
        with_counts, with_copies = part_losses(model, a), part_losses(model, b)
        figures, expected = ({**vars(losses.evaluation)} for losses in (with_counts, with_copies))
        assert figures.pop("by_label") == expected.pop("by_label") == ()
        assert figures.pop("by_position") == pytest.approx(expected.pop("by_position"), rel=1e-5)
        assert figures == pytest.approx(expected, rel=1e-5, nan_ok=True)
        assert with_counts.by_unit.mean == pytest.approx(with_copies.by_unit.mean, rel=1e-5)
        np.testing.assert_allclose(with_counts.by_unit.nats, with_copies.by_unit.nats, rtol=1e-5)
        np.testing.assert_array_equal(with_counts.by_unit.targets, with_copies.by_unit.targets)
    assert evaluate(model, counted.val).num_targets == repeated.val.num_targets != counted.val.num_targets


def test_losses_per_label_are_those_of_repeated_items(tmp_path: Path) -> None:
    rows = list(zip(NAMES * 2, COUNTS * 2, ["x"] * 15 + ["y"] * 15, strict=True))
    counted, repeated = tmp_path / "counted.csv", tmp_path / "repeated.csv"
    counted.write_text("name,times,kind\n" + "".join(f"{a},{n},{kind}\n" for a, n, kind in rows))
    repeated.write_text("name,kind\n" + "".join(f"{a},{kind}\n" * n for a, n, kind in rows))
    a = load_corpus(counted, column="name", count_column="times", label_column="kind")
    b = load_corpus(repeated, column="name", label_column="kind")
    model = build("lstm", len(a.vocabulary), MODELS["lstm"].config(), seed=0, num_labels=2)
    losses = [evaluate(model, corpus.train).by_label for corpus in (a, b)]
    for one, other in zip(*losses, strict=True):
        assert (one.label, one.num_targets) == (other.label, other.num_targets)
        assert one.nats == pytest.approx(other.nats, rel=1e-5)


def test_an_ngram_is_that_of_repeated_items(corpora: tuple[LineCorpus, LineCorpus]) -> None:
    models = []
    for corpus in corpora:
        models.append(model := Ngram(len(corpus.vocabulary), NgramConfig(order=4)))
        for _ in fit(model, corpus, Recipe(steps=1, num_evals=1)):
            pass
    for a, b in zip(models[0].state_dict().values(), models[1].state_dict().values(), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("name", ["lstm", "tree"])
def test_items_are_drawn_as_often_as_they_are_counted(corpora: tuple[LineCorpus, LineCorpus], name: str) -> None:
    train = corpora[0].train
    model = build(name, len(corpora[0].vocabulary), MODELS[name].config(), seed=0)
    recipe = Recipe(batch_size=64)
    sampler = training_sampler(train, training_batcher(train, model, recipe), recipe)
    drawn = np.concatenate([sampler.at(step) for step in range(300)])
    assert 0.9 * 64 < len(drawn) / 300 < 1.1 * 64
    shares = np.bincount(drawn, minlength=train.num_targets) / len(drawn)
    weights = train.target_weights()
    assert weights is not None
    np.testing.assert_allclose(shares, weights / weights.sum(), rtol=0.25)
    np.testing.assert_array_equal(sampler.at(7), sampler.at(7))


def test_a_comparison_is_that_of_repeated_items(corpora: tuple[LineCorpus, LineCorpus]) -> None:
    models = [model_of("lstm", corpora[0]), model_of("gru", corpora[0])]
    counted, repeated = (compare_models([models[0]], [models[1]], corpus, "val") for corpus in corpora)
    assert counted.overall.difference == pytest.approx(repeated.overall.difference, rel=1e-4)
    for a, b in zip((*counted.kinds, *counted.positions), (*repeated.kinds, *repeated.positions), strict=False):
        if a.name == b.name and a.group == "position":
            assert a.num_targets == b.num_targets
            assert a.a == pytest.approx(b.a, rel=1e-5)


def test_without_by_count_each_item_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "counted.csv"
    path.write_text("name,times\n" + "".join(f"{a},{n}\n" for a, n in zip(NAMES * 2, COUNTS * 2, strict=True)))
    corpus = load_corpus(path, column="name", count_column="times", by_count=False, min_count=3)
    assert corpus.train.segment_weights is None
    assert len(corpus.train.lines) + len(corpus.val.lines) + len(corpus.test.lines) == 2 * sum(
        2 * count >= 3 for count in COUNTS
    )
