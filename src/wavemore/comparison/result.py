"""The result of a comparison: its sides, the outcome with its verdict, slices, and the lines that differ most.

Differences are B - A in nats per character: below 0, B is better.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from wavemore.comparison.statistics import Interval
from wavemore.comparison.verdict import Outcome
from wavemore.html import table, text

SplitName = Literal["val", "test"]

CAUTION = (
    "Kinds and positions show where to look; they are not verdicts, since their intervals are over lines alone, "
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
class SliceResult:
    """B against A on a slice of the targets: to see where to look, not a verdict, as one of many differs by chance."""

    group: str
    name: str
    lines: int
    num_targets: int
    a: float
    b: float
    difference: float
    interval: Interval | None
    """Over lines, for these models; None for fewer than 20 distinct lines, or blocks of a text."""


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
        header = ["", "A", "B", "B - A", "95 % interval", "p"]
        rows = [*self.loss_rows(), *map(_slice_row, (*self.kinds, *self.positions))]
        losses = table(header, [[text(cell) for cell in row] for row in rows])
        return (
            f"<div><p>{sides}</p><p><strong>{text(self.verdict)}.</strong></p>"
            f"{losses}<p><small>{text(CAUTION)}</small></p></div>"
        )

    def loss_rows(self) -> list[list[str]]:
        """Rows of a table: name, A, B, the difference, its interval and its p-value."""
        rows = []
        for name, outcome in ((self.split, self.overall), (f"leak-free {self.split}", self.leak_free)):
            if outcome is not None:
                losses = [str(outcome.a), str(outcome.b), f"{outcome.difference:+.4f}"]
                p = "" if outcome.p is None else f"{outcome.p:.4f}"
                rows.append([name, *losses, str(outcome.interval or ""), p])
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


def _slice_row(result: SliceResult) -> list[str]:
    numbered = result.group == "position" and result.name[0].isdigit()
    name = f"position {result.name}" if numbered else result.name
    losses = [f"{result.a:.4f}", f"{result.b:.4f}", f"{result.difference:+.4f}"]
    return [name, *losses, str(result.interval or ""), ""]
