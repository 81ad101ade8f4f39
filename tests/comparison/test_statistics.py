import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from wavemore.comparison.statistics import half_interval, mean_std, welch

LOSSES = st.lists(st.floats(1, 3).map(lambda x: round(x, 4)), min_size=2, max_size=6)


@given(LOSSES, LOSSES)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    assume(len(set(a)) > 1 and len(set(b)) > 1)  # scipy warns of lists that are all one number
    result = welch(a, b)
    assert result is not None
    scipys = ttest_ind(b, a, equal_var=False)
    interval = scipys.confidence_interval(0.95)
    assert result.p == pytest.approx(scipys.pvalue, abs=1e-9)
    assert (result.low, result.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert result.excludes_zero == (result.p < 0.05)


def test_seeds_that_all_agree_need_no_test() -> None:
    same, apart = welch([2.0, 2.0], [2.0, 2.0]), welch([2.0, 2.0], [1.5, 1.5])
    assert same is not None
    assert apart is not None
    assert (same.excludes_zero, apart.excludes_zero, apart.difference) == (False, True, -0.5)


def test_one_seed_is_not_tested() -> None:
    assert welch([2.0], [1.0, 1.1]) is None
    assert mean_std([2.0]).std is None


@given(LOSSES)
def test_the_interval_of_a_mean_is_scipys(values: list[float]) -> None:
    assume(len(set(values)) > 1)
    loss = mean_std(values)
    assert loss.std is not None
    low, high = t.interval(0.95, len(values) - 1, loss.mean, loss.std / len(values) ** 0.5)
    assert half_interval(values) == pytest.approx((high - low) / 2)
