"""The same seed gives the same lines and texts for any number of them, known lines in any form, and draws end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from wavemore.engine import generate_lines, line_source
from wavemore.engine.generate_lines import generate
from wavemore.engine.generate_text import generate_text
from wavemore.engine.sampling import Sampling
from wavemore.errors import DataError, ModelError, UsageError
from wavemore.nn.layers import Linear
from wavemore.nn.model import Decoder, Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.tree import Tree
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.lines import Lines
from wavemore.text.text_corpus import TextCorpus

NAMES = pytest.mark.parametrize("name", MODELS)
PATHS = pytest.mark.parametrize("cached", [True, False], ids=["cached", "naive"])


def without_cache(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read the whole context again at every step."""

    def decoder(self: Model, lines: int, starts: Tensor | None = None) -> Decoder:
        return Model.decoder(self, lines, starts)

    if model.context is not None:  # the default decoder needs one
        monkeypatch.setattr(type(model), "decoder", decoder)


@NAMES
@PATHS
def test_more_lines_begin_with_the_same_ones(
    name: str, cached: bool, corpus: LineCorpus, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(name, len(corpus.vocabulary)).float()
    if not cached:
        without_cache(model, monkeypatch)
    sampling = Sampling(seed=3, max_length=12)
    made = list(generate(model, corpus.vocabulary, 400, sampling, corpus.line_hashes))
    assert len(made) == 400
    for n in (1, 2, 10, 16, 17, 31, 32, 33, 50, 64, 65, 100, 257):
        assert list(generate(model, corpus.vocabulary, n, sampling, corpus.line_hashes)) == made[:n]


@pytest.mark.parametrize("settings", [{"new": True}, {"distinct": True}, {"temperature": 0.5, "prefix": "k"}])
def test_more_lines_that_pass_filters_begin_with_the_same_ones(
    settings: dict[str, Any], corpus: LineCorpus, small_model: Callable[..., Model]
) -> None:
    model = small_model("tree", len(corpus.vocabulary))
    sampling = Sampling(seed=3, max_length=4, **settings)
    made = list(generate(model, corpus.vocabulary, 200, sampling, corpus.line_hashes))
    for n in (5, 20, 40, 150):
        assert list(generate(model, corpus.vocabulary, n, sampling, corpus.line_hashes)) == made[:n]


@NAMES
@PATHS
def test_more_texts_begin_with_the_same_ones(
    name: str, cached: bool, text: TextCorpus, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = small_model(name, len(text.vocabulary)).float()
    if not cached:
        without_cache(model, monkeypatch)
    made = generate_text(model, text.vocabulary, 20, 20, Sampling(seed=3))
    assert len({one.text for one in made}) > 1
    for n in (1, 2, 4, 5, 16, 17):
        assert generate_text(model, text.vocabulary, n, 20, Sampling(seed=3)) == made[:n]


def test_known_lines_are_strings_or_hashes_in_any_order(corpus: LineCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("bigram", len(corpus.vocabulary))
    sampling = Sampling(max_length=3)
    drawn = [sample.text for sample in generate(model, corpus.vocabulary, 300, sampling)]
    known = sorted(set(drawn))[::3]
    hashes = Lines.from_iterable(known).hashes()
    expected = [text not in known for text in drawn]
    assert True in expected
    assert False in expected
    forms: list[Any] = [known, set(known), iter(known), tuple(known), np.array(known), Lines.from_iterable(known)]
    forms += [hashes, np.sort(hashes), hashes[::-1], hashes.tolist(), [f" {line}\n" for line in known]]
    for form in forms:
        samples = generate(model, corpus.vocabulary, 300, sampling, form)
        assert [sample.new for sample in samples] == expected
    nothings: list[Any] = [None, [], np.zeros(0, np.uint64)]
    for nothing in nothings:
        assert all(sample.new for sample in generate(model, corpus.vocabulary, 50, sampling, nothing))


def test_known_lines_of_other_types_are_refused(corpus: LineCorpus, small_model: Callable[..., Model]) -> None:
    model = small_model("bigram", len(corpus.vocabulary))
    with pytest.raises(UsageError, match="`known` is one string"):
        list(generate(model, corpus.vocabulary, 3, Sampling(), "kamo"))
    for wrong in ([1.5], [None], np.zeros(3), [-1], 7):
        with pytest.raises((UsageError, DataError), match="known"):
            list(generate(model, corpus.vocabulary, 3, Sampling(), wrong))  # type: ignore[arg-type]


def never_ends(model: Model) -> None:
    """Make the end of a line as good as impossible."""
    assert isinstance(model, Tree)
    head = model.layers[-1]
    assert isinstance(head, Linear)
    assert head.bias is not None
    with torch.no_grad():
        head.bias[0] -= 30


@pytest.mark.parametrize("max_length", [5, 15, pytest.param(20_000, marks=pytest.mark.slow)])
def test_draws_are_bounded_if_lines_do_not_end(
    max_length: int, corpus: LineCorpus, small_model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate_lines, "MAX_FAILED_CHARACTERS", 20_000)
    monkeypatch.setattr(line_source, "MAX_BATCH_CHARACTERS", 40_000)
    model = small_model("tree", len(corpus.vocabulary))
    never_ends(model)
    steps = 0
    decoder = model.decoder

    def counting(lines: int) -> Decoder:
        made = decoder(lines)
        step = made.step

        def counted(tokens: torch.Tensor) -> torch.Tensor:
            nonlocal steps
            steps += 1
            return step(tokens)

        made.step = counted  # type: ignore[method-assign]
        return made

    monkeypatch.setattr(model, "decoder", counting)
    for n in (1, 10**6):
        steps = 0
        assert list(generate(model, corpus.vocabulary, n, Sampling(max_length=max_length))) == []
        assert steps <= 40_000


def test_a_batch_of_lines_is_small_if_they_are_long_or_the_vocabulary_is_large(corpus: LineCorpus) -> None:
    for size, max_length, most in ((9, 5, 32_768), (9, 10_000, 52), (9, 100_000, 5), (6_000, 15, 1_398)):
        model = build("bigram", 9, MODELS["bigram"].config(), seed=0)
        model.vocabulary_size = size
        source = line_source.LineSource(
            model, corpus.vocabulary, Sampling(max_length=max_length), np.zeros(0, np.uint64)
        )
        source.lines = 10**6
        assert source.batch_size == most


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error(
    value: float, corpus: LineCorpus, text: TextCorpus, small_model: Callable[..., Model]
) -> None:
    for name in ("tree", "wavenet"):
        model = small_model(name, len(corpus.vocabulary))
        with torch.no_grad():
            list(model.parameters())[-1].fill_(value)
        with pytest.raises(ModelError, match="not finite"):
            list(generate(model, corpus.vocabulary, 3, Sampling()))
        model = small_model(name, len(text.vocabulary))
        with torch.no_grad():
            list(model.parameters())[-1].fill_(value)
        with pytest.raises(ModelError, match="not finite"):
            generate_text(model, text.vocabulary, 1, 3, Sampling())
