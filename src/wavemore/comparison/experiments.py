"""The table of experiments: runs grouped by experiment, one row each, with mean and standard deviation over seeds.

Runs are seeds of one experiment if they share its name or, without one, all their settings. In both cases the data, the
split and all settings except the seed are the same: a mean over different things has no meaning.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Any, Literal

import numpy as np

from wavemore.comparison.evidence import SideLosses, judge
from wavemore.comparison.statistics import LEVEL, MeanStd, holm, mean_std
from wavemore.errors import RunError
from wavemore.markdown import escape, markdown_table
from wavemore.runs.config import RunConfig
from wavemore.runs.describe import describe_data, describe_model
from wavemore.runs.entry import Entry, FinishedRun, one_per_seed, read_entry
from wavemore.runs.identity import changed_settings, data_key, recipe_key
from wavemore.runs.run import Run
from wavemore.runs.saved_losses import saved_unit_losses
from wavemore.signs import cell

Sort = Literal["date", "val", "leak-free", "parameters", "seconds"]


@dataclass(frozen=True)
class Experiment:
    """Runs that differ only in their seed. Losses are nats per character; None if no run is finished."""

    name: str
    """The experiment's name; without one, the path of a single run, or the model of several."""
    model: str
    data: str
    """The data and its split."""
    parameters: int | None
    runs: tuple[FinishedRun, ...]
    """The runs of the means, one per seed."""
    left_out: tuple[Entry, ...]
    config: RunConfig | None
    """The first run's; None if no config can be read."""
    train: MeanStd | None
    val: MeanStd | None
    leak_free: MeanStd | None
    seconds: MeanStd | None
    """Training time; for a student, it includes that of its teachers."""
    created: str
    note: str
    status: str
    """Runs that are left out of the means, and why."""
    delta: float | None = None
    """Val minus that of the row before; None if that has no val loss, or other data or another split."""
    p: float | None = None
    """The p-value of the delta (see `evidence.judge`), adjusted for the number of rows by Holm's method; None without a
    delta, and with a single seed of a trained model on either side."""
    changed: tuple[str, ...] = ()
    """The settings that differ from those of the row before, if data and split are the same."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(each.config.recipe.seed for each in self.runs)

    @property
    def significant(self) -> bool:
        """Whether the delta is more than chance."""
        return self.p is not None and self.p < 1 - LEVEL

    @property
    def delta_text(self) -> str:
        """The delta with its sign, and a question mark if it is not significant."""
        return "" if self.delta is None else f"{self.delta:+.4f}{'' if self.significant else '?'}"

    @property
    def changed_text(self) -> str:
        """The first three changed settings, and the number of others."""
        others = len(self.changed) - 3
        return ", ".join([*self.changed[:3], *([f"and {others} more"] if others > 0 else [])])


def list_experiments(runs: Sequence[Run], sort: Sort = "date") -> list[Experiment]:
    """Group runs by experiment, in the order in which their first runs began, or by a figure, smallest first.

    A seed that was trained twice gives the same model twice, and counts once.
    """
    groups: dict[Any, list[Entry]] = {}
    for entry in map(read_entry, runs):
        config = entry.config
        key = str(entry.run.path) if config is None else (config.experiment, recipe_key(config))
        groups.setdefault(key, []).append(entry)
    rows = [_experiment(entries) for entries in groups.values()]
    rows = [_with_name_warning(row, rows) for row in rows]
    if sort != "date":
        rows.sort(key=lambda row: _figure(row, sort))
    rows = [_with_delta(before, row) for before, row in zip([None, *rows], rows, strict=False)]
    adjusted = iter(holm([row.p for row in rows if row.p is not None]))
    return [row if row.p is None else replace(row, p=next(adjusted)) for row in rows]


def to_record(row: Experiment) -> dict[str, Any]:
    """A row as plain values for programs: losses in nats per character, times in seconds, None if there is none."""
    data = row.config and row.config.data
    losses = {"train_nats": row.train, "val_nats": row.val, "leak_free_val_nats": row.leak_free}
    record: dict[str, Any] = {
        "name": row.name,
        "model": row.model,
        "data": data and data.name,
        "sha256": data and data.sha256,
        "split_method": data and data.split_method,
        "split_seed": data and data.split_seed,
        "parameters": row.parameters,
        "seeds": list(row.seeds),
    }
    for name, loss in losses.items():
        record |= {name: loss and loss.mean, f"{name}_std": loss and loss.std}
    return record | {
        "delta": row.delta,
        "delta_p": row.p,
        "delta_significant": None if row.delta is None else row.significant,
        "changed": list(row.changed),
        "train_seconds": row.seconds and row.seconds.mean,
        "created": row.created,
        "note": row.note,
        "status": row.status,
        "runs": [str(each.run.path) for each in row.runs],
        "left_out": [str(entry.run.path) for entry in row.left_out],
    }


def to_csv(rows: Sequence[Experiment]) -> str:
    """The records as comma-separated values with a header; the items of a list are joined by semicolons.

    Text that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    records = [to_record(row) for row in rows]
    writer.writerows(records[:1])
    for record in records:
        writer.writerow(map(_csv_cell, record.values()))
    return text.getvalue()


