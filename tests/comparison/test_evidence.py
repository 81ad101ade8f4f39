"""One test for all verdicts: both errors are added, and each is what its source would give alone."""

from statistics import variance

import numpy as np
import pytest

from wavemore.comparison.evidence import SideLosses, judge, judge_excess, units_interval
from wavemore.comparison.statistics import Error, MeanStd, t_test
from wavemore.comparison.verdict import Outcome
from wavemore.errors import RunError

SEED_STD = 0.01


def draw(
    random: np.random.Generator,
    *,
    gain: float = 0.0,
    seeds: tuple[int, int] = (3, 3),
    lines: int = 200,
    ratio: float = 1.0,
    counted: bool = False,
) -> tuple[SideLosses, SideLosses, np.ndarray]:
    """Two recipes, B better by `gain`; the error of the lines is `ratio` times that of the seeds."""
    targets = random.integers(3, 12, lines).astype(float)
    spread = ((targets / targets.sum()) ** 2).sum()
    line_std = ratio * SEED_STD * (sum(1 / n for n in seeds) / (2 * spread)) ** 0.5
    difficulty, sides = random.normal(2.2, 0.5, lines), []
    for better, number, is_counted in zip((0.0, gain), seeds, (counted, False), strict=True):
        seed = np.zeros((number, 1)) if is_counted else random.normal(0, SEED_STD, (number, 1))
        losses = difficulty - better + seed + line_std * random.normal(0, 1, lines)
        sides.append(SideLosses(targets * losses, is_counted))
    return sides[0], sides[1], targets


@pytest.mark.parametrize("seeds", [(3, 3), (5, 5), (20, 20), (3, 10)])
@pytest.mark.parametrize("ratio", [0.5, 1.0, 2.0, 4.0])
def test_equal_recipes_are_rarely_called_different(seeds: tuple[int, int], ratio: float) -> None:
    """5 % are allowed; of 1,000 trials that is 71 at most in 999 of 1,000 cases. (Each error alone: up to 15 %.)"""
    random = np.random.default_rng(0)
    wrong = sum(judge(*draw(random, seeds=seeds, ratio=ratio)).better is not None for _ in range(1_000))
    assert 20 <= wrong <= 71


def test_a_better_recipe_is_found() -> None:
    random = np.random.default_rng(1)
    assert [judge(*draw(random, gain=0.1)).better for _ in range(20)] == ["b"] * 20
    assert [judge(*draw(random, gain=-0.1)).better for _ in range(20)] == ["a"] * 20


def test_the_interval_adds_the_squares_of_both_errors() -> None:
    a, b, targets = draw(np.random.default_rng(2), seeds=(4, 3), lines=50)
    outcome = judge(a, b, targets)
    losses = [side.nats.sum(axis=1) / targets.sum() for side in (a, b)]
    rest = b.nats.mean(axis=0) - a.nats.mean(axis=0) - targets * outcome.difference
    errors = [
        *(Error(variance(side.tolist()) / len(side), len(side) - 1) for side in losses),
        Error(float(50 / 49 * (rest**2).sum() / targets.sum() ** 2), 49),
    ]
    expected = t_test(float(losses[1].mean() - losses[0].mean()), errors)
    assert outcome.difference == pytest.approx(expected.estimate)
    assert outcome.p == pytest.approx(expected.p)
    assert outcome.interval is not None
    assert (outcome.interval.low, outcome.interval.high) == pytest.approx(
        (expected.interval.low, expected.interval.high)
    )
    assert outcome.seeds is not None
    assert outcome.units is not None
    assert max(outcome.seeds.width, outcome.units.width) < outcome.interval.width


def test_a_unit_without_targets_changes_nothing() -> None:
    a, b, targets = draw(np.random.default_rng(3))
    more_a, more_b = (SideLosses(np.append(side.nats, np.zeros((3, 1)), axis=1)) for side in (a, b))
    assert judge(more_a, more_b, np.append(targets, 0.0)) == judge(a, b, targets)


