import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from wavemore.comparison.statistics import spread, welch

LOSSES = st.lists(st.floats(1, 3).map(lambda x: round(x, 4)), min_size=2, max_size=6)


@given(LOSSES, LOSSES)
def test_welch_is_scipys(a: list[float], b: list[float]) -> None:
    assume(len(set(a)) > 1 and len(set(b)) > 1)  # scipy warns of lists that are all one number
    test = welch(a, b)
    assert test is not None
    theirs = ttest_ind(b, a, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert test.p == pytest.approx(theirs.pvalue, abs=1e-9)
    assert (test.low, test.high) == pytest.approx((interval.low, interval.high), abs=1e-9)
    assert test.shown == (not test.low <= 0 <= test.high)


def test_seeds_that_all_agree_need_no_test() -> None:
    same, apart = welch([2.0, 2.0], [2.0, 2.0]), welch([2.0, 2.0], [1.5, 1.5])
    assert same is not None
    assert apart is not None
    assert (same.shown, apart.shown, apart.difference) == (False, True, -0.5)


def test_one_seed_shows_nothing() -> None:
    assert welch([2.0], [1.0, 1.1]) is None
    assert spread([2.0]).std is None
