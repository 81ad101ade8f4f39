"""New lines: with the right probabilities, within the given limits, and never without end."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from math import exp
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from wavemore.engine.draw import draw, probabilities
from wavemore.engine.evaluate import score
from wavemore.engine.generate_lines import generate
from wavemore.engine.line_source import Sample
from wavemore.engine.sampling import Sampling
from wavemore.errors import UnknownCharacterError, UsageError
from wavemore.nn.layers import Linear
from wavemore.nn.tree import Tree, TreeConfig
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.lines import Lines
from wavemore.text.vocabulary import Vocabulary

AB = Vocabulary("ab")
NOTHING: NDArray[np.uint64] = np.zeros(0, np.uint64)


@pytest.fixture
def model(lively: Callable[..., Tree]) -> Tree:
    return lively(TreeConfig(fuse=(2, 2), embedding=4, hidden=8))


@pytest.fixture
def ab(lively: Callable[..., Tree]) -> Tree:
    """A model of two characters that sees two of them."""
    return lively(TreeConfig(fuse=(2,), embedding=3, hidden=5), vocabulary_size=3, seed=1)


def lines(model: Tree, corpus: LineCorpus, n: int, **settings: Any) -> list[Sample]:
    return list(generate(model, corpus.vocabulary, n, Sampling(**settings), corpus.line_hashes))


def texts(samples: Sequence[Sample]) -> list[str]:
    return [sample.text for sample in samples]


def prefer(model: Tree, token: int) -> None:
    """Make `token` by far the most likely everywhere."""
    head = model.layers[-1]
    assert isinstance(head, Linear)
    assert head.bias is not None
    with torch.no_grad():
        head.bias[token] += 1e3


def test_the_same_seed_gives_the_same_lines(model: Tree, corpus: LineCorpus) -> None:
    one, two = (lines(model, corpus, 50, seed=3) for _ in range(2))
    assert one == two
    assert len(one) == 50
    assert one != lines(model, corpus, 50, seed=4)


def test_lines_neither_depend_on_the_global_random_state_nor_change_it(model: Tree, corpus: LineCorpus) -> None:
    before = torch.get_rng_state()
    one = lines(model, corpus, 20)
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(5)
    assert lines(model, corpus, 20) == one


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"temperature": 0.6},
        {"temperature": 1.7},
        {"temperature": 0.0, "max_length": 5_000},
        {"top_k": 4},
        {"top_p": 0.8},
        {"prefix": "kam"},
        {"min_length": 6},
        {"min_length": 0},
        {"max_length": 5},
        {"min_length": 3, "max_length": 3},
        {"temperature": 0.8, "top_k": 6, "top_p": 0.9, "prefix": "t", "min_length": 2, "max_length": 20, "new": True},
    ],
)
def test_the_nats_of_a_line_are_its_score(
    model: Tree, corpus: LineCorpus, settings: dict[str, Any], dtype: torch.dtype
) -> None:
    if settings.get("temperature") == 0:
        prefer(model.double(), 0)  # so that the most likely line ends
    model = model.to(dtype)
    samples = lines(model, corpus, 30, **settings)
    assert len(samples) == 30
    for sample, scored in zip(samples, score(model, corpus.vocabulary, texts(samples)), strict=True):
        assert sample.nats == pytest.approx(scored.nats, abs=1e-10 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize(("shortest", "longest"), [(0, 1), (1, 1), (3, 3), (2, 4), (5, 30)])
def test_lengths_are_within_their_limits(model: Tree, corpus: LineCorpus, shortest: int, longest: int) -> None:
    samples = lines(model, corpus, 200, min_length=shortest, max_length=longest)
    lengths = {len(text) for text in texts(samples)}
    assert len(samples) == 200
    assert shortest == min(lengths)
    assert max(lengths) <= longest
    assert longest > 10 or max(lengths) == longest


def test_distinct_lines_are_distinct(model: Tree, corpus: LineCorpus) -> None:
    assert len(set(texts(lines(model, corpus, 300, max_length=3)))) < 300
    distinct = texts(lines(model, corpus, 300, max_length=3, distinct=True))
    assert len(set(distinct)) == len(distinct) == 300


def test_new_lines_are_not_in_the_data(model: Tree, corpus: LineCorpus) -> None:
    data = {*corpus.train.lines, *corpus.val.lines, *corpus.test.lines}
    samples = lines(model, corpus, 3_000, max_length=2, min_length=2)
    assert {sample.new for sample in samples} == {True, False}
    assert all(sample.new == (sample.text not in data) for sample in samples)
    fresh = lines(model, corpus, 500, max_length=2, min_length=2, new=True)
    assert len(fresh) == 500
    assert not data & set(texts(fresh))


@pytest.mark.parametrize("prefix", ["k", "ten", "aaaaaaaaaa"])
def test_every_line_begins_with_the_prefix(model: Tree, corpus: LineCorpus, prefix: str) -> None:
    made = texts(lines(model, corpus, 50, prefix=prefix, max_length=30))
    assert len(made) == 50
    assert all(text.startswith(prefix) for text in made)
    assert len(set(made)) > 1


def test_a_prefix_leaves_room_for_a_character(model: Tree, corpus: LineCorpus) -> None:
    with pytest.raises(UsageError, match=r"`max_length` is 4; it must be above the length of `prefix` \(4\)"):
        lines(model, corpus, 4, prefix="kamo", max_length=4)
    drawn = texts(lines(model, corpus, 4, prefix="kamo", max_length=5))
    assert drawn
    assert all(text.startswith("kamo") and len(text) <= 5 for text in drawn)


def greedy_line(model: Tree, vocabulary: Vocabulary, min_length: int = 1, prefix: str = "") -> str:
    ids = vocabulary.encode(prefix).tolist()
    model.eval()
    while len(ids) < 1_000:
        context = ([0] * model.context + ids)[-model.context :]
        logits = model.windows(torch.tensor([context]))[0].tolist()
        if len(ids) < min_length:
            logits[0] = float("-inf")
        best = logits.index(max(logits))
        if best == 0:
            return vocabulary.decode(ids)
        ids.append(best)
    raise AssertionError("this line does not end")


@pytest.fixture
def ending(model: Tree) -> Tree:
    """A model whose most likely line has some characters and ends."""
    head = model.layers[-1]
    assert isinstance(head, Linear)
    assert head.bias is not None
    with torch.no_grad():
        head.bias[0] += 1.0
    return model


@pytest.mark.parametrize("settings", [{}, {"prefix": "mo"}, {"min_length": 7}, {"seed": 9}])
def test_temperature_0_takes_the_most_likely_character(
    ending: Tree, corpus: LineCorpus, settings: dict[str, Any]
) -> None:
    expected = greedy_line(ending, corpus.vocabulary, settings.get("min_length", 1), settings.get("prefix", ""))
    assert len(expected) >= settings.get("min_length", 1)
    assert texts(lines(ending, corpus, 3, temperature=0.0, **settings)) == [expected] * 3
    assert texts(lines(ending, corpus, 3, temperature=0.0, distinct=True, **settings)) == [expected]
    assert texts(lines(ending, corpus, 3, temperature=1.0, top_k=1, **settings)) == [expected] * 3
    assert texts(lines(ending, corpus, 3, temperature=1.0, top_p=1e-9, **settings)) == [expected] * 3


@pytest.mark.parametrize("temperature", [1e-3, 1e-12, 1e-320])
def test_very_low_temperatures_are_greedy(ending: Tree, corpus: LineCorpus, temperature: float) -> None:
    expected = greedy_line(ending, corpus.vocabulary)
    assert texts(lines(ending, corpus, 5, temperature=temperature)) == [expected] * 5


def test_a_greedy_line_that_does_not_end_is_an_error(model: Tree, corpus: LineCorpus) -> None:
    prefer(model, 2)
    with pytest.raises(UsageError, match="does not end within 40 characters"):
        lines(model, corpus, 1, temperature=0.0, max_length=40)


def test_a_greedy_line_of_the_data_is_not_new(ending: Tree, corpus: LineCorpus) -> None:
    known = Lines.from_iterable([greedy_line(ending, corpus.vocabulary)]).hashes()
    sampling = Sampling(temperature=0.0, new=True)
    assert list(generate(ending, corpus.vocabulary, 3, sampling, known)) == []


def exact_probabilities(model: Tree, sampling: Sampling) -> dict[str, float]:
    """Of every line of `ab` up to the maximum length, given that the line ends by then."""

    def p_next(ids: list[int]) -> list[float]:
        context = ([0] * model.context + ids)[-model.context :]
        logits = model.windows(torch.tensor([context]))[0].tolist()
        if not ids and sampling.min_length > 0:
            logits[0] = float("-inf")
        weights = [exp(logit / sampling.temperature) for logit in logits]
        if sampling.top_k != "all":
            bar = sorted(weights)[-sampling.top_k]
            weights = [weight if weight >= bar else 0.0 for weight in weights]
        return [weight / sum(weights) for weight in weights]

    model.eval()
    probability = {}
    start = AB.encode(sampling.prefix).tolist()
    for length in range(max(sampling.min_length, len(start)), sampling.max_length + 1):
        for rest in product((1, 2), repeat=length - len(start)):
            ids = [*start, *rest]
            p = 1.0
            for i, token in enumerate([*ids, 0]):
                p *= p_next(ids[:i])[token] if i >= len(start) else 1.0
            probability[AB.decode(ids)] = p
    total = sum(probability.values())
    return {text: p / total for text, p in probability.items()}


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(max_length=3),
        Sampling(max_length=3, min_length=0),
        Sampling(max_length=3, temperature=0.6),
        Sampling(max_length=3, temperature=2.5, min_length=2),
        Sampling(max_length=3, top_k=2),
        Sampling(max_length=4, prefix="ba"),
    ],
)
def test_lines_have_the_right_frequencies(ab: Tree, sampling: Sampling) -> None:
    expected = exact_probabilities(ab, sampling)
    draws = 20_000
    counts = Counter(texts(list(generate(ab, AB, draws, sampling, NOTHING))))
    assert counts.total() == draws
    assert counts.keys() <= expected.keys()
    assert all(counts[text] == 0 for text, p in expected.items() if p == 0)
    chi_square = sum((counts[text] - draws * p) ** 2 / (draws * p) for text, p in expected.items() if p > 0)
    # Of k lines: mean k - 1, standard deviation sqrt(2 (k - 1)); four of these are rarer than one in 1,000.
    freedom = sum(p > 0 for p in expected.values()) - 1
    assert chi_square < freedom + 4 * (2 * freedom) ** 0.5


def test_distinct_lines_run_out(ab: Tree) -> None:
    sampling = Sampling(max_length=2, distinct=True)
    made = texts(list(generate(ab, AB, 50, sampling, NOTHING)))
    assert sorted(made) == ["a", "aa", "ab", "b", "ba", "bb"]


def test_new_lines_run_out(ab: Tree) -> None:
    known = np.sort(Lines.from_iterable(["a", "b", "aa", "bb", "ab"]).hashes())
    sampling = Sampling(max_length=2, new=True)
    assert set(texts(list(generate(ab, AB, 50, sampling, known)))) == {"ba"}
    assert texts(list(generate(ab, AB, 50, replace(sampling, distinct=True), known))) == ["ba"]
    assert list(generate(ab, AB, 50, replace(sampling, max_length=1), known)) == []


def test_a_model_that_never_ends_a_line_gives_none(ab: Tree) -> None:
    prefer(ab, 1)
    assert list(generate(ab, AB, 5, Sampling(max_length=10), NOTHING)) == []


def test_no_line_begins_or_ends_with_a_space(lively: Callable[..., Tree]) -> None:
    vocabulary = Vocabulary(" a")
    model = lively(TreeConfig(fuse=(2,), embedding=3, hidden=5), vocabulary_size=3)
    made = texts(list(generate(model, vocabulary, 500, Sampling(max_length=6), NOTHING)))
    assert len(made) == 500
    assert all(text == text.strip() for text in made)
    assert any(" " in text for text in made)


def test_none_are_none(model: Tree, corpus: LineCorpus) -> None:
    assert lines(model, corpus, 0) == []
    prefer(model, 2)
    assert lines(model, corpus, 0, temperature=0.0) == []  # no error, although the line does not end


def test_wrong_requests_are_refused(model: Tree, corpus: LineCorpus) -> None:
    with pytest.raises(UsageError, match="`n` is -1"):
        lines(model, corpus, -1)
    with pytest.raises(UnknownCharacterError, match="'z'"):
        lines(model, corpus, 1, prefix="kaz")


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("temperature", -0.5),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_k", 0),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("min_length", -1),
        ("max_length", 0),
        ("seed", -1),
        ("seed", 2**63),
    ],
)
def test_a_value_out_of_range_is_named(setting: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"^`{setting}` is {value}; "):
        Sampling(**{setting: value})


def test_a_maximum_below_the_minimum_or_the_prefix_is_refused() -> None:
    with pytest.raises(UsageError, match=r"`max_length` is 3; it must be at least 4 \(`min_length`\)"):
        Sampling(min_length=4, max_length=3)
    with pytest.raises(UsageError, match=r"length of `prefix` \(4\)"):
        Sampling(prefix="anna", max_length=3)


def test_the_modes_are_restored(model: Tree, corpus: LineCorpus) -> None:
    model.train()
    model.layers[3].eval()
    modes = [layer.training for layer in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    next(generate(model, corpus.vocabulary, 5, Sampling(), corpus.line_hashes))  # and a generator that is not used up
    lines(model, corpus, 5)
    assert [layer.training for layer in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


some_logits = st.lists(st.integers(-12, 12), min_size=2, max_size=9, unique=True).map(
    lambda numbers: [number / 4 for number in numbers]
)


@given(
    logits=some_logits,
    top_k=st.integers(1, 10) | st.just("all"),
    top_p=st.floats(0.05, 1.0),
    temperature=st.sampled_from([0.5, 1.0, 3.0]),
    ended=st.booleans(),
)
def test_characters_are_drawn_with_the_probabilities_of_a_plain_loop(
    logits: list[float], top_k: Any, top_p: float, temperature: float, ended: bool
) -> None:
    sampling = Sampling(top_k=top_k, top_p=top_p, temperature=temperature, min_length=5)
    weights = {i: exp(logit / temperature) for i, logit in enumerate(logits) if i > 0 or ended}
    ordered = sorted(weights, key=lambda i: -weights[i])
    if top_k != "all":
        ordered = ordered[:top_k]
    total = sum(weights[i] for i in ordered)
    allowed, sum_p = [], 0.0
    for i in ordered:
        assume(abs(sum_p - top_p) > 1e-9)  # where rounding would decide
        if sum_p >= top_p:
            break
        allowed.append(i)
        sum_p += weights[i] / total
    draws = 4_000
    possible = torch.tensor([ended, *[True] * (len(logits) - 1)])
    p_of = probabilities(torch.tensor([[0.0] * len(logits), logits]), sampling, possible)
    generator = torch.Generator().manual_seed(0)
    counts = Counter(draw(p_of, torch.ones(draws, dtype=torch.int64), generator).tolist())
    assert counts.keys() <= set(allowed)
    for i in allowed:
        p = weights[i] / total / sum_p
        assert abs(counts[i] / draws - p) < 6 * (p * (1 - p) / draws) ** 0.5 + 1e-3


def test_top_k_keeps_all_that_are_equally_likely() -> None:
    p = probabilities(torch.tensor([[0.0, 1.0, 1.0, -1.0]]), Sampling(top_k=1))
    drawn = draw(p, torch.zeros(200, dtype=torch.int64), torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {1, 2}
