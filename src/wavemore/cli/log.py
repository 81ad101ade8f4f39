"""`wavemore log`: the experiments, or the runs, in a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from wavemore.cli.options import NO_HINT, File, Flag, Text
from wavemore.cli.screen import Screen, checked_figure_path, print_json, print_lines, seconds, table
from wavemore.errors import RunError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wavemore.comparison.experiments import Experiment
    from wavemore.runs.entry import Entry
    from wavemore.runs.run import Run


@dataclass(frozen=True, kw_only=True)
class Log:
    """List experiments: size, loss over the seeds, improvement, time.

    Losses are nats per character, mean ± standard deviation over the seeds.

    Delta: val loss minus that of the row before; ?: chance could explain it.

    Time: training time; for a student, it includes that of its teachers.

    Example:
      wavemore log --sort val
    """

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="[RUN ...]"), NO_HINT] = ()
    """runs, folders with runs, or experiments (default: all runs in runs/)"""
    single: Annotated[Flag, arg(name="runs")] = False
    """one row per run instead"""
    sort: Literal["date", "val", "leak-free", "parameters", "seconds"] = "date"
    """smallest first, or oldest first"""
    note: Text = None
    """give the named runs this note, and show them"""
    name: Text = None
    """give the named runs this experiment name, and show them"""
    json: Flag = False
    """print a JSON list with one object per row"""
    csv: Flag = False
    """print comma-separated values"""
    markdown: Flag = False
    """print a Markdown table"""
    plot: File = None
    """draw val loss against parameters and against seconds: .png, .svg or .pdf"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Print the rows."""
        from wavemore.comparison.experiments import list_experiments
        from wavemore.runs.find import ROOMS, find_group, find_runs, find_tunings
        from wavemore.runs.run import Run

        if self.json + self.csv + self.markdown > 1:
            raise UsageError("--json, --csv and --markdown are three formats of the same rows; give one of them")
        if self.single and (self.csv or self.markdown or self.plot is not None):
            raise UsageError("--csv, --markdown and --plot show experiments; leave --runs out")
        path = checked_figure_path(self.plot)
        paths = dict.fromkeys(run.path for name in self.runs for run in find_group(name))
        tunings = [] if self.runs else find_tunings()  # their best trials are shown, as their repeats are experiments
        runs = [Run(path) for path in paths] if self.runs else find_runs([ROOMS[0], *tunings])
        if self.note is not None or self.name is not None:
            if not self.runs:
                raise UsageError("name the runs that you mean: wavemore log RUN --note TEXT --name TEXT")
            for run in runs:
                run.relabel(note=self.note, experiment=self.name)
        if not runs and not self.json:
            raise RunError("there is no run yet: `wavemore train` makes one")
        if self.single:
            self._print_runs(runs)
        else:
            self._print_experiments(list_experiments(runs, self.sort), path)
        if tunings and not (self.json or self.csv or self.markdown):
            Screen().say("", *(f"the trials of {folder.name}: wavemore log {folder}/trials" for folder in tunings))
        return 0

    def _print_experiments(self, rows: "list[Experiment]", path: "Path | None") -> None:
        from wavemore.comparison.experiments import to_csv, to_markdown, to_record

        if path is not None:
            _draw(rows, path)
        if self.json:
            print_json([to_record(row) for row in rows])
        elif self.csv:
            print_lines(to_csv(rows).rstrip("\n"))
        elif self.markdown:
            print_lines(to_markdown(rows).rstrip("\n"))
        else:
            screen = Screen()
            header = ("name", "model", "data", "parameters", "seeds", *LOSSES, "delta", "time", *DATE_AND_TEXT)
            left = ("name", "model", "data", *DATE_AND_TEXT)
            same_data = ["data"] if len({row.data for row in rows}) == 1 else []
            spare = ("changed", *same_data, "time", "model", "date", "data", "leak-free", "note", "train", "parameters")
            screen.say(table(screen, header, map(_cells, rows), left=left, spare=(*spare, "delta")))
            if path is not None:
                screen.say("", f"wrote {path}")

    def _print_runs(self, runs: "list[Run]") -> None:
        from wavemore.runs.entry import read_entry

        records = [_record(read_entry(run)) for run in runs]
        if self.sort != "date":
            key = SORT_KEYS[self.sort]
            records.sort(key=lambda record: (record[key] is None, record[key] or 0.0))
        if self.json:
            print_json(records)
            return
        screen = Screen()
        header = ("run", "experiment", "model", "seed", "parameters", *LOSSES, "time", "date", "note")
        left = ("run", "experiment", "model", "date", "note")
        spare = ("time", "model", "date", "leak-free", "note", "train", "experiment", "seed")
        screen.say(table(screen, header, map(_run_cells, records), left=left, spare=spare))


