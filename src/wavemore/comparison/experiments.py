"""The log: runs by experiment, one row each, with mean and standard deviation over seeds.

Seeds of one experiment are the runs that share `experiment` or, where they have none, all their settings; in both
cases the data, the split and all settings but the seed are the same, as a mean over different things says nothing.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from wavemore.comparison.statistics import Spread, spread, welch
from wavemore.runs.config import Config
from wavemore.runs.entry import Entry, changed, data_key, data_words, model_words, read, recipe_key
from wavemore.runs.run import Run

Sort = Literal["date", "val", "leak-free", "parameters", "seconds"]


@dataclass(frozen=True)
class Row:
    """One experiment: runs that differ in nothing but their seed."""

    name: str
    """The experiment's name; without one, the run or, of several runs, the model."""
    model: str
    data: str
    """The data and its split."""
    parameters: int | None
    seeds: tuple[int, ...]
    """Those of the runs that the means are of."""
    train: Spread | None
    """Nats per character, as the next two; None where no run has ended."""
    val: Spread | None
    leak_free: Spread | None
    difference: float | None
    """Of val, to the row before; None where that has no val loss or is of other data or another split."""
    shown: bool
    """Whether the seeds show that difference (Welch's test); with one seed on either side they never do."""
    changed: tuple[str, ...]
    """The settings that differ from those of the row before, where their data and split agree."""
    seconds: Spread | None
    """Of training."""
    created: str
    note: str
    status: str
    """Runs that are left out of the means, and why."""
    entries: tuple[Entry, ...]
    """The runs of the means; none where no run has ended."""
    left_out: tuple[Entry, ...]

    @property
    def config(self) -> Config | None:
        """Of the first run; None where no run can be read."""
        return next((entry.config for entry in (*self.entries, *self.left_out) if entry.config), None)


def rows(runs: Sequence[Run], sort: Sort = "date") -> list[Row]:
    """One row an experiment, in the order in which their first runs were begun, or by a figure, smallest first.

    A seed that was trained twice is the same model twice, and counts once.
    """
    groups: dict[Any, list[Entry]] = {}
    for entry in map(read, runs):
        config = entry.config
        key = str(entry.run.path) if config is None else (config.experiment, recipe_key(config))
        groups.setdefault(key, []).append(entry)
    found = [_row(entries) for entries in groups.values()]
    found = [_told_apart(row, found) for row in found]
    if sort != "date":
        found.sort(key=lambda row: (_figure(row, sort) is None, _figure(row, sort) or 0.0))
    return [_compared(before, row) for before, row in zip([None, *found], found, strict=False)]


COLUMNS = (
    *("name", "model", "data", "sha256", "split", "split_seed", "parameters", "seeds"),
    *("train_nats", "train_nats_std", "val_nats", "val_nats_std", "leak_free_val_nats", "leak_free_val_nats_std"),
    *("difference", "difference_shown", "changed", "train_seconds", "created", "note", "status"),
)
"""The fields of a row as a record, for programs: losses are nats per character, times seconds.

`train_seconds` of a student are with those of its teachers.
"""


def to_record(row: Row) -> dict[str, Any]:
    """A row as plain values; None where there is none. `runs` and `left_out` are the paths of its runs."""
    config = row.config
    record: dict[str, Any] = dict.fromkeys(COLUMNS)
    for key, value in (("train", row.train), ("val", row.val), ("leak_free_val", row.leak_free)):
        if value is not None:
            record |= {f"{key}_nats": value.mean, f"{key}_nats_std": value.std}
    if config is not None:
        data = config.data
        record |= {"data": data.name, "sha256": data.sha256, "split": data.split, "split_seed": data.split_seed}
    return record | {
        "name": row.name,
        "model": row.model,
        "parameters": row.parameters,
        "seeds": list(row.seeds),
        "difference": row.difference,
        "difference_shown": None if row.difference is None else row.shown,
        "changed": list(row.changed),
        "train_seconds": row.seconds.mean if row.seconds else None,
        "created": row.created,
        "note": row.note,
        "status": row.status,
        "runs": [str(entry.run.path) for entry in row.entries],
        "left_out": [str(entry.run.path) for entry in row.left_out],
    }


