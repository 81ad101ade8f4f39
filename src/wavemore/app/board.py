"""All runs in one table, and which of two runs guesses better."""

from collections.abc import Sequence
from dataclasses import dataclass

from wavemore.app.desk import find_named
from wavemore.app.words import choices
from wavemore.comparison.compare import compare
from wavemore.comparison.result import Comparison, LineDifference
from wavemore.errors import UsageError
from wavemore.runs.describe import describe_model, describe_plainly
from wavemore.runs.entry import Entry, read_entry
from wavemore.runs.find import find_runs

MOST_RUNS = 200
"""Runs that are listed, the latest ones."""


@dataclass(frozen=True)
class Row:
    """A run in the table."""

    name: str
    data: str
    quality: str
    """How many characters it hesitates between at each place."""
    state: str
    """Empty for a finished run."""
    does: str
    """What its model does, in words, and how many numbers it has."""
    model: str
    """Its model as `wavemore log` names it."""
    parameters: int
    seconds: float
    created: str
    is_usable: bool
    """Whether it can make items: it is of a list, and can be read."""


def rows() -> list[Row]:
    """Return the runs in `runs/`, the latest first."""
    return [_row(read_entry(run)) for run in reversed(find_runs()[-MOST_RUNS:])]


def _row(entry: Entry) -> Row:
    config, summary = entry.config, entry.summary
    if config is None:
        return Row(entry.run.path.name, "", "", entry.problem, "", "", 0, 0.0, "", is_usable=False)
    records = [] if summary else entry.run.metrics()
    parameters = summary.parameters if summary else 0
    return Row(
        name=entry.run.path.name,
        data=config.data.name,
        quality="" if entry.val_nats is None else f"{choices(entry.val_nats):.1f} characters",
        state=entry.problem,
        does=describe_plainly(config.model) + (f"; {parameters:,} numbers" if parameters else ""),
        model=describe_model(config),
        parameters=parameters,
        seconds=summary.total_seconds if summary else records[-1]["seconds"] if records else 0.0,
        created=config.created[:16].replace("T", " "),
        is_usable=(entry.run.path / "model.safetensors").exists(),
    )


def usable() -> list[str]:
    """Return the names of the runs that have a model, the latest first."""
    return [row.name for row in rows() if row.is_usable]


@dataclass(frozen=True)
class Verdict:
    """Which of two runs guesses better."""

    sentence: str
    details: str
    """The same as `wavemore compare` says it."""
    better_with_b: Sequence[LineDifference]
    better_with_a: Sequence[LineDifference]


def judge(a: str, b: str) -> Verdict:
    """Compare two runs on the items that neither has learned from.

    Raises `UsageError` for runs on different lists, or one run twice, and `RunError` for one that is not finished.
    """
    if not a or not b:
        raise UsageError("choose two runs")
    runs = find_named(a), find_named(b)
    result = compare(*runs)
    of = "lines" if runs[0].config.data.format == "text" else "items"
    return Verdict(_sentence(a, b, of, result), str(result), result.wins, result.losses)


def _sentence(a: str, b: str, of: str, result: Comparison) -> str:
    overall = result.overall
    sizes = [f"{choices(nats):.2f}" for nats in (overall.a.mean, overall.b.mean)]
    numbers = f"On {result.num_lines:,} {of} that neither has learned from, {a} hesitates between {sizes[0]} "
    numbers += f"characters at each place, {b} between {sizes[1]}."
    if overall.units is None:
        return f"These are too few {of} to say which is better. {numbers}"
    if not overall.units.excludes_zero:
        return f"Neither is clearly better. {numbers}"
    return f"{b if overall.difference < 0 else a} guesses better. {numbers}"
