"""What a comparison says: the difference of two recipes with its intervals, a verdict in words, and where B wins.

Differences are B - A in nats per character: below 0, B is better.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any, Literal

from wavemore.comparison.bootstrap import FEWEST, Interval
from wavemore.comparison.statistics import SeedsTest, Spread

PartName = Literal["val", "test"]


@dataclass(frozen=True)
class Side:
    """One of the two recipes."""

    name: str
    model: str
    """In words; empty where it was given as models alone."""
    parameters: int
    seeds: tuple[int, ...]
    runs: tuple[str, ...]
    left_out: tuple[str, ...]
    """Runs that do not count, and why."""


@dataclass(frozen=True)
class Outcome:
    """B against A on some lines, losses in nats per character."""

    targets: int
    a: Spread
    """Over seeds."""
    b: Spread
    difference: float
    """Of the means over seeds, B - A."""
    lines: Interval | None
    """Where it would lie with other lines, for these models; None for fewer than 20 lines."""
    seeds: SeedsTest | None
    """Where it would lie with other seeds, on these lines; None where a side has a single seed."""

    @property
    def interval(self) -> Interval | None:
        """What holds both intervals; None where one of them is missing."""
        if self.lines is None or self.seeds is None:
            return None
        return Interval(min(self.lines.low, self.seeds.low), max(self.lines.high, self.seeds.high))

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The side that was shown to be better: by its seeds and by the lines."""
        if self.interval is None or not self.interval.excludes_zero:
            return None
        return "b" if self.difference < 0 else "a"

    @property
    def verdict(self) -> str:
        """Whether one side is better, in words."""
        if self.lines is None:
            return f"not shown: fewer than {FEWEST} lines say too little about others"
        if self.interval is None:
            return f"not shown: {self._of_one_seed(self.lines)}"
        low, high = self.interval.low, self.interval.high
        if self.better is None:
            size = f"B - A is {self.difference:+.4f} nats (95 % interval {low:+.4f} to {high:+.4f}, {self._counts()})"
            return f"not shown: {size}; {self._why()}"
        low, high = sorted((abs(low), abs(high)))
        size = f"{abs(self.difference):.4f} nats a character (95 % interval {low:.4f} to {high:.4f}, {self._counts()})"
        return f"{(self.better or '').upper()} is better by {size}"

    def _counts(self) -> str:
        a, b = self.a.n, self.b.n
        return f"{a} seeds each" if a == b else f"{a} and {b} seeds"

    def _why(self) -> str:
        of_seeds = self.seeds is not None and not Interval(self.seeds.low, self.seeds.high).excludes_zero
        of_lines = self.lines is not None and not self.lines.excludes_zero
        if of_seeds and of_lines:
            return "other seeds or other lines could turn it"
        return "seeds of one recipe differ as much" if of_seeds else "other lines of the same kind could turn it"

    def _of_one_seed(self, lines: Interval) -> str:
        one = "one seed each does" if self.a.n == self.b.n else "one seed on a side does"
        advice = f"{one} not tell luck from recipe; train 3 or more of each (--seed, --experiment)"
        low, high = sorted((abs(lines.low), abs(lines.high)))
        if not lines.excludes_zero:
            known = f"Nor do these models differ clearly: B - A is {self.difference:+.4f} nats a character"
            return f"{advice}. {known} (95 % interval over lines {lines.low:+.4f} to {lines.high:+.4f})"
        winner = "B" if self.difference < 0 else "A"
        known = f"Of these models, {winner}'s predicts lines like these better by {abs(self.difference):.4f} nats"
        return f"{advice}. {known} a character (95 % interval over lines {low:.4f} to {high:.4f})"


@dataclass(frozen=True)
class Seen:
    """B against A on some of the targets: for looking, not for verdicts, as one of many looks differs by chance."""

    group: str
    what: str
    lines: int
    targets: int
    a: float
    b: float
    difference: float
    interval: Interval | None
    """Over lines, for these models; None for fewer than 20 lines."""


@dataclass(frozen=True)
class LineDifference:
    """A line and what it costs: nats of the whole line, mean over seeds."""

    text: str
    a: float
    b: float

    @property
    def difference(self) -> float:
        """B - A, nats of the whole line."""
        return self.b - self.a


