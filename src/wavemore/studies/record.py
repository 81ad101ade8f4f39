"""`study.json`, the record of a finished study, and its verdicts: is each arm better than its baseline?

The arms are tuned on val and judged on test, which nothing was chosen on, by `evidence.judge`. The page, the figures
and the report are made from the record alone.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from wavemore.comparison.evidence import SideLosses, judge, judge_excess
from wavemore.comparison.statistics import Interval, holm, mean_std
from wavemore.comparison.verdict import NO_DIFFERENCE, Outcome, p_text
from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import RunError
from wavemore.files import move
from wavemore.runs.json_file import read_json

FORMAT = 2
FILE, PAGE = "study.json", "page.md"
MAX_RECORD = 1 << 26
"""Bytes of the file."""
MAX_NUMBER = 1e100
MAX_GROUPS = 6
"""With more groups than this, the answer does not name the best arm of each."""

Record = Mapping[str, Any]


def read_record(folder: Path) -> Record:
    """Read the record of the study in a folder.

    Raises `RunError` if there is none, or if it is damaged or of another format.
    """
    return read_finished(folder / FILE, FORMAT, "study", "study")


def read_finished(path: Path, version: int, what: str, command: str) -> Record:
    """Read the record of a finished study or tuning, which `wavemore` and a command have written: see `read_record`."""
    record = read_json(path, _decode, f"`wavemore {command}` makes it again from the runs", MAX_RECORD)
    if record is None:
        raise RunError(f"{path.parent} has no finished {what} (no {path.name}): run `wavemore {command}` first")
    if record.get("format") != version:
        found = repr(record.get("format"))[:40]
        raise RunError(f"{path} has format {found}; this version of wavemore reads format {version}")
    return record


def _decode(content: bytes) -> Record:
    record = msgspec.json.decode(content, type=dict[str, Any])
    _check_numbers(record)
    return record


def _check_numbers(value: Any) -> None:
    """Raise ValueError for a number that no record has, and that cannot be drawn."""
    if isinstance(value, int | float) and abs(value) > MAX_NUMBER:
        raise ValueError(f"a number is above {MAX_NUMBER:g}")
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_numbers(item)


def keep_other_seeds(folder: Path, seeds: Sequence[int]) -> str:
    """Rename the record and the page of a run of the study with other seeds, which would be overwritten.

    Returns the new name of the record, empty if there is none, or if all its seeds are among `seeds`.
    """
    try:
        record = read_record(folder)
    except RunError:
        return ""
    old = record.get("seeds")
    if not isinstance(old, list) or {*map(str, old)} <= {*map(str, seeds)}:
        return ""
    date = "".join(filter(str.isdigit, str(record.get("finished"))[:19]))
    for path in (folder / FILE, folder / PAGE):
        with suppress(FileNotFoundError):
            move(path, path.with_stem(f"{path.stem}-{date}"))
    return f"{Path(FILE).stem}-{date}.json"


def values(arm: Mapping[str, Any], key: str) -> list[float]:
    """Return one value per seed of an arm, without the runs that failed."""
    return [run[key] for run in arm["runs"] if run.get(key) is not None]


def groups(record: Record) -> dict[str, list[Mapping[str, Any]]]:
    """Return the arms of each group, in the order of the study file."""
    result: dict[str, list[Mapping[str, Any]]] = {}
    for arm in record["arms"]:
        result.setdefault(arm["group"], []).append(arm)
    return result


def compare_arms(baseline: Sequence[UnitLosses], arm: Sequence[UnitLosses], counted: tuple[bool, bool]) -> Record:
    """Judge an arm against its baseline by the test losses of their seeds, at least one each.

    Returns the outcomes as plain values: `test`; if some test lines are also in train, `leak_free` (on the others) and
    `excess` (how much more the arm gains on all lines than on the others).
    """
    a, b = (
        SideLosses(np.stack([losses.nats for losses in side]), is_counted)
        for side, is_counted in zip((baseline, arm), counted, strict=True)
    )
    targets, some = baseline[0].targets.astype(np.float64), baseline[0].leak_free
    outcomes = {"test": judge(a, b, targets)}
    if some.any() and not some.all():
        part_a, part_b = (SideLosses(side.nats * some, side.counted) for side in (a, b))
        outcomes |= {"leak_free": judge(part_a, part_b, targets * some), "excess": judge_excess(a, b, targets, some)}
    return {name: asdict(outcome) for name, outcome in outcomes.items()}


@dataclass(frozen=True)
class ArmVerdict:
    """An arm compared with its baseline on test."""

    arm: str
    baseline: str
    outcome: Outcome | None
    """None if one of the two has no finished seed."""
    leak_free: Outcome | None
    """On the test lines that are not in train; None if those are all or none."""
    excess: Outcome | None
    """How much more the arm gains on all test lines than on the leak-free ones."""
    p: float | None
    """The p-value, adjusted for the number of comparisons in the study; None if there is no verdict."""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no significant difference`."""
        winner = self.outcome.winner(self.p) if self.outcome else None
        return {"a": "worse", "b": "better", None: NO_DIFFERENCE}[winner]

    @property
    def significant(self) -> bool:
        """Whether the arm is better or worse than its baseline."""
        return self.verdict != NO_DIFFERENCE

    def __str__(self) -> str:
        outcome = self.outcome
        if outcome is None:
            return f"{self.arm} and {self.baseline}: no verdict, as one of them has no finished seed with a test loss."
        if outcome.interval is None or self.p is None:
            return (
                f"{self.arm} and {self.baseline}: no verdict, as it needs at least two finished seeds of each, and "
                "20 distinct test lines or 2,000 characters of a text."
            )
        details = f"95 % interval {interval(outcome.interval)}, {p_text(self.p)}, {outcome.seeds_text}"
        if not self.significant:
            gain = f"gain {signed(-outcome.difference)} nats per character"
            return f"{self.arm} and {self.baseline}: {NO_DIFFERENCE} ({gain}, {details})."
        by = f"by {abs(outcome.difference):.4f} nats per character"
        return f"{self.arm} is {self.verdict} than {self.baseline} {by} ({details})."


