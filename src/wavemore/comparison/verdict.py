"""The verdict: whether one of two recipes is better, by Welch's test across seeds and a bootstrap across lines."""

from dataclasses import dataclass
from typing import Literal

from wavemore.comparison.bootstrap import MIN_LINES
from wavemore.comparison.statistics import Interval, MeanStd, SeedsTest

NO_DIFFERENCE = "no significant difference"


@dataclass(frozen=True)
class Outcome:
    """B against A on some lines, losses in nats per character."""

    num_targets: int
    a: MeanStd
    """Over seeds."""
    b: MeanStd
    difference: float
    """B - A, of the means over seeds."""
    lines: Interval | None
    """The difference with other lines and these models (bootstrap); None for fewer than 20 lines."""
    seeds: SeedsTest | None
    """The difference with other seeds and these lines; None if a side has a single seed."""

    @property
    def interval(self) -> Interval | None:
        """The smallest interval that holds both; None if one of them is missing."""
        if self.lines is None or self.seeds is None:
            return None
        return Interval(min(self.lines.low, self.seeds.low), max(self.lines.high, self.seeds.high))

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The side that is significantly better, both over seeds and over lines."""
        if self.interval is None or not self.interval.excludes_zero:
            return None
        return "b" if self.difference < 0 else "a"

    @property
    def verdict(self) -> str:
        """Whether one side is better, in words."""
        if self.lines is None:
            return f"{NO_DIFFERENCE}: the result on fewer than {MIN_LINES} lines says too little about other lines"
        if self.interval is None:
            return f"{NO_DIFFERENCE}: {self._single_seed(self.lines)}"
        a, b = self.a.n, self.b.n
        seeds = f"{a} seeds each" if a == b else f"{a} and {b} seeds"
        if self.better is not None:
            size = f"{abs(self.difference):.4f} nats per character"
            return f"{self.better.upper()} is better by {size} (95 % interval {_sizes(self.interval)}, {seeds})"
        size = f"B - A is {self.difference:+.4f} nats per character"
        causes = {"other seeds": self.seeds, "other lines": self.lines}
        doubt = " or ".join(name for name, each in causes.items() if each is not None and not each.excludes_zero)
        return f"{NO_DIFFERENCE}: {size} (95 % interval {self.interval}, {seeds}); {doubt} could reverse it"

    def _single_seed(self, lines: Interval) -> str:
        one = "one seed each" if self.a.n == self.b.n else "one seed on a side"
        advice = f"{one} cannot separate the recipe from chance; train 3 or more seeds of each recipe"
        if lines.excludes_zero:
            winner = "B" if self.difference < 0 else "A"
            models = f"Of these models, {winner}'s predicts lines like these better by {abs(self.difference):.4f}"
            interval = _sizes(lines)
        else:
            models = f"These models do not differ clearly either: B - A is {self.difference:+.4f}"
            interval = str(lines)
        return f"{advice}. {models} nats per character (95 % interval over lines {interval})"


def _sizes(interval: Interval) -> str:
    """The ends of an interval that excludes 0, without signs, the smaller one first."""
    low, high = sorted((abs(interval.low), abs(interval.high)))
    return f"{low:.4f} to {high:.4f}"
