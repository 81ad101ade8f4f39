"""Lines that meet wishes: as likely as they should be, none that does not meet them, and clear errors."""

import re
from collections import Counter
from collections.abc import Callable
from itertools import product
from math import exp
from typing import Any

import pytest
import torch

from wavemore.engine.evaluate import score
from wavemore.engine.generate_lines import generate
from wavemore.engine.line_source import cap
from wavemore.engine.sampling import Sampling
from wavemore.errors import UnknownCharacterError, UsageError
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.text.labels import Labels
from wavemore.text.vocabulary import Vocabulary

ABC = Vocabulary("abc")
LINES = ["".join(letters) for length in range(1, 7) for letters in product("abc", repeat=length)]
WISHES = [
    Sampling(max_length=6, suffix="ab"),
    Sampling(max_length=6, contains=("ab", "ca")),
    Sampling(max_length=6, match="(a|bc)*"),
    Sampling(max_length=6, min_length=4, without=("b",)),
    Sampling(max_length=6, min_length=5),
    Sampling(max_length=6, prefix="c", suffix="b", contains=("aa",)),
    Sampling(max_length=5, match=".*ca.*", suffix="a"),
    Sampling(max_length=6, suffix="a", without=("bc", "cc"), min_length=3),
]


def meets(line: str, sampling: Sampling) -> bool:
    return (
        sampling.min_length <= len(line) <= sampling.max_length
        and line.startswith(sampling.prefix)
        and line.endswith(sampling.suffix)
        and all(text in line for text in sampling.contains)
        and not any(text in line for text in sampling.without)
        and (not sampling.match or re.fullmatch(sampling.match, line) is not None)
    )


def chi_square(counts: Counter[str], expected: dict[str, float]) -> tuple[float, int]:
    """Return chi-square and its degrees of freedom; lines that are expected fewer than five times are one."""
    often = {line: value for line, value in expected.items() if value >= 5}
    pairs = [(counts[line], value) for line, value in often.items()]
    rest = sum(expected.values()) - sum(often.values())
    if rest >= 5:
        pairs.append((counts.total() - sum(counts[line] for line in often), rest))
    return sum((count - value) ** 2 / value for count, value in pairs), len(pairs) - 1


@pytest.fixture
def lively_one() -> Callable[..., Model]:
    def make(name: str, seed: int, vocabulary_size: int = 4, num_labels: int = 0) -> Model:
        settings = {"norm": "none"} if name in ("tree", "mlp") else {}
        model = build(name, vocabulary_size, MODELS[name].config(**settings), seed=seed, num_labels=num_labels)
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.15 * torch.randn(parameter.shape, generator=generator))
        return model.eval()

    return make


@pytest.mark.parametrize("sampling", WISHES, ids=str)
@pytest.mark.parametrize("name", ["tree", "lstm", pytest.param("transformer", marks=pytest.mark.slow)])
def test_lines_are_as_likely_as_among_all_that_meet_the_wishes(
    name: str, sampling: Sampling, lively_one: Callable[..., Model]
) -> None:
    model, draws = lively_one(name, 1), 10_000
    p = {line.text: exp(-line.nats) for line in score(model, ABC, LINES) if meets(line.text, sampling)}
    expected = {line: draws * value / sum(p.values()) for line, value in p.items()}
    counts = Counter(sample.text for sample in generate(model, ABC, draws, sampling))
    assert counts.total() == draws
    assert counts.keys() <= p.keys()
    found, freedom = chi_square(counts, expected)
    # Mean k, standard deviation sqrt(2 k); 24 tests, of which none may be beyond four of these.
    assert found < freedom + 4 * (2 * max(1, freedom)) ** 0.5


def test_a_label_that_meets_the_wishes_more_often_is_drawn_more_often(lively_one: Callable[..., Model]) -> None:
    vocabulary, draws = Vocabulary("abc", labels=Labels(("x", "y"), (30, 10))), 10_000
    model, sampling = lively_one("lstm", 3, num_labels=2), Sampling(max_length=4, prefix="a", suffix="b")
    lines = [line for line in LINES if meets(line, sampling)]
    p: dict[str, float] = {}
    for label, share in (("x", 0.75), ("y", 0.25)):
        for line in score(model, vocabulary, lines, labels=[label] * len(lines)):
            p[f"{label}\t{line.text}"] = share * exp(-line.nats)
    expected = {row: draws * value / sum(p.values()) for row, value in p.items()}
    counts = Counter(sample.row for sample in generate(model, vocabulary, draws, sampling))
    found, freedom = chi_square(counts, expected)
    assert found < freedom + 4 * (2 * freedom) ** 0.5


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "settings",
    [{"temperature": 0.5}, {"temperature": 0.0}, {"top_k": 2}, {"top_p": 0.6}, {"temperature": 2.0, "top_k": 1}],
    ids=str,
)
def test_every_model_and_every_way_to_draw_meets_the_wishes(
    name: str, settings: dict[str, float], small_model: Callable[..., Model]
) -> None:
    sampling = Sampling(max_length=9, prefix="b", suffix="ca", contains=("bb",), match=".{5,}", seed=2, **settings)  # type: ignore[arg-type]
    samples = list(generate(small_model(name, 4).eval(), ABC, 30, sampling))
    assert len(samples) == 30
    assert all(meets(sample.text, sampling) for sample in samples)


def test_more_lines_begin_with_the_same_ones(lively_one: Callable[..., Model]) -> None:
    model, sampling = lively_one("lstm", 1), Sampling(max_length=6, suffix="ab", contains=("c",), seed=4)
    few, many = (list(generate(model, ABC, n, sampling)) for n in (20, 3_000))
    assert many[:20] == few


