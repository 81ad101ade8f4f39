"""Training beside another busy process: `python -m benchmarks.busy` writes records/busy.json.

The whole command `wavemore train`, with the threads that it chooses by itself and with `--threads 1`, by turns, beside
one process that does nothing but count. The times are those of the training steps; each figure is a median.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

import wavemore as wm
from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records" / "busy.json"
TRAININGS = {
    "tree, a list": ("--format", "lines", "--steps", "1000"),
    "LSTM of hidden 384, a list": ("--format", "lines", "--model", "lstm", "--hidden", "384", "--steps", "60"),
    "WaveNet, a text": ("--format", "text", "--model", "wavenet", "--steps", "60"),
    "WaveNet, a short text": ("--format", "text", "--model", "wavenet", "--steps", "200", "--batch-size", "64"),
}
SHORT = 5_000
"""Characters of the short text."""
THREADS = ("auto", "1")


def main() -> None:
    """Measure each training by turns with both settings."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.busy", description="Train beside a busy process.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(TRAININGS), default=list(TRAININGS))
    parser.add_argument("--output", type=Path, default=RECORD)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.only:
            with _busy_process():
                rows.append(_measure(name, Path(folder), arguments.repeats))
            print(json.dumps(rows[-1]), flush=True)
    record = {
        "command": f"python -m benchmarks.busy --repeats {arguments.repeats}",
        "rows": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _busy_process() -> Iterator[None]:
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _measure(name: str, folder: Path, repeats: int) -> dict[str, Any]:
    """Train by turns, and return the medians of characters per second."""
    data = folder / f"{name}.txt"
    lines = list(wm.load_corpus("names").train.lines)
    text = "\n".join(lines) + "\n"
    data.write_text(text[:SHORT] if "short" in name else text, encoding="utf-8")
    speeds: dict[str, list[float]] = {threads: [] for threads in THREADS}
    for number in range(repeats + 1):  # the first one warms the caches of the disk
        for threads in THREADS if number % 2 else THREADS[::-1]:
            run = folder / f"{name}-{number}-{threads}"
            command = [sys.executable, "-m", "wavemore", "train", str(data), *TRAININGS[name], "--threads", threads]
            made = subprocess.run([*command, "--run", str(run), "--json"], check=True, capture_output=True, text=True)
            summary, recipe = json.loads(made.stdout), wm.find_run(str(run)).config.recipe
            if number:
                speeds[threads].append(summary["steps"] * recipe.batch_size / summary["train_seconds"])
    medians = {threads: median(speeds[threads]) for threads in THREADS}
    return {"training": name, "chars_per_second": medians, "slower": medians["1"] / medians["auto"]}


if __name__ == "__main__":
    main()
