"""New texts: with the nats of their scores, and repeatable."""

from collections.abc import Callable

import pytest

from wavemore.engine.evaluate import score
from wavemore.engine.generate_text import generate_text, stream_text
from wavemore.engine.sampling import Sampling
from wavemore.errors import UnknownCharacterError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS
from wavemore.text.text_corpus import TextCorpus


@pytest.mark.parametrize("name", MODELS)
def test_the_nats_of_a_text_are_its_score(name: str, text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model(name, len(text.vocabulary))
    for prefix in ("", "the cat\n"):
        texts = generate_text(model, text.vocabulary, 3, 40, Sampling(prefix=prefix, seed=5))
        assert [one.text[: len(prefix)] for one in texts] == [prefix] * 3
        assert [len(one.text) for one in texts] == [40 + len(prefix)] * 3
        scores = score(model, text.vocabulary, [one.text for one in texts], format="text")
        for one, scored in zip(texts, scores, strict=True):
            assert sum(scored.char_nats[len(prefix) :]) == pytest.approx(one.nats, abs=1e-8)


def test_greedy_texts_are_equal_and_a_seed_repeats_itself(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("tree", len(text.vocabulary))
    one, other = generate_text(model, text.vocabulary, 2, 30, Sampling(temperature=0))
    assert one == other
    again = [generate_text(model, text.vocabulary, 2, 30, Sampling(seed=1)) for _ in range(2)]
    assert again[0][0] != again[0][1]
    assert again[0] == again[1] != generate_text(model, text.vocabulary, 2, 30, Sampling(seed=2))


def test_wrong_requests_are_refused(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("bigram", len(text.vocabulary))
    assert generate_text(model, text.vocabulary, 0, 5, Sampling()) == []
    with pytest.raises(UsageError, match="`length` is 0"):
        generate_text(model, text.vocabulary, 1, 0, Sampling())
    with pytest.raises(UnknownCharacterError, match="'Q'"):
        generate_text(model, text.vocabulary, 1, 5, Sampling(prefix="Q"))


def test_the_modes_are_restored(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("tree", len(text.vocabulary)).train()
    generate_text(model, text.vocabulary, 1, 3, Sampling())
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("stop", ["a", "at", "\n\n", " "])
def test_each_text_ends_behind_the_stop(stop: str, text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model, settings = small_model("lstm", len(text.vocabulary)), Sampling(prefix="cat\n\n", seed=3)
    whole = generate_text(model, text.vocabulary, 30, 60, settings)
    stopped = generate_text(model, text.vocabulary, 30, 60, settings, stop)
    for one, other in zip(stopped, whole, strict=True):
        drawn, longer = one.text.removeprefix("cat\n\n"), other.text.removeprefix("cat\n\n")
        before, found, _ = longer.partition(stop)
        assert drawn == before + found
        assert one.num_drawn == len(drawn)
        assert one.nats_per_char * len(drawn) == pytest.approx(one.nats)
    assert any(stop in one.text[5:] for one in stopped)
    (scored,) = score(model, text.vocabulary, [stopped[0].text], format="text")
    assert sum(scored.char_nats[5:]) == pytest.approx(stopped[0].nats)


def test_a_stream_ends_with_its_last_text(text: TextCorpus, small_model: Callable[..., Model]) -> None:
    model, settings = small_model("tree", len(text.vocabulary)), Sampling(seed=3)
    for n in (1, 5):
        steps = list(stream_text(model, text.vocabulary, n, 1_000, settings, "a"))
        longest = max(one.num_drawn for one in generate_text(model, text.vocabulary, n, 1_000, settings, "a"))
        assert len(steps) == longest < 1_000
    with pytest.raises(UnknownCharacterError, match="'Q'"):
        generate_text(model, text.vocabulary, 1, 5, settings, "Q")
