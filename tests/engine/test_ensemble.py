"""Several models as one: their mean probabilities, in one pass and step by step."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from wavemore.engine.ensemble import Ensemble
from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import generate_text
from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

Build = Callable[..., Model]


@pytest.fixture
def models(corpus: LineCorpus, small_model: Build) -> list[Model]:
    """A model of every kind."""
    return [small_model(name, len(corpus.vocabulary)) for name in MODELS]


def test_the_probabilities_are_the_means(models: list[Model], corpus: LineCorpus) -> None:
    ensemble, tokens = Ensemble(models).eval(), torch.tensor([[0, 3, 1, 2], [0, 1, 1, 4]])
    mean = torch.stack([model(tokens).softmax(dim=2) for model in models]).mean(dim=0)
    torch.testing.assert_close(ensemble(tokens).exp(), mean)
    torch.testing.assert_close(ensemble(tokens, logits_to_keep=1).exp(), mean[:, -1:])
    assert ensemble.parameter_count() == sum(model.parameter_count() for model in models)
    assert ensemble.context is None
    assert all(type(model).__name__ in ensemble._repr_html_() for model in models)
    assert Ensemble([models[0], models[3]]).context == max(models[0].context or 0, models[3].context or 0)
    together = evaluate(ensemble, corpus.val)
    assert together.nats == pytest.approx(evaluate(models, corpus.val).nats)


@torch.no_grad()
def test_the_decoder_is_the_forward_pass(models: list[Model]) -> None:
    ensemble, tokens = Ensemble(models).eval(), torch.tensor([[3, 1, 2], [1, 1, 4]])
    expected = ensemble(torch.cat([torch.zeros(2, 1, dtype=torch.int64), tokens], dim=1))
    decoder = ensemble.decoder(2)
    torch.testing.assert_close(decoder.prefill(tokens[:, :2]), expected[:, :2])
    torch.testing.assert_close(decoder.logits, expected[:, 2])
    decoder.select(torch.tensor([1, 0, 1]))
    torch.testing.assert_close(decoder.step(tokens[[1, 0, 1], 2]), expected[[1, 0, 1], 3])


def test_lines_and_texts_are_drawn_from_it(
    models: list[Model], corpus: LineCorpus, text: TextCorpus, small_model: Build
) -> None:
    ensemble = Ensemble(models)
    samples = list(generate(ensemble, corpus.vocabulary, 20, Sampling(seed=1), corpus.line_hashes))
    scores = score(ensemble, corpus.vocabulary, [sample.text for sample in samples])
    assert [sample.nats for sample in samples] == pytest.approx([scored.nats for scored in scores])
    of_text = Ensemble([small_model(name, len(text.vocabulary)) for name in ("ngram", "lstm", "tree")])
    (one,) = generate_text(of_text, text.vocabulary, 1, 40, Sampling(prefix="the ", seed=1))
    (scored,) = score(of_text, text.vocabulary, [one.text], format="text")
    assert sum(scored.char_nats[4:]) == pytest.approx(one.nats)


@torch.no_grad()
def test_one_model_is_itself_and_frequencies_lie_between(corpus: LineCorpus, small_model: Build) -> None:
    model, other = small_model("tree", len(corpus.vocabulary)), small_model("bigram", len(corpus.vocabulary))
    settings = Sampling(seed=2)
    alone, one = (list(generate(m, corpus.vocabulary, 30, settings)) for m in (model, Ensemble([model])))
    assert [sample.text for sample in alone] == [sample.text for sample in one]
    first = [each.logits.softmax(dim=1)[0] for each in (model.decoder(1), other.decoder(1))]
    drawn = [sample.text[0] for sample in generate(Ensemble([model, other]), corpus.vocabulary, 3_000, settings)]
    likeliest = int(first[0][1:].argmax())  # no line is empty
    both = (first[0] + first[1]) / 2
    expected = float(both[1 + likeliest] / both[1:].sum())
    share = np.mean([letter == corpus.vocabulary.characters[likeliest] for letter in drawn])
    assert share == pytest.approx(expected, abs=0.04)


def test_models_that_do_not_belong_together(corpus: LineCorpus, small_model: Build) -> None:
    one, other = (small_model(name, len(corpus.vocabulary)) for name in ("tree", "ngram"))
    for wrong in ([one, small_model("tree", 4)], [one, other]):
        one.characters, other.characters = corpus.vocabulary.characters, corpus.vocabulary.characters[::-1]
        with pytest.raises(ModelError, match="the models have different characters or labels"):
            Ensemble(wrong)
    with pytest.raises(UsageError, match="`models` is an empty list"):
        Ensemble([])
