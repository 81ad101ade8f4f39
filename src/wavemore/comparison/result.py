"""The result of a comparison: the difference of two recipes with its intervals, a verdict in words, and slices.

Differences are B - A in nats per character: below 0, B is better.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from wavemore.comparison.bootstrap import MIN_LINES
from wavemore.comparison.statistics import Interval, MeanStd, SeedsTest
from wavemore.html import table, text

SplitName = Literal["val", "test"]

NO_DIFFERENCE = "no significant difference"

CAUTION = (
    "Kinds and positions show where to look; they are no verdicts: their intervals are over lines alone, "
    "and about one in twenty excludes 0 by chance."
)


@dataclass(frozen=True)
class Side:
    """One of the two recipes."""

    name: str
    model: str
    """A short description; empty for models in memory."""
    parameters: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    left_out: tuple[str, ...]
    """Runs that do not count, and why."""


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
            return f"{NO_DIFFERENCE}: the result on fewer than {MIN_LINES} lines tells too little about others"
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
        return (
            f"{NO_DIFFERENCE}: {size} (95 % interval {format_interval(self.interval)}, {seeds}); "
            f"{doubt} could reverse it"
        )

    def _single_seed(self, lines: Interval) -> str:
        one = "one seed each" if self.a.n == self.b.n else "one seed on a side"
        advice = f"{one} cannot separate the recipe from chance; train 3 or more seeds of each recipe"
        if lines.excludes_zero:
            winner = "B" if self.difference < 0 else "A"
            models = f"Of these models, {winner}'s predicts lines like these better by {abs(self.difference):.4f}"
            interval = _sizes(lines)
        else:
            models = f"These models do not differ clearly either: B - A is {self.difference:+.4f}"
            interval = format_interval(lines)
        return f"{advice}. {models} nats per character (95 % interval over lines {interval})"


@dataclass(frozen=True)
class SliceResult:
    """B against A on a slice of the targets: to see where to look, no verdict, as one of many differs by chance."""

    group: str
    name: str
    lines: int
    num_targets: int
    a: float
    b: float
    difference: float
    interval: Interval | None
    """Over lines, for these models; None for fewer than 20 lines."""


@dataclass(frozen=True)
class LineDifference:
    """The loss of a line under both recipes: nats of the whole line, mean over seeds."""

    text: str
    a: float
    b: float
    difference: float
    """B - A."""


@dataclass(frozen=True)
class Comparison:
    """The result of `compare`."""

    a: Side
    b: Side
    data: str
    split: SplitName
    num_lines: int
    changed_settings: tuple[str, ...]
    """Settings in which B differs from A."""
    overall: Outcome
    leak_free: Outcome | None
    """On the lines that do not occur in train; None if those are all lines or none."""
    kinds: tuple[SliceResult, ...]
    """By kinds of lines."""
    positions: tuple[SliceResult, ...]
    """By positions in the line."""
    wins: tuple[LineDifference, ...]
    """Lines on which B gains most."""
    losses: tuple[LineDifference, ...]
    """Lines on which B loses most."""

    @property
    def difference(self) -> float:
        """B - A of the means over seeds, in nats per character."""
        return self.overall.difference

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The side that is significantly better."""
        return self.overall.better

    @property
    def verdict(self) -> str:
        """Whether one side is better, in words."""
        return self.overall.verdict

    def __str__(self) -> str:
        rows = [" ".join(cell for cell in row if cell) for row in self.loss_rows()]
        return "\n".join([describe_side("A", self.a), describe_side("B", self.b), *rows, f"{self.verdict}."])

    def _repr_html_(self) -> str:
        sides = f"{text(describe_side('A', self.a))}<br/>{text(describe_side('B', self.b))}"
        header = ["", "A", "B", "B - A", "95 % over lines", "95 % over seeds"]
        rows = [*self.loss_rows(), *map(_slice_row, (*self.kinds, *self.positions))]
        losses = table(header, [[text(cell) for cell in row] for row in rows])
        return (
            f"<div><p>{sides}</p><p><strong>{text(self.verdict)}.</strong></p>"
            f"{losses}<p><small>{text(CAUTION)}</small></p></div>"
        )

    def loss_rows(self) -> list[list[str]]:
        """Rows of a table: name, A, B, the difference, its interval over lines and that over seeds."""
        rows = []
        for name, outcome in ((self.split, self.overall), (f"leak-free {self.split}", self.leak_free)):
            if outcome is not None:
                losses = [str(outcome.a), str(outcome.b), f"{outcome.difference:+.4f}"]
                rows.append([name, *losses, format_interval(outcome.lines), format_interval(outcome.seeds)])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; differences are B - A, in nats."""
        record = {"verdict": self.verdict, "better": self.better, **asdict(self)}
        for name, outcome in (("overall", self.overall), ("leak_free", self.leak_free)):
            if outcome is not None:
                record[name] |= {"better": outcome.better, "verdict": outcome.verdict}
        return record


def describe_side(letter: str, side: Side) -> str:
    """One line about a side: its name, model, size, seeds and the runs that are left out."""
    seeds = f"seed{'' if len(side.seeds) == 1 else 's'} {', '.join(map(str, side.seeds))}"
    model = f"{side.model}, " if side.model and side.model != side.name else ""
    left_out = f"; left out: {'; '.join(side.left_out)}" if side.left_out else ""
    return f"{letter}  {side.name}: {model}{side.parameters:,} parameters, {seeds}{left_out}"


def format_interval(interval: Interval | None) -> str:
    """Both ends with their signs; empty for None."""
    return "" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}"


def _sizes(interval: Interval) -> str:
    """The ends of an interval that excludes 0, without signs, the smaller one first."""
    low, high = sorted((abs(interval.low), abs(interval.high)))
    return f"{low:.4f} to {high:.4f}"


def _slice_row(result: SliceResult) -> list[str]:
    numbered = result.group == "position" and result.name[0].isdigit()
    name = f"position {result.name}" if numbered else result.name
    losses = [f"{result.a:.4f}", f"{result.b:.4f}", f"{result.difference:+.4f}"]
    return [name, *losses, format_interval(result.interval), ""]
