"""A model predicts only characters that it knows by their ids: another vocabulary is an error, not a wrong number."""

from collections.abc import Callable

import numpy as np
import pytest

from wavemore.engine.distillation import soft_targets
from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.fit import fit
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import generate_text
from wavemore.engine.recipe import Recipe
from wavemore.engine.sampling import Sampling
from wavemore.errors import ModelError, UsageError, WavemoreError
from wavemore.inspection.inspect import inspect_model
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.parts import LinePart, Part, TextPart
from wavemore.text.text_corpus import TextCorpus
from wavemore.text.vocabulary import Vocabulary

NAMES = pytest.mark.parametrize("name", MODELS)


def translated(corpus: LineCorpus, letters: str) -> LineCorpus:
    """Return a corpus of the same lines in other letters."""
    table = str.maketrans(corpus.vocabulary.characters, letters)
    lines = [line.translate(table) for part in (corpus.train, corpus.val, corpus.test) for line in part.lines]
    return LineCorpus.from_lines(lines)


def trained(model: Model, corpus: LineCorpus) -> Model:
    for _ in fit(model, corpus, Recipe(steps=1, batch_size=16, num_evals=1)):
        pass
    return model


@NAMES
def test_a_vocabulary_of_another_size_is_an_error(
    name: str, corpus: LineCorpus, text: TextCorpus, small_model: Callable[..., Model]
) -> None:
    for size in (3, len(corpus.vocabulary) - 1, len(corpus.vocabulary) + 1, 40):
        model = small_model(name, size)
        uses: list[Callable[[], object]] = [
            lambda model=model: evaluate(model, corpus.val),  # type: ignore[misc]
            lambda model=model: evaluate([model, model], corpus.val),  # type: ignore[misc]
            lambda model=model: evaluate(model, text.val),  # type: ignore[misc]
            lambda model=model: score(model, corpus.vocabulary, ["kamo"]),  # type: ignore[misc]
            lambda model=model: score(model, text.vocabulary, ["the"], "text"),  # type: ignore[misc]
            lambda model=model: list(generate(model, corpus.vocabulary, 1, Sampling())),  # type: ignore[misc]
            lambda model=model: generate_text(model, text.vocabulary, 1, 3, Sampling()),  # type: ignore[misc]
            lambda model=model: soft_targets([model], corpus),  # type: ignore[misc]
            lambda model=model: list(fit(model, corpus, Recipe(steps=1))),  # type: ignore[misc]
            lambda model=model: inspect_model(model, corpus),  # type: ignore[misc]
        ]
        for use in uses:
            with pytest.raises(WavemoreError, match=r"vocabulary|table of counts"):
                use()


@NAMES
def test_other_characters_of_the_same_number_are_an_error_after_a_training(
    name: str, corpus: LineCorpus, small_model: Callable[..., Model]
) -> None:
    model = trained(small_model(name, len(corpus.vocabulary)).float(), corpus)
    other = translated(corpus, "ABCDEFGHI")
    assert len(other.vocabulary) == len(corpus.vocabulary)
    evaluate(model, corpus.val)
    with pytest.raises(ModelError, match="'ABCDEFGHI'"):
        evaluate(model, other.val)
    with pytest.raises(ModelError, match="not trained on"):
        score(model, other.vocabulary, ["A"])
    with pytest.raises(ModelError, match="not trained on"):
        list(generate(model, other.vocabulary, 1, Sampling()))
    with pytest.raises(ModelError, match="not trained on"):
        list(fit(model, other, Recipe(steps=1)))
    with pytest.raises(ModelError, match="not trained on"):
        soft_targets([model], other)
    with pytest.raises(WavemoreError, match=r"not trained on|table of counts"):
        inspect_model(model, other)


def test_a_part_keeps_its_vocabulary(corpus: LineCorpus, text: TextCorpus) -> None:
    for part in (corpus.train, corpus.val, corpus.test, text.train, text.val):
        vocabulary = corpus.vocabulary if part.format == "lines" else text.vocabulary
        for piece in (part, part.sample(40), part.tail(40), part.as_lines(vocabulary)):
            assert piece.vocabulary == vocabulary


def test_tokens_of_an_unknown_vocabulary_that_a_model_lacks_are_an_error(
    corpus: LineCorpus, small_model: Callable[..., Model]
) -> None:
    model, part = small_model("lstm", 3), corpus.val
    parts: list[Part] = [LinePart(part.lines, part.tokens, part.leak_free), TextPart(part.tokens)]
    for unknown in parts:
        with pytest.raises(ModelError, match=r"the token 9, and the model only 0 to 2"):
            evaluate(model, unknown)


def test_one_string_is_not_many(corpus: LineCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("tree", len(corpus.vocabulary))
    for one in ("kamo", b"kamo"):
        with pytest.raises(UsageError, match="`texts` is one string"):
            score(model, corpus.vocabulary, one)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="one string"):
            LineCorpus.from_lines(one)  # type: ignore[arg-type]
    assert len(score(model, corpus.vocabulary, ["kamo"])) == 1
    assert len(score(model, corpus.vocabulary, (line for line in ("ka", "mo")))) == 2
    assert len(score(model, corpus.vocabulary, np.array(["ka", "mo"]))) == 2


def test_no_model_is_an_error(corpus: LineCorpus) -> None:
    with pytest.raises(UsageError, match="`model` is an empty list"):
        evaluate([], corpus.val)


def test_characters_are_the_same_for_a_vocabulary_that_is_read_again(
    corpus: LineCorpus, small_model: Callable[..., Model]
) -> None:
    model = trained(small_model("tree", len(corpus.vocabulary)).float(), corpus)
    assert model.characters == corpus.vocabulary.characters
    score(model, Vocabulary.from_json(corpus.vocabulary.to_json()), ["kamo"])