LOSSES = ("train", "val", "leak-free")
DATE_AND_TEXT = ("date", "changed", "note")
LOSS_KEYS = ("train_nats", "val_nats", "leak_free_val_nats")
SORT_KEYS = {"val": LOSS_KEYS[1], "leak-free": LOSS_KEYS[2], "parameters": "parameters", "seconds": "train_seconds"}


def _cells(row: "Experiment") -> list[str]:
    return [
        row.name,
        "" if row.name == row.model else row.model,
        row.data,
        f"{row.parameters:,}" if row.parameters else "",
        str(len(row.seeds) or ""),
        *(str(value or "") for value in (row.train, row.val, row.leak_free)),
        row.delta_text,
        seconds(row.seconds.mean) if row.seconds else "",
        _minute(row.created),
        row.changed_text,
        "; ".join(filter(None, [row.note, row.status])),
    ]


def _run_cells(record: dict[str, Any]) -> list[str]:
    return [
        record["run"],
        record["experiment"] or "",
        record["model"],
        "" if record["seed"] is None else str(record["seed"]),
        f"{record['parameters']:,}" if record["parameters"] else "",
        *(f"{record[key]:.4f}" if record[key] is not None else "" for key in LOSS_KEYS),
        seconds(record["train_seconds"]) if record["train_seconds"] is not None else "",
        _minute(record["created"]),
        record["status"],
    ]


def _record(entry: "Entry") -> dict[str, Any]:
    """Return a run as plain values; `status` is what is wrong with it, or else its note."""
    from wavemore.runs.describe import describe_model

    config, summary = entry.config, entry.summary
    return {
        "run": str(entry.run.path),
        "experiment": config.experiment if config else None,
        "model": describe_model(config) if config else "",
        "data": config.data.name if config else None,
        "seed": config.recipe.seed if config else None,
        "parameters": summary.parameters if summary else None,
        "train_nats": summary.train_nats if summary else None,
        "val_nats": entry.val_nats,
        "leak_free_val_nats": summary.leak_free_val_nats if summary else None,
        "train_seconds": summary.total_seconds if summary else None,
        "created": config.created if config else "",
        "note": config.note if config else None,
        "status": entry.problem or (config.note if config else ""),
    }


def _minute(created: str) -> str:
    return created[:16].replace("T", " ")


def _draw(rows: "list[Experiment]", path: "Path") -> None:
    from wavemore.plots import Point, losses_against
    from wavemore.plots.save import write_figure
    from wavemore.runs.identity import data_key

    finished = [row for row in rows if row.val is not None and row.config is not None]
    data = {data_key(row.config.data): row.data for row in finished if row.config is not None}
    if len(data) > 1:
        examples = " and ".join(list(data.values())[:2])
        raise UsageError(f"--plot is for one data set and one split, not for {examples}; name the runs or experiments")
    parameters, times = [], []
    for row in finished:
        assert row.val is not None
        if row.parameters is not None:
            parameters.append(Point(row.name, row.parameters, row.val.mean, row.val.std))
        if row.seconds is not None:
            times.append(Point(row.name, row.seconds.mean, row.val.mean, row.val.std))
    write_figure(losses_against({"parameters": parameters, "seconds": times}), path)
