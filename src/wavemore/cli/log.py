"""`wavemore log`: the runs that there are."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from wavemore.cli.options import Flag
from wavemore.cli.screen import Screen, seconds, table
from wavemore.errors import RunError

if TYPE_CHECKING:
    from wavemore.lab.runs import Run


@dataclass(frozen=True, kw_only=True)
class Log:
    """List runs: what they are, how large, how good, how long they took.

    Example: wavemore log runs/names-1 runs/names-2
    """

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="[RUN ...]", help_behavior_hint="")] = ()
    """Run folders, or folders that hold some; without any: runs/ and this folder."""
    json: Flag = False
    """Print a JSON list with one object a run."""

    def run_command(self) -> int:
        """Print one row a run, oldest first."""
        from wavemore.lab.runs import find_run, find_runs

        found = find_runs([find_run(name).path for name in self.runs] if self.runs else [Path("runs"), Path()])
        if not found and not self.json:
            raise RunError("there is no run here yet: `wavemore train` makes one")
        rows = [_row(run) for run in found]
        if self.json:
            print(json.dumps(rows, ensure_ascii=False, indent=1))
            return 0
        screen = Screen()
        header = ["run", "model", "parameters", "train", "val", "leak-free", "time", "date", "note"]
        cells = [
            [
                row["run"],
                row["model"],
                f"{row['parameters']:,}" if row["parameters"] else "",
                *(f"{row[key]:.4f}" if row[key] is not None else "" for key in LOSSES),
                seconds(row["train_seconds"]) if row["train_seconds"] is not None else "",
                row["created"][:16].replace("T", " "),
                row["status"],
            ]
            for row in rows
        ]
        text = ("run", "model", "date", "note")
        screen.say(
            table(screen, header, cells, left=text, spare=("time", "model", "date", "leak-free", "note", "train"))
        )
        return 0


LOSSES = ("train_nats", "val_nats", "leak_free_val_nats")


def _row(run: "Run") -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(
        ("run", "model", "data", "parameters", *LOSSES, "train_seconds", "created", "note", "status")
    )
    row |= {"run": str(run.path), "model": "", "created": ""}
    try:
        config, summary, metrics = run.config, run.summary(), run.metrics()
    except RunError as error:
        return row | {"status": str(error)}
    tree = config.settings
    fuse = "x".join(map(str, tree.fuse))
    row |= {
        "model": f"{config.model} {fuse} {tree.embedding}/{tree.hidden} {config.recipe.optimizer}",
        "data": config.data.name,
        "created": config.created,
        "note": config.note,
    }
    if summary is not None:
        row |= {key: getattr(summary, key) for key in ("parameters", *LOSSES, "train_seconds")}
        return row | {"status": config.note}
    vals = [record["val_nats"] for record in metrics if isinstance(record.get("val_nats"), float)]
    last = metrics[-1]["step"] if metrics else 0
    return row | {
        "val_nats": min(vals, default=None),
        "status": f"stopped at step {last:,} of {config.recipe.steps:,}, or still running",
    }
