"""The bootstrap over lines, and the verdict from it and the test over seeds."""

import numpy as np
import pytest

from wavemore.comparison import bootstrap
from wavemore.comparison.bootstrap import ratio_intervals
from wavemore.comparison.statistics import Interval, mean_std, welch
from wavemore.comparison.verdict import Outcome


def some_lines(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(3, 12, count).astype(float)
    return targets * 0.02 + random.normal(0, 0.3, count) * targets**0.5, targets


def width_by_formula(nats: np.ndarray, targets: np.ndarray) -> float:
    """Width of the 95 % interval of a ratio of two sums, for many lines (delta method)."""
    rest = nats - targets * nats.sum() / targets.sum()
    return float(2 * 1.96 * rest.std() * len(nats) ** 0.5 / targets.sum())


@pytest.mark.parametrize("count", [400, 12_000])
def test_the_width_of_the_interval_matches_the_formula(count: int) -> None:
    nats, targets = some_lines(count)
    (interval,) = ratio_intervals(nats[:, None], targets[:, None])
    assert interval is not None
    assert interval.high - interval.low == pytest.approx(width_by_formula(nats, targets), rel=0.06)
    assert (interval.low + interval.high) / 2 == pytest.approx(
        nats.sum() / targets.sum(), abs=0.1 * (interval.high - interval.low)
    )


def test_figures_are_independent_and_repeatable() -> None:
    nats, targets = some_lines(300)
    first = np.where(np.arange(300) < 100, targets, 0.0)
    together = ratio_intervals(np.stack([nats, nats * (first > 0)], 1), np.stack([targets, first], 1))
    assert together[:1] == ratio_intervals(nats[:, None], targets[:, None])
    assert together == ratio_intervals(np.stack([nats, nats * (first > 0)], 1), np.stack([targets, first], 1))
    of_a_third = together[1]
    assert of_a_third is not None
    assert of_a_third.high - of_a_third.low == pytest.approx(width_by_formula(nats[:100], targets[:100]), rel=0.1)


def test_few_lines_have_no_interval() -> None:
    nats, targets = some_lines(19)
    assert ratio_intervals(nats[:, None], targets[:, None]) == [None]
    nats, targets = some_lines(20)
    assert ratio_intervals(nats[:, None], targets[:, None]) != [None]


def outcome(random: np.random.Generator, better: float, seeds: int = 3, lines: int = 80) -> Outcome:
    """Two recipes, b better by `better`: a model's loss on a line has effects of the line, the seed and both."""
    targets = random.integers(3, 12, lines).astype(float)
    difficulty = random.normal(2.2, 0.5, lines)
    nats = []
    for gain in (0.0, better):
        seed_effect = random.normal(0, 0.01, (seeds, 1))
        nats.append(targets * (difficulty - gain + seed_effect + random.normal(0, 0.1, (seeds, lines))))
    a, b = ((side.sum(axis=1) / targets.sum()).tolist() for side in nats)
    difference = nats[1].mean(axis=0) - nats[0].mean(axis=0)
    (interval,) = ratio_intervals(difference[:, None], targets[:, None])
    return Outcome(
        int(targets.sum()), mean_std(a), mean_std(b), mean_std(b).mean - mean_std(a).mean, interval, welch(a, b)
    )


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_a_recipe_is_rarely_better_than_itself(seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "RESAMPLES", 1_000)
    random = np.random.default_rng(seeds)
    winners = [outcome(random, better=0.0, seeds=seeds).better for _ in range(400)]
    assert sum(side is not None for side in winners) <= 0.07 * 400


def test_a_better_recipe_is_result() -> None:
    random = np.random.default_rng(1)
    assert [outcome(random, better=0.15).better for _ in range(20)] == ["b"] * 20
    assert [outcome(random, better=-0.15).better for _ in range(20)] == ["a"] * 20


def test_the_verdict_holds_the_numbers() -> None:
    result = outcome(np.random.default_rng(0), better=0.15)
    assert result.interval is not None
    assert result.verdict == (
        f"B is better by {-result.difference:.4f} nats per character (95 % interval {-result.interval.high:.4f} to "
        f"{-result.interval.low:.4f}, 3 seeds each)"
    )
    assert result.seeds is not None
    assert result.lines is not None
    assert result.interval.low <= min(result.seeds.low, result.lines.low) < result.difference
    worse = outcome(np.random.default_rng(0), better=-0.15)
    assert worse.verdict.startswith(f"A is better by {worse.difference:.4f} nats")
    same = outcome(np.random.default_rng(0), better=0.0)
    assert same.verdict.startswith("no significant difference: B - A is ")


@pytest.mark.parametrize(
    ("a", "b", "lines", "words"),
    [
        ([2.0, 2.1, 2.2], [1.9, 2.0, 2.1], Interval(-0.2, -0.1), "; other seeds could reverse it"),
        ([2.0, 2.01, 2.02], [1.9, 1.91, 1.92], Interval(-0.2, 0.1), "; other lines could reverse it"),
        ([2.0, 2.1, 2.2], [1.9, 2.0, 2.1], Interval(-0.2, 0.1), "; other seeds or other lines could reverse it"),
        ([2.0], [1.9, 1.8], Interval(-0.2, -0.1), "one seed on a side cannot separate the recipe from chance"),
        ([2.0], [1.9], Interval(-0.2, -0.1), "B's predicts lines like these better by 0.1000 nats"),
        ([2.0], [2.1], Interval(0.05, 0.2), "A's predicts lines like these better by 0.1000 nats"),
        ([2.0], [1.9], Interval(-0.2, 0.1), "These models do not differ clearly either"),
        ([2.0, 2.01, 2.02], [1.9, 1.91, 1.92], None, "fewer than 20 lines"),
    ],
)
def test_no_significant_difference_has_a_reason(
    a: list[float], b: list[float], lines: Interval | None, words: str
) -> None:
    difference = mean_std(b).mean - mean_std(a).mean
    result = Outcome(100, mean_std(a), mean_std(b), difference, lines, welch(a, b))
    assert result.better is None
    assert result.verdict.startswith("no significant difference: ")
    assert words in result.verdict
