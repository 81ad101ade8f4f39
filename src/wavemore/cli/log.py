"""`wavemore log`: the experiments and the runs that there are."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from tyro.conf import Positional, arg

from wavemore.cli.options import Flag
from wavemore.cli.screen import Screen, seconds, table, visible
from wavemore.errors import RunError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from wavemore.comparison.experiments import Row
    from wavemore.runs.entry import Entry
    from wavemore.runs.run import Run

Given = Annotated[str | None, arg(metavar="TEXT", help_behavior_hint="")]


@dataclass(frozen=True, kw_only=True)
class Log:
    """One row an experiment: how large, how good over its seeds, how much better than the row before, how long.

    Losses are nats per character, mean ± standard deviation over seeds. The change is that of val; a question mark
    says that the seeds do not show it. The time of a student is with that of its teachers.

    Example: wavemore log --sort val
    """

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="[RUN ...]", help_behavior_hint="")] = ()
    """Runs, folders that hold some, or experiments; without any: the runs of runs/ and of this folder."""
    single: Annotated[Flag, arg(name="runs")] = False
    """One row a run instead."""
    sort: Literal["date", "val", "leak-free", "parameters", "seconds"] = "date"
    """By what, smallest first."""
    note: Given = None
    """Give the named runs this note, and show them."""
    name: Given = None
    """Make the named runs one experiment of this name, and show them."""
    json: Flag = False
    """Print a JSON list with one object a row."""
    csv: Flag = False
    """Print comma-separated values."""
    markdown: Flag = False
    """Print a Markdown table."""
    plot: Annotated[str, arg(metavar="FILE", help_behavior_hint="")] = ""
    """Draw val loss against parameters and against seconds: .png, .svg or .pdf."""

    def run_command(self) -> int:
        """Print the rows, oldest first where nothing else is asked."""
        from wavemore.comparison.experiments import rows
        from wavemore.plots.save import figure_path
        from wavemore.runs.find import find_group, find_runs
        from wavemore.runs.run import Run

        if self.json + self.csv + self.markdown > 1:
            raise UsageError("--json, --csv and --markdown are three forms of the same rows: give one of them")
        if self.single and (self.csv or self.markdown or self.plot):
            raise UsageError("--csv, --markdown and --plot are of experiments: leave --runs out")
        path = figure_path(self.plot) if self.plot else None
        paths = dict.fromkeys(run.path for name in self.runs for run in find_group(name))
        found = [Run(path) for path in paths] if self.runs else find_runs()
        if self.note is not None or self.name is not None:
            self._relabel(found)
        if not found and not self.json:
            raise RunError("there is no run here yet: `wavemore train` makes one")
        if self.single:
            self._show_runs(found)
        else:
            self._show(rows(found, self.sort), path)
        return 0

    def _relabel(self, found: list["Run"]) -> None:
        if not self.runs:
            raise UsageError("say which runs are meant: wavemore log RUN --note TEXT --name TEXT")
        for run in found:
            run.relabel(note=self.note, experiment=self.name)

    def _show(self, rows: "list[Row]", path: "Path | None") -> None:
        from wavemore.comparison.experiments import to_csv, to_markdown, to_record

        if path is not None:
            _draw(rows, path)
        if self.json:
            print(json.dumps([to_record(row) for row in rows], ensure_ascii=False, indent=1))
        elif self.csv:
            print(to_csv(rows), end="")
        elif self.markdown:
            print("\n".join(map(visible, to_markdown(rows).splitlines())))
        else:
            screen = Screen()
            screen.say(
                table(
                    screen,
                    [
                        "name",
                        "model",
                        "data",
                        "parameters",
                        "seeds",
                        *LOSSES,
                        "change",
                        "time",
                        "date",
                        "changed",
                        "note",
                    ],
                    [_cells(row) for row in rows],
                    left=("name", "model", "data", "date", "changed", "note"),
                    spare=(
                        "changed",
                        *(["data"] if len({row.data for row in rows}) == 1 else []),
                        *("time", "model", "date", "data", "leak-free", "note", "train", "parameters", "change"),
                    ),
                )
            )
            if path is not None:
                screen.say(f"\ndrawn in {path}")

    def _show_runs(self, runs: "list[Run]") -> None:
        from wavemore.runs.entry import read

        entries = [read(run) for run in runs]
        if self.sort != "date":
            entries.sort(key=lambda entry: _figure(entry, self.sort))
        records = [_record(entry) for entry in entries]
        if self.json:
            print(json.dumps(records, ensure_ascii=False, indent=1))
            return
        screen = Screen()
        header = ["run", "experiment", "model", "seed", "parameters", *LOSSES, "time", "date", "note"]
        cells = [
            [
                record["run"],
                record["experiment"] or "",
                record["model"],
                "" if record["seed"] is None else str(record["seed"]),
                f"{record['parameters']:,}" if record["parameters"] else "",
                *(f"{record[key]:.4f}" if record[key] is not None else "" for key in LOSS_KEYS),
                seconds(record["train_seconds"]) if record["train_seconds"] is not None else "",
                _day(record["created"]),
                record["status"],
            ]
            for record in records
        ]
        text = ("run", "experiment", "model", "date", "note")
        spare = ("time", "model", "date", "leak-free", "note", "train", "experiment", "seed")
        screen.say(table(screen, header, cells, left=text, spare=spare))


LOSSES = ("train", "val", "leak-free")
HEADER = ("name", "model", "data", "parameters", "seeds", *LOSSES, "change", "time", "date", "changed", "note")
NUMBERS = ("parameters", "seeds", *LOSSES, "change", "time")
LOSS_KEYS = ("train_nats", "val_nats", "leak_free_val_nats")


def _cells(row: "Row") -> list[str]:
    from wavemore.comparison.experiments import changed_words, difference_words

    return [
        row.name,
        "" if row.name == row.model else row.model,
        row.data,
        f"{row.parameters:,}" if row.parameters else "",
        str(len(row.seeds) or ""),
        *(str(value or "") for value in (row.train, row.val, row.leak_free)),
        difference_words(row),
        seconds(row.seconds.mean) if row.seconds else "",
        _day(row.created),
        changed_words(row),
        "; ".join(filter(None, [row.note, row.status])),
    ]


def _record(entry: "Entry") -> dict[str, Any]:
    """A run for programs; `status` is what is wrong with it or else its note."""
    from wavemore.runs.entry import model_words

    config, summary = entry.config, entry.summary
    keys = ("run", "experiment", "model", "data", "seed", "parameters", *LOSS_KEYS, "train_seconds", "created", "note")
    record: dict[str, Any] = dict.fromkeys(keys)
    record |= {"run": str(entry.run.path), "model": "", "created": "", "val_nats": entry.val_nats}
    if config is not None:
        record |= {"experiment": config.experiment, "model": model_words(config), "data": config.data.name}
        record |= {"seed": config.recipe.seed, "created": config.created, "note": config.note}
    if summary is not None:
        record |= {key: getattr(summary, key) for key in ("parameters", *LOSS_KEYS)}
        record["train_seconds"] = summary.total_seconds
    return record | {"status": entry.problem or record["note"] or ""}


def _figure(entry: "Entry", sort: str) -> tuple[bool, float]:
    """What a run is sorted by; runs without it come last."""
    keys = {
        "val": "val_nats",
        "leak-free": "leak_free_val_nats",
        "parameters": "parameters",
        "seconds": "train_seconds",
    }
    value = _record(entry)[keys[sort]]
    return value is None, value or 0.0


def _day(created: str) -> str:
    return created[:16].replace("T", " ")


def _draw(rows: "list[Row]", path: "Path") -> None:
    from wavemore.plots import Point, losses_against_costs
    from wavemore.plots.save import write_figure
    from wavemore.runs.entry import data_key

    ended = [row for row in rows if row.val is not None and row.config is not None]
    data = {data_key(row.config): row.data for row in ended if row.config is not None}
    if len(data) > 1:
        some = " and ".join(list(data.values())[:2])
        raise UsageError(f"--plot is of one data set and one split, not of {some}: name the runs or experiments")
    parameters, times = [], []
    for row in ended:
        assert row.val is not None
        if row.parameters is not None:
            parameters.append(Point(row.name, row.parameters, row.val.mean, row.val.std))
        if row.seconds is not None:
            times.append(Point(row.name, row.seconds.mean, row.val.mean, row.val.std))
    write_figure(losses_against_costs(parameters, times), path)
