"""The verdict: whether one of two recipes is better, in words (see `evidence`)."""

from dataclasses import dataclass
from typing import Literal

from wavemore.comparison.statistics import LEVEL, Interval, MeanStd

NO_DIFFERENCE = "no significant difference"
MIN_UNITS = 20
"""With fewer distinct lines, or blocks of a text, there is no verdict: they say too little about other ones."""


@dataclass(frozen=True)
class Outcome:
    """B against A on some data, losses in nats per character."""

    num_targets: int
    num_units: int
    """Distinct lines of a list, or blocks of a text."""
    a: MeanStd
    """Over seeds."""
    b: MeanStd
    counted: tuple[bool, bool]
    """Whether A and B are counted and not trained, so that a seed changes nothing."""
    difference: float
    """B - A, of the means over seeds."""
    interval: Interval | None
    """The difference with other seeds and other units; None for too few of them."""
    p: float | None
    """Probability of a difference this large if the recipes are equally good."""
    seeds: Interval | None
    """The difference with other seeds on these units; None if a trained side has a single seed."""
    units: Interval | None
    """The difference on other units with these models; None for fewer than 20 of them."""

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The side that is significantly better."""
        return self.winner(self.p)

    def winner(self, p: float | None) -> Literal["a", "b"] | None:
        """The side that is significantly better if `p` is the p-value, adjusted for other comparisons."""
        if p is None or p >= 1 - LEVEL:
            return None
        return "b" if self.difference < 0 else "a"

    @property
    def verdict(self) -> str:
        """Whether one side is better, in words."""
        if self.units is None:
            return (
                f"{NO_DIFFERENCE}: fewer than {MIN_UNITS} distinct lines, or a text of fewer than {MIN_UNITS}00 "
                "characters, say too little about other ones"
            )
        if self.interval is None or self.p is None:
            return f"{NO_DIFFERENCE}: {self._single_seed(self.units)}"
        details = f"{p_text(self.p)}, {self.seeds_text}"
        if self.better is not None:
            size = f"{abs(self.difference):.4f} nats per character"
            return f"{self.better.upper()} is better by {size} (95 % interval {_sizes(self.interval)}, {details})"
        size = f"B - A is {self.difference:+.4f} nats per character"
        wider = self.units if self.seeds is None or self.units.width > self.seeds.width else self.seeds
        source = "the lines" if wider is self.units else "the seeds; train more of them"
        return f"{NO_DIFFERENCE}: {size} (95 % interval {self.interval}, {details}); most of the error is from {source}"

    @property
    def seeds_text(self) -> str:
        """The number of seeds, such as "3 seeds each"."""
        numbers = [side.n for side, counted in zip((self.a, self.b), self.counted, strict=True) if not counted]
        if not numbers:
            return "both counted"
        if len(numbers) == 1:
            return f"{'B' if self.counted[0] else 'A'} with {numbers[0]} seeds, the other counted"
        a, b = numbers
        return f"{a} seeds each" if a == b else f"{a} and {b} seeds"

    def _single_seed(self, units: Interval) -> str:
        one = "one seed each" if self.a.n == self.b.n and not any(self.counted) else "one seed on a side"
        advice = f"{one} cannot separate the recipe from chance; train 3 or more seeds of each recipe"
        if units.excludes_zero:
            winner = "B" if self.difference < 0 else "A"
            models = f"Of these models, {winner}'s predicts lines like these better by {abs(self.difference):.4f}"
            interval = _sizes(units)
        else:
            models = f"These models do not differ clearly either: B - A is {self.difference:+.4f}"
            interval = str(units)
        return f"{advice}. {models} nats per character (95 % interval over lines {interval})"


def p_text(p: float) -> str:
    """A p-value in words.

    >>> p_text(0.0321), p_text(0.00001)
    ('p = 0.0321', 'p < 0.0001')
    """
    return f"p = {p:.4f}" if p >= 0.0001 else "p < 0.0001"


def _sizes(interval: Interval) -> str:
    """The ends of an interval that excludes 0, without signs, the smaller one first."""
    low, high = sorted((abs(interval.low), abs(interval.high)))
    return f"{low:.4f} to {high:.4f}"