def to_csv(found: Sequence[Row]) -> str:
    """The rows as comma-separated values with a header, numbers as they are; several seeds stand in one field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, "runs"])
    for row in found:
        record = to_record(row)
        record |= {key: "; ".join(map(str, record[key])) for key in ("seeds", "changed", "runs")}
        writer.writerow(["" if record[key] is None else record[key] for key in (*COLUMNS, "runs")])
    return text.getvalue()


def to_markdown(found: Sequence[Row]) -> str:
    """The rows as a table for a page: losses in nats per character, mean ± standard deviation over seeds.

    A difference with a question mark is one that the seeds do not show.
    """
    columns = ["name", "model", "data", "parameters", "seeds", "train", "val", "leak-free"]
    columns += ["difference", "seconds", "date", "changed", "note"]
    rules = [*["---"] * 3, *["---:"] * 7, *["---"] * 3]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [columns, rules, *map(_markdown_cells, found)])


def _markdown_cells(row: Row) -> list[str]:
    return [
        *(_escaped(words) for words in (row.name, row.model, row.data)),
        f"{row.parameters:,}" if row.parameters else "",
        str(len(row.seeds) or ""),
        *(str(value or "") for value in (row.train, row.val, row.leak_free)),
        difference_words(row),
        f"{row.seconds.mean:.1f}" if row.seconds else "",
        row.created[:10],
        _escaped(changed_words(row)),
        _escaped("; ".join(filter(None, [row.note, row.status]))),
    ]


def difference_words(row: Row) -> str:
    """The difference with its sign, and a question mark where the seeds do not show it."""
    if row.difference is None:
        return ""
    return f"{row.difference:+.4f}{'' if row.shown else '?'}"


def changed_words(row: Row, most: int = 3) -> str:
    """What was changed since the row before, the first few settings of it."""
    more = f"and {len(row.changed) - most} more" if len(row.changed) > most else ""
    return ", ".join(filter(None, [*row.changed[:most], more]))


def _row(entries: list[Entry]) -> Row:
    by_seed: dict[int, Entry] = {}
    left_out = []
    for entry in entries:
        if entry.config is None or entry.summary is None:
            left_out.append(entry)
        elif entry.config.recipe.seed in by_seed:
            left_out.append(replace(entry, problem=f"seed {entry.config.recipe.seed} again"))
        else:
            by_seed[entry.config.recipe.seed] = entry
    ended = tuple(by_seed[seed] for seed in sorted(by_seed))
    summaries = [entry.summary for entry in ended if entry.summary is not None]
    config = next((entry.config for entry in entries if entry.config), None)
    alone = len(entries) == 1
    model = model_words(config) if config else ""
    notes = dict.fromkeys(entry.config.note for entry in entries if entry.config and entry.config.note)
    free = [s.leak_free_val_nats for s in summaries if s.leak_free_val_nats is not None]
    return Row(
        name=(config.experiment if config else "") or (str(entries[0].run.path) if alone else model),
        model=model,
        data=data_words(config) if config else "",
        parameters=summaries[0].parameters if summaries else None,
        seeds=tuple(sorted(by_seed)),
        train=_spread([s.train_nats for s in summaries]),
        val=_spread([s.val_nats for s in summaries]),
        leak_free=_spread(free),
        difference=None,
        shown=False,
        changed=(),
        seconds=_spread([s.total_seconds for s in summaries]),
        created=config.created if config else "",
        note="; ".join(notes),
        status=left_out[0].problem
        if alone and left_out
        else "; ".join(f"without {entry.run.path}: {entry.problem}" for entry in left_out),
        entries=ended,
        left_out=tuple(left_out),
    )


def _told_apart(row: Row, found: Sequence[Row]) -> Row:
    """Say so where an experiment's name stands for several recipes: each of them has a row."""
    config = row.config
    if config is None or not config.experiment:
        return row
    twins = [other for other in found if other.config and other.config.experiment == config.experiment]
    alike = [other for other in twins if other.config and data_key(other.config) == data_key(config)]
    if len(alike) == 1:
        return row
    words = f"{len(alike)} recipes have this name: give each its own"
    return replace(row, status="; ".join(filter(None, [words, row.status])))


def _compared(before: Row | None, row: Row) -> Row:
    if before is None or before.config is None or row.config is None:
        return row
    if data_key(before.config) != data_key(row.config):
        return row
    row = replace(row, changed=changed(before.config, row.config))
    if before.val is None or row.val is None:
        return row
    test = welch(_vals(before), _vals(row))
    return replace(row, difference=row.val.mean - before.val.mean, shown=test is not None and test.shown)


def _vals(row: Row) -> list[float]:
    return [entry.summary.val_nats for entry in row.entries if entry.summary is not None]


def _figure(row: Row, sort: Sort) -> float | None:
    if sort == "parameters":
        return row.parameters
    value = {"val": row.val, "leak-free": row.leak_free, "seconds": row.seconds}[sort]
    return value.mean if value else None


def _spread(values: list[float]) -> Spread | None:
    return spread(values) if values else None


def _escaped(words: str) -> str:
    """Words in a cell of a Markdown table."""
    for sign in "\\|<>*_`[]":
        words = words.replace(sign, f"\\{sign}")
    return " ".join(words.split())