def test_a_short_maximum_is_met_at_once(lively_one: Callable[..., Model]) -> None:
    """Hardly any line ends within two characters, so they are drawn towards that."""
    model = lively_one("lstm", 1)
    with torch.no_grad():
        list(model.parameters())[-1][0] -= 4
    sampling = Sampling(max_length=2)
    lines = [line for line in LINES if len(line) <= 2]
    p = {line.text: exp(-line.nats) for line in score(model, ABC, lines)}
    assert sum(p.values()) < 0.01
    counts = Counter(sample.text for sample in generate(model, ABC, 10_000, sampling))
    found, freedom = chi_square(counts, {line: 10_000 * value / sum(p.values()) for line, value in p.items()})
    assert found < freedom + 4 * (2 * freedom) ** 0.5


def test_all_distinct_lines_are_found_however_rare(lively_one: Callable[..., Model]) -> None:
    sampling = Sampling(max_length=9, match="a|cab{3}|(cc){1,4}", distinct=True)
    made = list(generate(lively_one("transformer", 1), ABC, 50, sampling))
    assert sorted(sample.text for sample in made) == ["a", "cabbb", "cc", "cccc", "cccccc", "cccccccc"]
    known = ["a", "cccc"]
    new = list(generate(lively_one("transformer", 1), ABC, 50, Sampling(**vars(sampling) | {"new": True}), known))
    assert sorted(sample.text for sample in new) == ["cabbb", "cc", "cccccc", "cccccccc"]


def test_the_empty_line_is_found_too_if_it_is_wished(lively_one: Callable[..., Model]) -> None:
    sampling = Sampling(max_length=3, min_length=0, match="b*", distinct=True)
    made = list(generate(lively_one("transformer", 1), ABC, 50, sampling, ["bb"]))
    assert sorted((sample.text, sample.new) for sample in made) == [
        ("", True),
        ("b", True),
        ("bb", False),
        ("bbb", True),
    ]


@pytest.mark.parametrize("wishes", [{"suffix": "a "}, {"match": " .*"}, {"suffix": " ", "contains": ("ab",)}])
def test_wishes_that_only_lines_with_spaces_around_meet_are_named(
    wishes: dict[str, Any], small_model: Callable[..., Model]
) -> None:
    message = "no line of at most 6 characters that neither begins nor ends with a space meets `"
    with pytest.raises(UsageError, match=message):
        list(generate(small_model("lstm", 4), Vocabulary(" ab"), 5, Sampling(max_length=6, **wishes)))


def test_wishes_are_for_clean_lines_without_spaces_around(small_model: Callable[..., Model]) -> None:
    vocabulary = Vocabulary(" ab")
    samples = list(generate(small_model("lstm", 4).eval(), vocabulary, 200, Sampling(max_length=6, contains=(" ",))))
    assert len(samples) == 200
    assert all(" " in sample.text.strip() for sample in samples)


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        ({"suffix": "aaaaaaa"}, "no line of at most 6 characters meets `suffix` 'aaaaaaa'"),
        ({"suffix": "a", "without": ("a",)}, "meets `suffix` 'a' and `without` 'a'"),
        ({"prefix": "b", "match": "a.*"}, "meets `prefix` 'b' and `match` 'a.\\*'"),
        ({"contains": ("aaa", "bbb", "c")}, "meets `contains` 'aaa' and `contains` 'bbb' and `contains` 'c'"),
        ({"match": "a{4}", "min_length": 5}, "no line of 5 to 6 characters meets `match` 'a\\{4\\}'"),
        ({"match": "(a"}, "`match` is not a regular expression"),
        ({"match": "[x-z]+"}, "meets `match` '\\[x-z\\]\\+'"),
    ],
)
def test_wishes_that_no_line_meets_are_named(
    wishes: dict[str, str], message: str, small_model: Callable[..., Model]
) -> None:
    with pytest.raises(UsageError, match=message):
        list(generate(small_model("lstm", 4), ABC, 5, Sampling(max_length=6, **wishes)))  # type: ignore[arg-type]


def test_an_unknown_character_is_named_with_its_wish(small_model: Callable[..., Model]) -> None:
    model = small_model("lstm", 4)
    with pytest.raises(UnknownCharacterError, match="`suffix`: unknown character 'z'"):
        list(generate(model, ABC, 5, Sampling(suffix="z")))
    assert len(list(generate(model, ABC, 5, Sampling(without=("z",))))) == 5  # no line has it


@pytest.mark.parametrize("name", ["contains", "without"])
def test_one_text_is_no_list_of_texts(name: str) -> None:
    with pytest.raises(UsageError, match=f"`{name}` is one string; give a list"):
        Sampling(**{name: "abc"})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=f"`{name}` is an empty text"):
        Sampling(**{name: ("a", "")})  # type: ignore[arg-type]


def test_the_largest_weights_are_capped_if_they_are_few_or_too_few_lines_would_be_accepted() -> None:
    even = torch.zeros(1_000)
    assert cap(even, 0) == 0
    assert cap(torch.cat([even, torch.tensor([1.0])]), 0) == 1
    assert cap(torch.cat([even, torch.tensor([1.0])]), 0.01) == 0
    assert cap(torch.cat([even, torch.tensor([4.0])]), 0.01) == 4
    assert cap(torch.cat([even, torch.tensor([50.0])]), 0) == 0
    assert cap(torch.tensor([-torch.inf]), 0) == -torch.inf
