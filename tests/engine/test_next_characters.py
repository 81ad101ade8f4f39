"""The next characters: the model's own probabilities, of all labels together if none is given."""

from collections.abc import Callable
from math import exp

import pytest
import torch

from wavemore.engine.evaluate import score
from wavemore.engine.next_characters import next_characters
from wavemore.errors import ModelError, UnknownCharacterError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import LABELLED, MODELS, build
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus


@pytest.mark.parametrize("name", MODELS)
def test_they_are_the_models_predictions(
    name: str, corpus: LineCorpus, text: TextCorpus, small_model: Callable[..., Model]
) -> None:
    model = small_model(name, len(corpus.vocabulary)).train()
    for prefix in ("", "ka", "kamori"):
        found = next_characters(model, corpus.vocabulary, prefix)
        assert [each.p for each in found] == sorted((each.p for each in found), reverse=True)
        end = next(each.p for each in found if each.character == "")
        assert end == pytest.approx(exp(-score(model, corpus.vocabulary, [prefix])[0].char_nats[-1]))
        (scored,) = score(model, corpus.vocabulary, [f"{prefix}mo"])
        assert dict(found)["m"] == pytest.approx(exp(-scored.char_nats[len(prefix)]))
    assert all(module.training for module in model.modules())
    of_text = small_model(name, len(text.vocabulary))
    found = next_characters(of_text, text.vocabulary, "the cat\n", format="text")
    (scored,) = score(of_text, text.vocabulary, ["the cat\n\n"], format="text")
    assert dict(found)["\n"] == pytest.approx(exp(-scored.char_nats[-1]))
    assert "" not in dict(found)


@pytest.mark.parametrize("name", LABELLED)
def test_labels_count_as_much_as_they_are_likely(name: str, small_settings: dict[str, dict[str, object]]) -> None:
    words = ["".join(letters) for letters in ("ka", "ta", "kani", "tari", "mo", "na", "moni", "nas", "no", "ni")]
    corpus = LineCorpus.from_lines(words * 4, labels=["de" if word[0] in "kt" else "fi" for word in words] * 4)
    vocabulary, config = corpus.vocabulary, MODELS[name].config(**small_settings[name])
    model = build(name, len(vocabulary), config, seed=0, num_labels=2).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                parameter.normal_(std=0.7, generator=torch.Generator().manual_seed(1))

    def p_of(line: str, label: str) -> float:
        return exp(-sum(score(model, vocabulary, [line + "s"], labels=[label])[0].char_nats[: len(line)]))

    shares = dict(zip(vocabulary.labels.names, vocabulary.labels.shares, strict=True))
    for prefix in ("", "ka"):
        mixed = dict(next_characters(model, vocabulary, prefix))
        for character in "ak":
            joint = sum(share * p_of(prefix + character, label) for label, share in shares.items())
            assert mixed[character] == pytest.approx(joint / sum(s * p_of(prefix, n) for n, s in shares.items()))
        one = dict(next_characters(model, vocabulary, prefix, label="fi"))
        assert one["a"] == pytest.approx(p_of(f"{prefix}a", "fi") / p_of(prefix, "fi"))


def test_wrong_requests_are_refused(corpus: LineCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("tree", len(corpus.vocabulary))
    with pytest.raises(UnknownCharacterError, match="'Q'"):
        next_characters(model, corpus.vocabulary, "kaQ")
    with pytest.raises(UsageError, match="lines without labels"):
        next_characters(model, corpus.vocabulary, "ka", label="de")
    with torch.no_grad():
        next(model.parameters()).fill_(torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        next_characters(model, corpus.vocabulary)