def _csv_cell(value: Any) -> Any:
    if isinstance(value, list):
        value = "; ".join(map(str, value))
    return cell(value) if isinstance(value, str) else value


def to_markdown(rows: Sequence[Experiment]) -> str:
    """The rows as a table: losses in nats per character, mean ± standard deviation over seeds.

    A delta with a question mark is not significant.
    """
    header = ["name", "model", "data", "parameters", "seeds", "train", "val", "leak-free", "delta", "seconds"]
    header += ["date", "changed", "note"]
    return markdown_table(header, [_markdown_cells(row) for row in rows], right=range(3, 10)) + "\n"


def _markdown_cells(row: Experiment) -> list[str]:
    return [
        *map(escape, (row.name, row.model, row.data)),
        f"{row.parameters:,}" if row.parameters else "",
        str(len(row.seeds) or ""),
        *(str(loss or "") for loss in (row.train, row.val, row.leak_free)),
        row.delta_text,
        f"{row.seconds.mean:.1f}" if row.seconds else "",
        row.created[:10],
        escape(row.changed_text),
        escape("; ".join(filter(None, [row.note, row.status]))),
    ]


def _experiment(entries: Sequence[Entry]) -> Experiment:
    finished, left_out = one_per_seed(entries)
    summaries = [each.summary for each in finished]
    config, alone = entries[0].config, len(entries) == 1
    model = describe_model(config) if config else ""
    notes = [entry.config.note for entry in entries if entry.config and entry.config.note]
    problems = [entry.problem if alone else f"without {entry.run.path}: {entry.problem}" for entry in left_out]
    return Experiment(
        name=(config.experiment if config else "") or (str(entries[0].run.path) if alone else model),
        model=model,
        data=describe_data(config) if config else "",
        parameters=summaries[0].parameters if summaries else None,
        runs=tuple(finished),
        left_out=tuple(left_out),
        config=config,
        train=_mean_std([summary.train_nats for summary in summaries]),
        val=_mean_std([summary.val_nats for summary in summaries]),
        leak_free=_mean_std([s.leak_free_val_nats for s in summaries if s.leak_free_val_nats is not None]),
        seconds=_mean_std([summary.total_seconds for summary in summaries]),
        created=config.created if config else "",
        note="; ".join(dict.fromkeys(notes)),
        status="; ".join(problems),
    )


def _with_name_warning(row: Experiment, rows: Sequence[Experiment]) -> Experiment:
    """Add a warning to the status if several recipes on the same data share this experiment's name."""
    if row.config is None or not row.config.experiment:
        return row
    keys = [(other.config.experiment, data_key(other.config.data)) for other in rows if other.config]
    count = keys.count((row.config.experiment, data_key(row.config.data)))
    if count == 1:
        return row
    warning = f"{count} recipes have this name: give each its own"
    return replace(row, status="; ".join(filter(None, [warning, row.status])))


def _with_delta(before: Experiment | None, row: Experiment) -> Experiment:
    if before is None or before.config is None or row.config is None:
        return row
    if data_key(before.config.data) != data_key(row.config.data):
        return row
    row = replace(row, changed=changed_settings(before.config, row.config))
    if before.val is None or row.val is None:
        return row
    return replace(row, delta=row.val.mean - before.val.mean, p=_p(before.runs, row.runs))


def _p(a: Sequence[FinishedRun], b: Sequence[FinishedRun]) -> float | None:
    """The p-value of the difference of two experiments on the same val part; None if it cannot be computed."""
    try:
        losses = [[saved_unit_losses(each.run, "val") for each in side] for side in (a, b)]
    except RunError:
        return None
    known = [each for side in losses for each in side if each is not None]
    if len(known) < len(a) + len(b) or any(not np.array_equal(each.targets, known[0].targets) for each in known):
        return None
    before, after = (
        SideLosses(np.stack([each.nats for each in side if each is not None]), runs[0].config.model_config.counted)
        for side, runs in zip(losses, (a, b), strict=True)
    )
    try:
        return judge(before, after, known[0].targets.astype(np.float64)).p
    except RunError:  # a loss is not finite
        return None


def _figure(row: Experiment, sort: Sort) -> float:
    """The figure to sort by; infinity, which comes last, if there is none."""
    if sort == "parameters":
        return inf if row.parameters is None else row.parameters
    value = {"val": row.val, "leak-free": row.leak_free, "seconds": row.seconds}[sort]
    return value.mean if value else inf


def _mean_std(values: Sequence[float]) -> MeanStd | None:
    return mean_std(values) if values else None
