"""Trainings on continuous text, of every model."""

from itertools import islice
from math import log
from typing import Any

import pytest
import torch

from wavemore.engine.evaluate import evaluate
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.recipe import Recipe
from wavemore.errors import RunError, UsageError
from wavemore.nn.bigram import BigramConfig
from wavemore.nn.models import MODELS, build
from wavemore.nn.tree import TreeConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus


@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns_a_text(name: str, text: TextCorpus, small_settings: dict[str, dict[str, Any]]) -> None:
    training: dict[str, Any] = (
        {} if name == "ngram" else {"steps": 120, "batch_size": 320, "block_size": 40, "num_evals": 3}
    )
    planned = plan(text, model=name, **small_settings[name], **training)
    model = build(name, len(text.vocabulary), planned.model_config, seed=0)
    first = evaluate(model, text.val).nats
    losses = [record.val_nats for record in fit(model, text, planned.recipe) if record.val_nats is not None]
    assert len(losses) == (1 if name == "ngram" else 3)
    last = evaluate(model, text.val)
    assert last.nats == pytest.approx(min(losses), abs=1e-5)
    assert last.nats < first - 0.4
    assert last.num_targets == text.val.num_targets


def test_ngrams_of_a_text_reach_across_lines(text: TextCorpus) -> None:
    planned = plan(text, model="ngram", order=4)
    model = build("ngram", len(text.vocabulary), planned.model_config, seed=0)
    list(fit(model, text, planned.recipe))
    a, b = (model(torch.tensor([[0, *text.vocabulary.encode_text(s)]]))[0, -1] for s in ("t\n", ".\n"))
    assert not torch.allclose(a, b)


def test_a_resumed_training_gives_the_same_bits(text: TextCorpus, small_settings: dict[str, dict[str, Any]]) -> None:
    planned = plan(text, **small_settings["tree"], steps=12, batch_size=64, block_size=32, num_evals=2)
    whole, resumed, other = (build("tree", len(text.vocabulary), planned.model_config, seed=seed) for seed in (0, 0, 9))
    records = list(fit(whole, text, planned.recipe))
    training = fit(resumed, text, planned.recipe)
    list(islice(training, 5))
    rest = list(fit(other, text, planned.recipe, resume=training.checkpoint()))
    assert [r.train_nats for r in rest[-3:]] == [r.train_nats for r in records[-3:]]
    assert all(torch.equal(p, q) for p, q in zip(other.parameters(), whole.parameters(), strict=True))


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("done", [5, 17])  # within the first pass over the text, and in the next one
def test_a_resumed_training_goes_on_with_the_state_of_its_streams(name: str, done: int, text: TextCorpus) -> None:
    planned = plan(text, model=name, hidden=8, embedding=4, steps=24, batch_size=256, block_size=32, num_evals=2)
    assert planned.recipe.sampling == "streams"
    whole, resumed, other = (build(name, len(text.vocabulary), planned.model_config, seed=seed) for seed in (0, 0, 9))
    records = list(fit(whole, text, planned.recipe))
    training = fit(resumed, text, planned.recipe)
    list(islice(training, done))
    rest = list(fit(other, text, planned.recipe, resume=training.checkpoint()))
    assert [r.train_nats for r in rest[-3:]] == [r.train_nats for r in records[-3:]]
    assert all(torch.equal(p, q) for p, q in zip(other.parameters(), whole.parameters(), strict=True))


def test_the_state_of_a_training_of_another_kind_is_refused(text: TextCorpus) -> None:
    settings: dict[str, Any] = {"model": "lstm", "hidden": 8, "embedding": 4, "steps": 9, "block_size": 32}
    streams, shuffled = (plan(text, **settings, batch_size=64, sampling=kind) for kind in ("streams", "shuffle"))
    model = build("lstm", len(text.vocabulary), streams.model_config, seed=0)
    for before, after in ((streams, shuffled), (shuffled, streams)):
        training = fit(model, text, before.recipe)
        list(islice(training, 4))
        with pytest.raises(RunError, match="the saved state does not fit this training"):
            list(fit(model, text, after.recipe, resume=training.checkpoint()))


def test_streams_are_for_recurrent_models_on_a_text(text: TextCorpus, corpus: LineCorpus) -> None:
    for data, model in ((text, "wavenet"), (corpus, "lstm")):
        with pytest.raises(UsageError, match="streams is for recurrent models on continuous text"):
            plan(data, model=model, sampling="streams")
    recipe = Recipe(steps=1, batch_size=64, block_size=32, sampling="streams")
    with pytest.raises(UsageError, match="streams is for recurrent models on continuous text"):
        list(fit(build("bigram", len(text.vocabulary), BigramConfig(), seed=0), text, recipe))


def test_the_val_loss_in_training_is_that_of_a_sample_of_a_long_val_part(
    text: TextCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavemore.engine.loss_parts.VAL_SAMPLE", 200)
    model = build("bigram", len(text.vocabulary), BigramConfig(), seed=0)
    [record] = fit(model, text, Recipe(steps=1, batch_size=32, block_size=32, num_evals=1))
    assert record.val_nats == pytest.approx(evaluate(model, text.val.sample(200)).nats, abs=1e-6)


def test_a_tree_that_depends_on_the_position_is_trained_on_a_text_too(text: TextCorpus) -> None:
    config = TreeConfig(fuse=(2, 2), embedding=4, hidden=8, norm="batch-per-position")
    model = build("tree", len(text.vocabulary), config, seed=0)
    *_, record = fit(model, text, Recipe(steps=30, batch_size=64, block_size=32, num_evals=1))
    assert record.best_val_nats == pytest.approx(evaluate(model, text.val).nats, abs=1e-6)
    assert record.best_val_nats < log(len(text.vocabulary)) - 0.2