@dataclass(frozen=True)
class Comparison:
    """What `compare` found."""

    a: Side
    b: Side
    data: str
    part: PartName
    count: int
    """Lines."""
    changed: tuple[str, ...]
    """Settings in which B differs from A."""
    overall: Outcome
    leak_free: Outcome | None
    """On the lines that train does not hold; None where those are all lines or none."""
    kinds: tuple[Seen, ...]
    """By kinds of lines."""
    positions: tuple[Seen, ...]
    """By positions in the line."""
    wins: tuple[LineDifference, ...]
    """Lines on which B gains most."""
    losses: tuple[LineDifference, ...]
    """Lines on which B loses most."""

    @property
    def difference(self) -> float:
        """Nats per character, B - A, of the means over seeds."""
        return self.overall.difference

    @property
    def lines(self) -> Interval | None:
        """The bootstrap's interval over lines."""
        return self.overall.lines

    @property
    def seeds(self) -> SeedsTest | None:
        """The test over seeds; None where a side has a single seed."""
        return self.overall.seeds

    @property
    def better(self) -> Literal["a", "b"] | None:
        """The side that was shown to be better."""
        return self.overall.better

    @property
    def verdict(self) -> str:
        """Whether one side is better, in words."""
        return self.overall.verdict

    def __str__(self) -> str:
        sides = [side_words(letter, side) for letter, side in (("A", self.a), ("B", self.b))]
        figures = [" ".join(cell for cell in cells if cell) for cells in self.figures()]
        return "\n".join([*sides, *figures, f"{self.verdict}."])

    def _repr_html_(self) -> str:
        sides = "<br>".join(escape(side_words(letter, side)) for letter, side in (("A", self.a), ("B", self.b)))
        head = ["", "A", "B", "B - A", "95 % over lines", "95 % over seeds"]
        seen = [[_what(s), f"{s.a:.4f}", f"{s.b:.4f}", f"{s.difference:+.4f}", ends(s.interval), ""] for s in self.seen]
        body = [*self.figures(), *seen]
        return (
            f"<div><p>{sides}</p><p><strong>{escape(self.verdict)}.</strong></p>"
            f"{_html_table(head, body)}<p><small>{escape(CAUTION)}</small></p></div>"
        )

    @property
    def seen(self) -> tuple[Seen, ...]:
        """Kinds and positions."""
        return (*self.kinds, *self.positions)

    def figures(self) -> list[list[str]]:
        """The losses in words: part, A, B, the difference and its intervals over lines and over seeds."""
        found: list[tuple[str, Outcome]] = [(self.part, self.overall)]
        if self.leak_free is not None:
            found.append((f"leak-free {self.part}", self.leak_free))
        return [
            [
                name,
                str(outcome.a),
                str(outcome.b),
                f"{outcome.difference:+.4f}",
                ends(outcome.lines),
                ends(Interval(outcome.seeds.low, outcome.seeds.high) if outcome.seeds else None),
            ]
            for name, outcome in found
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values for JSON; differences are B - A, in nats."""
        return {
            "verdict": self.verdict,
            "better": self.better,
            "part": self.part,
            "data": self.data,
            "lines": self.count,
            "a": asdict(self.a),
            "b": asdict(self.b),
            "changed": list(self.changed),
            "overall": _outcome(self.overall),
            "leak_free": None if self.leak_free is None else _outcome(self.leak_free),
            "kinds": [asdict(seen) for seen in self.kinds],
            "positions": [asdict(seen) for seen in self.positions],
            "wins": [{**asdict(line), "difference": line.difference} for line in self.wins],
            "losses": [{**asdict(line), "difference": line.difference} for line in self.losses],
        }


CAUTION = (
    "Kinds and positions are for looking, not for verdicts: their intervals are over lines alone, "
    "and of twenty looks one leaves 0 out by chance."
)


def side_words(letter: str, side: Side) -> str:
    """A side in a line."""
    seeds = f"seed{'' if len(side.seeds) == 1 else 's'} {', '.join(map(str, side.seeds))}"
    model = f"{side.model}, " if side.model and side.model != side.name else ""
    left_out = f"; left out: {'; '.join(side.left_out)}" if side.left_out else ""
    return f"{letter}  {side.name}: {model}{side.parameters:,} parameters, {seeds}{left_out}"


def _what(seen: Seen) -> str:
    return f"position {seen.what}" if seen.group == "position" and seen.what[0].isdigit() else seen.what


def ends(interval: Interval | None) -> str:
    """The ends of an interval with their signs; nothing where there is none."""
    return "" if interval is None else f"{interval.low:+.4f} to {interval.high:+.4f}"


def _outcome(outcome: Outcome) -> dict[str, Any]:
    return asdict(outcome) | {"better": outcome.better, "verdict": outcome.verdict}


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table without colours of its own, so that it is read on light and on dark pages."""

    def cells(kind: str, words: Sequence[str]) -> str:
        sides = ["left", *["right"] * (len(words) - 1)]
        styled = zip(words, sides, strict=True)
        return "".join(
            f'<{kind} style="text-align:{side};padding:0.1em 0.7em">{escape(text)}</{kind}>' for text, side in styled
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"
