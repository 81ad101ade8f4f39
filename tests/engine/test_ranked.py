"""The order of drawn lines, on real draws and on made-up ones."""

from collections import Counter
from collections.abc import Iterator
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.engine.evaluate import part_losses
from wavemore.engine.generate_lines import generate
from wavemore.engine.line_source import Sample
from wavemore.engine.ranked import Rank, keepers, keepers_pool, nats_per_char, pool_size, ranked
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.text.line_corpus import LineCorpus

SAMPLE = st.builds(Sample, st.text("abc", min_size=1, max_size=4), st.floats(0, 50), st.booleans())
SAMPLES = st.lists(SAMPLE, max_size=40)
PERCENTILES = [k / 20 for k in range(101)]  # 0 to 5 nats per character
RANKS: tuple[Rank, ...] = ("best", "typical", "surprising")


@given(SAMPLES, st.integers(0, 12), st.sampled_from(RANKS), st.booleans())
def test_it_returns_distinct_lines_of_the_pool(samples: list[Sample], n: int, rank: Rank, given_val: bool) -> None:
    chosen = ranked(samples, n, rank, PERCENTILES if given_val else None)
    assert len(chosen) == min(n, len({sample.row for sample in samples}))
    assert len({sample.row for sample in chosen}) == len(chosen)
    assert set(chosen) <= set(samples)
    assert chosen == ranked(iter(samples), n + 1, rank, PERCENTILES if given_val else None)[:n]


@given(SAMPLES, st.integers(1, 12))
def test_each_order(samples: list[Sample], n: int) -> None:
    best, typical, surprising = (
        [nats_per_char(sample) for sample in ranked(samples, n, rank, PERCENTILES)] for rank in RANKS
    )
    assert best == sorted(best)
    assert typical == sorted(typical, key=lambda nats: abs(nats - 2.5))
    plausible = [nats for nats in surprising if nats <= 4.75]
    assert surprising[: len(plausible)] == plausible == sorted(plausible, reverse=True)
    assert surprising[len(plausible) :] == sorted(surprising[len(plausible) :])


def test_equally_likely_lines_keep_their_order() -> None:
    samples = [Sample(text, 6.0, new=True) for text in ("cd", "ab", "ef", "ab")]
    for rank in RANKS:
        assert [sample.text for sample in ranked(samples, 3, rank)] == ["cd", "ab", "ef"]


def test_the_same_text_with_two_labels_is_two_lines() -> None:
    samples = [Sample("ab", 6.0, new=True, label="fi"), Sample("ab", 5.0, new=True, label="de")]
    assert [sample.label for sample in ranked(samples, 2, "best")] == ["de", "fi"]


def test_a_pool_of_a_model(corpus: LineCorpus, counted: Model) -> None:
    def draw() -> list[Sample]:
        sampling = Sampling(distinct=True, max_length=12, seed=3)
        return list(generate(counted, corpus.vocabulary, pool_size(10), sampling))

    percentiles = part_losses(counted, corpus.val).percentiles
    best, typical, surprising = (ranked(draw(), 10, rank, percentiles) for rank in RANKS)
    assert best == ranked(draw(), 10, "best")
    middle = [sum(map(nats_per_char, samples)) / 10 for samples in (best, typical, surprising)]
    assert middle == sorted(middle)
    assert middle[1] == pytest.approx(percentiles[50], abs=0.05)
    assert max(map(nats_per_char, surprising)) <= percentiles[95]


def test_wrong_arguments() -> None:
    with pytest.raises(UsageError, match="`n` is -1"):
        ranked([], -1, "best")
    with pytest.raises(UsageError, match="`rank` is worst"):
        ranked([], 1, "worst")  # type: ignore[arg-type]


@given(st.lists(SAMPLE, max_size=60, unique_by=lambda sample: sample.text), st.integers(0, 12))
def test_keepers_are_lines_of_the_pool_in_its_order(samples: list[Sample], n: int) -> None:
    kept = list(keepers(samples, n))
    assert len(kept) == min(n, len(samples))
    places = [samples.index(sample) for sample in kept]
    assert places == sorted(set(places))
    assert len(samples) < keepers_pool(n) or max(places, default=0) < max(1, keepers_pool(n))


def test_keepers_are_likelier_and_as_varied(corpus: LineCorpus, counted: Model) -> None:
    sampling = Sampling(temperature=1.3, distinct=True, max_length=14, seed=1)
    pool = list(generate(counted, corpus.vocabulary, keepers_pool(30), sampling))
    kept, first, best = list(keepers(pool, 30)), pool[:30], ranked(pool, 30, "best")
    assert len(pool) == 120
    likely = [sum(map(nats_per_char, samples)) for samples in (best, kept, first)]
    assert likely == sorted(likely)
    assert likely[1] < 0.9 * likely[2]
    for part in (slice(1), slice(-2, None)):
        counts = Counter(sample.text[part] for sample in pool)
        assert max(Counter(sample.text[part] for sample in kept)[key] - 30 * counts[key] / 120 for key in counts) < 1


def test_a_common_prefix_and_suffix_do_not_count() -> None:
    inner = [Sample(f"{a}{b}", 3.0 + ord(a), new=True) for a in "abcd" for b in "xyzw"]
    outer = [sample._replace(text=f"pre{sample.text}post", nats=3 * sample.nats) for sample in inner]
    chosen = [sample.text for sample in keepers(inner, 4)]
    assert [sample.text for sample in keepers(outer, 4)] == [f"pre{text}post" for text in chosen]
    assert {text[0] for text in chosen} == set("abcd")


def test_many_keepers_are_chosen_in_blocks() -> None:
    def endless() -> Iterator[Sample]:
        for number in count():
            taken.append(number)
            yield Sample(f"{number:05}", number % 7, new=True)

    taken: list[int] = []
    first = list(islice(keepers(endless(), 9_000), 1_000))
    assert len(first) == 1_000
    assert len(taken) == 2_000
    assert len(list(keepers(endless(), 2_500))) == 2_500
    assert len(set(keepers(islice(endless(), 1_700), 1_500))) == 1_500
    assert len(set(keepers(islice(endless(), 1_300), 1_500))) == 1_300