def verdicts(record: Record) -> dict[str, ArmVerdict]:
    """Compare each arm with its baseline on test; the result is keyed by the arm's name."""
    rows = [arm for arm in record["arms"] if arm["baseline"] is not None]
    outcomes = [
        {name: msgspec.convert(outcome, Outcome) for name, outcome in (arm["comparison"] or {}).items()} for arm in rows
    ]
    p_values = [each["test"].p if each else None for each in outcomes]
    adjusted = iter(holm([p for p in p_values if p is not None]))
    return {
        arm["name"]: ArmVerdict(
            arm=arm["name"],
            baseline=arm["baseline"],
            outcome=each.get("test"),
            leak_free=each.get("leak_free"),
            excess=each.get("excess"),
            p=None if p is None else next(adjusted),
        )
        for arm, each, p in zip(rows, outcomes, p_values, strict=True)
    }


def answer(record: Record) -> list[str]:
    """The answer of a study in sentences: all verdicts, and the best arm of each group if there are few."""
    sentences = [str(verdict) for verdict in verdicts(record).values()]
    if len(groups(record)) > MAX_GROUPS:
        return sentences
    for group, arms in groups(record).items():
        if finished := [arm for arm in arms if values(arm, "test_nats")]:
            best = min(finished, key=lambda arm: mean_std(values(arm, "test_nats")).mean)
            scope = f"in the group {group}" if group else "of all"
            sentences.append(f"Lowest test loss {scope}: {best['name']}, {mean_std(values(best, 'test_nats'))}.")
    return sentences


def interval(difference: Interval) -> str:
    """Format the 95 % interval of a gain, which is a difference with the other sign."""
    return f"{signed(-difference.high)} to {signed(-difference.low)}"


def signed(nats: float) -> str:
    """Format a difference with its sign; zero is always positive.

    >>> signed(0.01), signed(-0.00001)
    ('+0.0100', '+0.0000')
    """
    return f"{round(nats, 4) + 0.0:+.4f}"
