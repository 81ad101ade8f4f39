"""The order of drawn lines, on real draws and on made-up ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.engine.evaluate import part_losses
from wavemore.engine.generate_lines import Sample, generate
from wavemore.engine.ranked import Rank, nats_per_char, pool_size, ranked
from wavemore.engine.sampling import Sampling
from wavemore.errors import UsageError
from wavemore.nn.model import Model
from wavemore.text.line_corpus import LineCorpus

SAMPLES = st.lists(
    st.builds(Sample, st.text("abc", min_size=1, max_size=4), st.floats(0, 50), st.booleans()), max_size=40
)
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
