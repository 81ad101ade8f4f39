"""A model that is adapted to examples: more like these, and nothing else is different."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from wavemore.engine.adapt import MAX_COPIES, adapt
from wavemore.engine.ensemble import Ensemble
from wavemore.engine.evaluate import score
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.labels import labels_of
from wavemore.engine.plan import plan
from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError, UnknownCharacterError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import LABELLED, MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.lines import Lines
from wavemore.text.one_edit import within_one_edit
from wavemore.text.vocabulary import Vocabulary

LANGUAGES = (["ka", "mo", "ri", "ten", "su"], ["be", "du", "fig", "lo", "pa"])
EXAMPLES = ["tenkamo", "sutenrika", "kamori"]
SAMPLING = Sampling(seed=3, max_length=14, distinct=True)


@pytest.fixture(scope="module")
def corpus() -> LineCorpus:
    """600 words of two languages with other letters."""
    rng = np.random.default_rng(0)
    return LineCorpus.from_lines(
        ["".join(rng.choice(syllables, size=rng.integers(2, 5))) for syllables in LANGUAGES for _ in range(300)]
    )


@pytest.fixture(scope="module")
def trained(corpus: LineCorpus) -> Model:
    """A small tree that knows both languages."""
    chosen = plan(corpus, model="tree", fuse=(2, 2), embedding=8, hidden=32, steps=100, batch_size=64, seed=0)
    model = build("tree", len(corpus.vocabulary), chosen.model_config, seed=0)
    for _ in fit(model, corpus, chosen.recipe):
        pass
    return model


def fits(model: Model, vocabulary: Vocabulary) -> float:
    """The share of lines of the first language."""
    samples = list(generate(model, vocabulary, 300, Sampling(seed=1, max_length=14)))
    return sum(is_first(sample.text) for sample in samples) / len(samples)


def is_first(text: str) -> bool:
    return set(text) <= set("".join(LANGUAGES[0]))


def test_lines_become_like_the_examples(corpus: LineCorpus, trained: Model) -> None:
    state, modes = deepcopy(trained.state_dict()), [module.training for module in trained.modules()]
    adapted = adapt(trained, corpus.vocabulary, EXAMPLES, SAMPLING)
    assert adapted.strength > 0
    assert fits(adapted.model, corpus.vocabulary) > fits(trained, corpus.vocabulary) + 0.15
    assert [module.training for module in trained.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in trained.state_dict().items())
    assert all(parameter.requires_grad for parameter in trained.parameters())
    again = adapt(trained, corpus.vocabulary, EXAMPLES, SAMPLING)
    assert list(generate(again.model, corpus.vocabulary, 20, SAMPLING)) == list(
        generate(adapted.model, corpus.vocabulary, 20, SAMPLING)
    )


def test_the_most_alike_are_chosen(corpus: LineCorpus, trained: Model) -> None:
    vocabulary = corpus.vocabulary
    adapted = adapt(trained, vocabulary, EXAMPLES, SAMPLING)
    pool = list(generate(adapted.model, vocabulary, adapted.pool_size(10), SAMPLING))
    chosen = adapted.choose(pool, 10)
    texts = [sample.text for sample in chosen]
    assert len(set(texts)) == 10
    assert sum(map(is_first, texts)) > 10 * fits(adapted.model, vocabulary)
    assert not within_one_edit(texts, np.sort(Lines.from_iterable(EXAMPLES).hashes()), vocabulary.characters).any()
    own, changed = (score(model, vocabulary, texts) for model in (trained, adapted.model))
    assert [sample.nats for sample in chosen] == pytest.approx([each.nats for each in own], abs=1e-4)
    gains = [a.nats_per_char - b.nats_per_char for a, b in zip(own, changed, strict=True)]
    assert gains == pytest.approx(sorted(gains, reverse=True), abs=1e-4)
    wishes = replace(SAMPLING, prefix="mo", suffix="ri", contains=("ka",))
    wished = [sample.text for sample in generate(adapted.model, vocabulary, 3, wishes)]
    assert all(text.startswith("mo") and text.endswith("ri") and "ka" in text for text in wished)
    assert len(set(wished)) == 3
    assert adapted.draw(10, SAMPLING) == chosen
    assert adapted.choose([], 3) == []
    assert adapted.choose(iter(pool), 0) == []


def test_copies_stay_rare(corpus: LineCorpus, trained: Model) -> None:
    for examples in (["moka"], EXAMPLES, [*EXAMPLES, "bedu", "lopalo"]):
        adapted = adapt(trained, corpus.vocabulary, examples)
        shares = [
            sum(np.exp(-each.nats) for each in score(model, corpus.vocabulary, examples))
            for model in (trained, adapted.model)
        ]
        assert shares[1] <= shares[0] + 1.01 * MAX_COPIES


@pytest.mark.parametrize("name", MODELS)
def test_every_model_can_be_adapted(corpus: LineCorpus, small_model: Callable[[str, int], Model], name: str) -> None:
    model, vocabulary = small_model(name, len(corpus.vocabulary)), corpus.vocabulary
    adapted = adapt(model, vocabulary, EXAMPLES, SAMPLING)
    before, after = (sum(each.nats for each in score(m, vocabulary, EXAMPLES)) for m in (model, adapted.model))
    assert after < before
    samples = list(generate(adapted.model, vocabulary, 20, replace(SAMPLING, prefix="ka")))
    assert all(sample.text.startswith("ka") for sample in samples)
    scores = score(adapted.model, vocabulary, [sample.text for sample in samples])
    assert [s.nats for s in samples] == pytest.approx([each.nats for each in scores])  # decoding equals reading
    assert (adapted.model.context, adapted.model.vocabulary_size) == (model.context, model.vocabulary_size)


@pytest.mark.parametrize("name", LABELLED[:2])
def test_labels(name: str, small_settings: dict[str, dict[str, object]]) -> None:
    lines = [a + b + c for a in "ktmn" for b in "aeiou" for c in ("", "na", "ri")]
    corpus = LineCorpus.from_lines(lines, labels=["de" if line[0] in "kt" else "fi" for line in lines])
    vocabulary = corpus.vocabulary
    model = build(name, len(vocabulary), MODELS[name].config(**small_settings[name]), seed=0, num_labels=2)
    adapted = adapt(model, vocabulary, ["kana", "tena"], Sampling(label="fi"))
    likeliest = labels_of(model, vocabulary, ["kana"])[0][0]
    alone = adapt(model, vocabulary, ["kana"])
    assert (alone.label, adapted.label) == (likeliest, "fi")
    assert {sample.label for sample in alone.draw(5, Sampling(max_length=9))} == {likeliest}
    pool = list(generate(adapted.model, vocabulary, 40, Sampling(label="fi", max_length=9)))
    chosen = adapted.choose(pool, 5)
    assert {sample.label for sample in chosen} == {"fi"}
    own = score(model, vocabulary, [sample.text for sample in chosen], labels=["fi"] * 5)
    assert [sample.nats for sample in chosen] == pytest.approx([each.nats for each in own], abs=1e-4)


def test_examples_that_are_none(corpus: LineCorpus, trained: Model) -> None:
    for examples in ([], ["moka", " "]):
        with pytest.raises(UsageError, match="there is no example to be like, or an empty one"):
            adapt(trained, corpus.vocabulary, examples)
    with pytest.raises(UsageError, match="`examples` is one string"):
        adapt(trained, corpus.vocabulary, "moka")
    with pytest.raises(UnknownCharacterError, match="unknown character 'z'"):
        adapt(trained, corpus.vocabulary, ["moka", "zora"])
    with pytest.raises(ModelError):
        adapt(trained, Vocabulary("abc"), ["ab"])


def test_an_ensemble_can_be_adapted(corpus: LineCorpus, trained: Model) -> None:
    counted = Ngram(len(corpus.vocabulary), NgramConfig(order=4))
    counted.count(torch.from_numpy(corpus.train.tokens.astype(np.int64)))
    both = Ensemble([trained, counted])
    adapted = adapt(both, corpus.vocabulary, EXAMPLES, SAMPLING)
    assert fits(adapted.model, corpus.vocabulary) > fits(both, corpus.vocabulary) + 0.1