def test_a_counted_model_needs_no_seeds() -> None:
    random = np.random.default_rng(4)
    a, b, targets = draw(random, seeds=(1, 5), counted=True, gain=0.1)
    outcome = judge(a, b, targets)
    assert (outcome.better, outcome.a.n) == ("b", 1)
    assert outcome.verdict.endswith("B with 5 seeds, the other counted)")
    twice = SideLosses(np.repeat(a.nats, 2, axis=0), counted=True)
    assert judge(twice, b, targets) == outcome, "a second seed of a counted model is the same model"
    both = judge(a, SideLosses(b.nats[:1], counted=True), targets)
    assert both.better == "b"
    assert both.interval is not None
    assert both.units is not None
    assert (both.interval.low, both.interval.high) == pytest.approx((both.units.low, both.units.high))
    assert "both counted" in both.verdict
    wrong = sum(judge(*draw(random, seeds=(1, 5), counted=True, ratio=1.0)).better is not None for _ in range(1_000))
    assert 20 <= wrong <= 71


def test_the_excess_is_the_difference_of_two_differences() -> None:
    a, b, targets = draw(np.random.default_rng(5), gain=0.05)
    some = np.arange(len(targets)) % 3 > 0
    excess = judge_excess(a, b, targets, some)
    part = judge(SideLosses(a.nats * some), SideLosses(b.nats * some), targets * some)
    assert excess.difference == pytest.approx(judge(a, b, targets).difference - part.difference)
    assert excess.units is not None
    assert part.num_units == some.sum()
    every = judge_excess(a, b, targets, np.ones(len(targets), np.bool_))
    assert every.difference == pytest.approx(0, abs=1e-12)


def test_few_units_have_no_interval() -> None:
    random = np.random.default_rng(6)
    assert units_interval(random.normal(0, 1, 19), np.ones(19)) is None
    assert units_interval(random.normal(0, 1, 20), np.ones(20)) is not None
    outcome = judge(*draw(random, lines=19, gain=1.0))
    assert (outcome.better, outcome.p) == (None, None)
    assert "fewer than 20 distinct lines" in outcome.verdict


def test_the_verdict_holds_the_numbers() -> None:
    result = judge(*draw(np.random.default_rng(0), gain=0.15))
    assert result.interval is not None
    assert result.verdict == (
        f"B is better by {-result.difference:.4f} nats per character (95 % interval {-result.interval.high:.4f} to "
        f"{-result.interval.low:.4f}, p < 0.0001, 3 seeds each)"
    )
    worse = judge(*draw(np.random.default_rng(0), gain=-0.15))
    assert worse.verdict.startswith(f"A is better by {worse.difference:.4f} nats")


@pytest.mark.parametrize(
    ("ratio", "seeds", "words"),
    [
        (0.2, (3, 3), "; most of the error is from the seeds; train more of them"),
        (9.0, (3, 3), "; most of the error is from the lines"),
        (1.0, (1, 2), "one seed on a side cannot separate the recipe from chance"),
        (9.0, (1, 1), "These models do not differ clearly either"),
    ],
)
def test_no_significant_difference_has_a_reason(ratio: float, seeds: tuple[int, int], words: str) -> None:
    result = judge(*draw(np.random.default_rng(7), ratio=ratio, seeds=seeds))
    assert result.better is None
    assert result.verdict.startswith("no significant difference: ")
    assert words in result.verdict


def test_one_seed_each_says_which_model_is_better() -> None:
    for gain, winner in ((0.5, "B"), (-0.5, "A")):
        result = judge(*draw(np.random.default_rng(8), seeds=(1, 1), gain=gain))
        assert result.better is None
        assert f"Of these models, {winner}'s predicts lines like these better by 0." in result.verdict


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    a, b, targets = draw(np.random.default_rng(9))
    with pytest.raises(RunError, match="a loss is not finite"):
        judge(a, SideLosses(b.nats * np.inf), targets)


def test_an_adjusted_p_decides() -> None:
    loss = MeanStd(2.0, 0.01, 3)
    outcome = Outcome(9, 30, loss, loss, (False, False), -0.1, None, 0.03, None, None)
    assert (outcome.better, outcome.winner(0.06), outcome.winner(None)) == ("b", None, None)
