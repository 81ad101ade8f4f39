"""Runs as far as their files can be read, and the finished ones of them, one per seed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from wavemore.errors import RunError
from wavemore.runs.config import RunConfig
from wavemore.runs.record import Summary
from wavemore.runs.run import Run


@dataclass(frozen=True)
class Entry:
    """A run as far as its files can be read."""

    run: Run
    config: RunConfig | None
    summary: Summary | None
    val_nats: float | None
    """Lowest val loss, also of an unfinished run."""
    problem: str
    """Why the run counts in no mean: it is unfinished or cannot be read; empty for a finished run."""
    unfinished: bool = False


@dataclass(frozen=True)
class FinishedRun:
    """A finished run with its files."""

    run: Run
    config: RunConfig
    summary: Summary


def read_entry(run: Run) -> Entry:
    """Read a run; an error becomes its `problem`."""
    config = None
    try:
        config = run.config
        summary, records = run.summary(), run.metrics()
    except RunError as error:
        return Entry(run, config, None, None, str(error))
    if summary is not None:
        return Entry(run, config, summary, summary.val_nats, "")
    val_nats = min((record["val_nats"] for record in records if "val_nats" in record), default=None)
    return Entry(run, config, None, val_nats, run.progress(), unfinished=True)


def one_per_seed(entries: Iterable[Entry]) -> tuple[list[FinishedRun], list[Entry]]:
    """The finished runs in order of their seeds, one per seed, and the entries that are left out."""
    finished: dict[int, FinishedRun] = {}
    left_out = []
    for entry in entries:
        if entry.config is None or entry.summary is None:
            left_out.append(entry)
        elif (seed := entry.config.recipe.seed) in finished:
            left_out.append(replace(entry, problem=f"duplicate of seed {seed}"))
        else:
            finished[seed] = FinishedRun(entry.run, entry.config, entry.summary)
    return [finished[seed] for seed in sorted(finished)], left_out
