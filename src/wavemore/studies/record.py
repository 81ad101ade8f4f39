"""`study.json`, the record of a finished study, and its verdicts: is each arm better than its baseline?

The page, the figures and the report are made from the record alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from wavemore.comparison.statistics import LEVEL, SeedsTest, holm, mean_std, welch
from wavemore.errors import RunError
from wavemore.runs.json_file import read_json

FORMAT = 1
FILE = "study.json"
MAX_GROUPS = 6
"""With more groups than this, the answer does not name the best arm of each."""

Record = Mapping[str, Any]


def read_record(folder: Path) -> Record:
    """Read the record of the study in a folder.

    Raises `RunError` if there is none, or if it is damaged or of another format.
    """
    path = folder / FILE
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    record = read_json(path, decode, "`wavemore study` makes it again from the runs")
    if record is None:
        raise RunError(f"{folder} has no finished study (no {FILE}): run `wavemore study` first")
    if record.get("format") != FORMAT:
        raise RunError(f"{path} has format {record.get('format')!r}; this version of wavemore reads format {FORMAT}")
    return record


def values(arm: Mapping[str, Any], key: str) -> list[float]:
    """Return one value per seed of an arm, without the runs that failed."""
    return [run[key] for run in arm["runs"] if run.get(key) is not None]


def groups(record: Record) -> dict[str, list[Mapping[str, Any]]]:
    """Return the arms of each group, in the order of the study file."""
    result: dict[str, list[Mapping[str, Any]]] = {}
    for arm in record["arms"]:
        result.setdefault(arm["group"], []).append(arm)
    return result


@dataclass(frozen=True)
class ArmVerdict:
    """An arm compared with its baseline."""

    arm: str
    baseline: str
    test: SeedsTest | None
    """None if one of the two has fewer than two finished seeds."""
    p: float
    """The p-value, adjusted for the number of comparisons in the study."""
    num_seeds: tuple[int, int]
    """Finished seeds of the baseline and of the arm."""

    @property
    def verdict(self) -> str:
        """`better`, `worse` or `no significant difference`."""
        if self.test is None or self.p >= 1 - LEVEL:
            return "no significant difference"
        return "better" if self.test.difference < 0 else "worse"

    @property
    def significant(self) -> bool:
        """Whether the arm is better or worse than its baseline."""
        return self.verdict != "no significant difference"

    def __str__(self) -> str:
        if self.test is None:
            return f"{self.arm} and {self.baseline}: no verdict, as it needs at least two finished seeds of each."
        first, second = self.num_seeds
        seeds = f"{first} seeds each" if first == second else f"{first} and {second} seeds"
        details = f"95 % interval {interval(self.test)}, {seeds}"
        if not self.significant:
            gain = f"gain {signed(-self.test.difference)} nats per character"
            return f"{self.arm} and {self.baseline}: no significant difference ({gain}, {details})."
        by = f"by {abs(self.test.difference):.4f} nats per character"
        return f"{self.arm} is {self.verdict} than {self.baseline} {by} ({details})."


def verdicts(record: Record) -> dict[str, ArmVerdict]:
    """Compare each arm with its baseline on val; the result is keyed by the arm's name."""
    arms = {arm["name"]: arm for arm in record["arms"]}
    pairs = [(arms[arm["baseline"]], arm) for arm in record["arms"] if arm["baseline"] is not None]
    tests = [welch(values(baseline, "val_nats"), values(arm, "val_nats")) for baseline, arm in pairs]
    adjusted = iter(holm([test.p for test in tests if test is not None]))
    return {
        arm["name"]: ArmVerdict(
            arm=arm["name"],
            baseline=baseline["name"],
            test=test,
            p=next(adjusted) if test else 1.0,
            num_seeds=(len(values(baseline, "val_nats")), len(values(arm, "val_nats"))),
        )
        for (baseline, arm), test in zip(pairs, tests, strict=True)
    }


def answer(record: Record) -> list[str]:
    """The answer of a study in sentences: all verdicts, and the best arm of each group if there are few."""
    sentences = [str(verdict) for verdict in verdicts(record).values()]
    if len(groups(record)) > MAX_GROUPS:
        return sentences
    for group, arms in groups(record).items():
        if finished := [arm for arm in arms if values(arm, "val_nats")]:
            best = min(finished, key=lambda arm: mean_std(values(arm, "val_nats")).mean)
            scope = f"in the group {group}" if group else "of all"
            sentences.append(f"Lowest val loss {scope}: {best['name']}, {mean_std(values(best, 'val_nats'))}.")
    return sentences


def interval(test: SeedsTest) -> str:
    """Format the 95 % interval of a gain."""
    return f"{signed(-test.high)} to {signed(-test.low)}"


def signed(nats: float) -> str:
    """Format a difference with its sign; zero is always positive.

    >>> signed(0.01), signed(-0.00001)
    ('+0.0100', '+0.0000')
    """
    return f"{round(nats, 4) + 0.0:+.4f}"
