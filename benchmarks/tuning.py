"""How good are the settings that `wavemore tune` finds in a given time, within the limits of the lecture's model?

`python -m benchmarks.tuning` tunes on the lecture's names and split, with at most 76,579 parameters and 15 seconds of
training. The val losses are those of the repeats on fresh seeds. Test is computed once, for the repeats of the winner
and of the defaults, after all decisions. Writes records/tuning.json; other limits need another --output, such as
records/tuning-60-s.json. Let nothing else run beside it.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import tyro

from wavemore.engine.evaluate import evaluate
from wavemore.runs.run import Run
from wavemore.studies.tuning.record import answer, read_tuning

RECORD = Path(__file__).resolve().parents[1] / "records/tuning.json"


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """Tune, and write what was found."""

    data: str = "makemore-names"
    minutes: float = 20.0
    max_parameters: int = 76_579
    max_seconds: float = 15.0
    output: Path = RECORD


def measure(arguments: Tuning, folder: Path) -> dict[str, Any]:
    """Run the command in a folder, and return the record."""
    limits = ["--max-parameters", str(arguments.max_parameters), "--max-seconds", f"{arguments.max_seconds:g}"]
    flags = ["--split-method", "lecture", *limits, "--minutes", f"{arguments.minutes:g}"]
    start = perf_counter()
    command = [sys.executable, "-m", "wavemore", "tune", arguments.data, *flags, "--folder", str(folder)]
    subprocess.run(command, check=True)
    seconds = perf_counter() - start
    found = read_tuning(folder)
    states = [trial["state"] for trial in found["trials"]]
    finalists = [each for each in found["finalists"] if each["trial"] in (1, found["winner"])]
    return {
        "question": "How good are the settings that a search finds in a given time?",
        "command": f"wavemore tune {Path(arguments.data).stem} {' '.join(flags)}",
        "seconds": round(seconds, 1),
        "trials": len(states),
        "pruned": states.count("pruned"),
        "answer": answer(found),
        "rows": [_row(each) for each in finalists],
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": found["environment"],
    }


def _row(finalist: dict[str, Any]) -> dict[str, Any]:
    """Return a finalist with the test losses of its repeats."""
    runs = [Run(path) for path in finalist["paths"]]
    losses = [evaluate(run.model(), run.corpus().test) for run in runs]
    return {
        "trial": finalist["trial"],
        "description": finalist["description"],
        "settings": finalist["settings"],
        "parameters": finalist["parameters"],
        "search_val": finalist["search_val"],
        "train_seconds": round(finalist["train_seconds"], 2),
        "seeds": [run["seed"] for run in finalist["runs"]],
        "val_nats": [run["val_nats"] for run in finalist["runs"]],
        "leak_free_val_nats": fmean(run["leak_free_val_nats"] for run in finalist["runs"]),
        "test_nats": [loss.nats for loss in losses],
        "leak_free_test_nats": fmean(loss.leak_free_nats for loss in losses),
    }


def main() -> None:
    """Measure, print and write the record."""
    arguments = tyro.cli(Tuning, description=__doc__)
    with TemporaryDirectory() as folder:
        record = measure(arguments, Path(folder) / "tuning")
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
