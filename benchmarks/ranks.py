"""Training by several processes against one process with as many threads: `python -m benchmarks.ranks`.

Each side is a whole `wavemore train` of a WaveNet on a text, as a user starts it: two processes under torchrun with one
thread each, and one process with two threads. What counts are the characters per second of training that it reports
with its last record. The sides take turns, and each figure is a median; the record is records/ranks.json.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from wavemore.runs.environment import environment
from wavemore.runs.run import Run

RECORD = Path(__file__).resolve().parents[1] / "records" / "ranks.json"
PROCESSES = 2


def main() -> None:
    """Measure both sides."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ranks", description="Several processes against one.")
    parser.add_argument("--text", default="tinyshakespeare", help="path of the text, if it cannot be downloaded")
    parser.add_argument("--model", default="wavenet")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RECORD)
    arguments = parser.parse_args()
    torchrun = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(PROCESSES))
    sides = {
        "threads": ("-m", "wavemore", "--threads", str(PROCESSES)),
        "processes": (*torchrun, "-m", "--", "wavemore", "--threads", "1"),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(arguments.repeats):
        for name, command in sides.items():
            speeds[name].append(_speed(command, arguments))
            print(f"{turn + 1} of {arguments.repeats}  {name:9}  {speeds[name][-1]:,.0f} characters/s", flush=True)
    medians = {name: median(values) for name, values in speeds.items()}
    record = {
        "command": "python -m benchmarks.ranks",
        "what": f"training a {arguments.model} on a text: {PROCESSES} processes against {PROCESSES} threads",
        "unit": "characters/s",
        "medians": medians,
        "ratio": medians["processes"] / medians["threads"],
        "runs": speeds,
        "steps": arguments.steps,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    print(f"{record['ratio']:.2f}x")
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _speed(command: tuple[str, ...], arguments: argparse.Namespace) -> float:
    """Train once, and return characters per second of training time."""
    *program, flag, threads = command
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run"
        words: list[Any] = ["train", arguments.text, "--run", path, flag, threads, "--steps", arguments.steps]
        words += ["--model", arguments.model, "--num-evals", 1, "--seed", 0]
        environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
        subprocess.run(
            [sys.executable, *program, *map(str, words)], check=True, env=environment, stdout=subprocess.DEVNULL
        )
        run = Run(path)
        last = run.metrics()[-1]
        return last["step"] * run.config.recipe.batch_size / last["seconds"]


if __name__ == "__main__":
    main()
