from statistics import fmean, variance

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from wavemore.comparison.statistics import Error, TTest, half_interval, mean_std, t_test

LOSSES = st.lists(st.floats(1, 3).map(lambda x: round(x, 4)), min_size=2, max_size=6)


def welch(a: list[float], b: list[float]) -> TTest:
    return t_test(fmean(b) - fmean(a), [Error(variance(side) / len(side), len(side) - 1) for side in (a, b)])


@given(LOSSES, LOSSES)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    assume(len(set(a)) > 1 and len(set(b)) > 1)  # scipy warns of lists that are all one number
    result = welch(a, b)
    scipys = ttest_ind(b, a, equal_var=False)
    interval = scipys.confidence_interval(0.95)
    assert result.p == pytest.approx(scipys.pvalue, abs=1e-9)
    assert (result.interval.low, result.interval.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert result.interval.excludes_zero == (result.p < 0.05)


def test_without_an_error_the_interval_is_a_point() -> None:
    same, apart = t_test(0.0, [Error(0.0, 1)]), t_test(-0.5, [])
    assert (same.interval.excludes_zero, same.p) == (False, 1.0)
    assert (apart.interval.excludes_zero, apart.p, apart.interval.width) == (True, 0.0, 0.0)


def test_a_tiny_error_divides_nothing_by_zero() -> None:
    assert t_test(1.0, [Error(1e-300, 2), Error(0.0, 3)]).p < 1e-9


def test_errors_add_up() -> None:
    """Satterthwaite: of equal variances with 2 and 8 degrees of freedom, 4 / (1/2 + 1/8) = 6.4 are left."""
    test = t_test(1.0, [Error(0.08, 2), Error(0.08, 8)])
    assert (test.interval.low, test.interval.high) == pytest.approx(t.interval(0.95, 6.4, 1.0, 0.4))
    assert test.p == pytest.approx(2 * t.sf(2.5, 6.4))


def test_one_seed_has_no_deviation() -> None:
    assert mean_std([2.0]).std is None
    assert half_interval([2.0]) is None


@given(LOSSES)
def test_the_interval_of_a_mean_is_scipys(values: list[float]) -> None:
    assume(len(set(values)) > 1)
    loss = mean_std(values)
    assert loss.std is not None
    low, high = t.interval(0.95, len(values) - 1, loss.mean, loss.std / len(values) ** 0.5)
    assert half_interval(values) == pytest.approx((high - low) / 2)
