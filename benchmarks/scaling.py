"""How time and memory grow with the data: `python -m benchmarks.scaling` writes records/scaling.json.

Lists of 10,000 to 3,000,000 lines and texts of 1 to 300 MB of random syllables, made by a seeded rule. With ten
steps of a small model, `wavemore train` takes what the data costs: reading, splitting, encoding, the losses of all of
val. The seconds are those of the processor in one thread, so that other processes do not matter much; the memory is the
highest that the operating system has counted.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from wavemore.runs.environment import environment

RECORD = Path(__file__).resolve().parents[1] / "records" / "scaling.json"
LINES = (10_000, 100_000, 1_000_000, 3_000_000)
MEGABYTES = (1, 10, 100, 300)
FLAGS = ("--model", "bigram", "--steps", "10", "--num-evals", "1", "--threads", "1")
PIECE = 100_000  # lines that are made at once


def main() -> None:
    """Measure all sizes, or those up to a limit, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description="Measure, write the record.")
    parser.add_argument("--most", type=float, default=1.0, help="fraction of the largest size that is measured")
    parser.add_argument("--output", type=Path, default=RECORD, help="file of the record")
    arguments = parser.parse_args()
    rows = []
    for kind, sizes in (("lines", LINES), ("text", MEGABYTES)):
        for size in sizes:
            if size <= arguments.most * sizes[-1]:
                rows.append(measure(kind, size))
                print(rows[-1], flush=True)
    record = {
        "question": "How do time and memory of a training grow with its data, the training itself apart?",
        "command": "python -m benchmarks.scaling",
        "flags": " ".join(["wavemore train DATA", *FLAGS]),
        "sizes": rows,
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def measure(kind: str, size: int) -> dict[str, Any]:
    """Make the data of a size, lines or megabytes, and train on it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.txt"
        with path.open("wb") as file:
            for piece in pieces(kind, size):
                file.write(piece)
        command = [sys.executable, "-m", "wavemore", "train", str(path), "--format", kind, *FLAGS]
        process = subprocess.Popen(
            [*command, "--run", f"{folder}/run"],
            env=os.environ | {"XDG_CACHE_HOME": folder, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)  # as Popen.wait, but it also returns what the process has used
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(command)} has failed")
        megabytes = round(path.stat().st_size / 1e6, 2)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # of ru_maxrss
    seconds, peak = used.ru_utime + used.ru_stime, used.ru_maxrss / unit
    return {"kind": kind, "size": size, "megabytes": megabytes, "seconds": round(seconds, 2), "peak_mb": round(peak)}


def pieces(kind: str, size: int) -> Iterator[bytes]:
    """Yield lines, or a text of megabytes, of 2 to 12 random syllables per line."""
    rng = np.random.default_rng(0)
    syllables = np.frombuffer("".join(a + b for a in "bdfgklmnprstvz" for b in "aeiou").encode(), "u1").reshape(-1, 2)
    left = size if kind == "lines" else size * 1_000_000
    while left > 0:
        counts = rng.integers(2, 13, size=PIECE if kind == "text" else min(PIECE, left))
        text = np.full(int((2 * counts + 1).sum()), ord("\n"), np.uint8)
        is_end = np.zeros(len(text), np.bool_)
        is_end[np.cumsum(2 * counts + 1) - 1] = True
        text[~is_end] = syllables[rng.integers(len(syllables), size=int(counts.sum()))].ravel()
        yield text[: left if kind == "text" else None].tobytes()
        left -= len(text) if kind == "text" else len(counts)


if __name__ == "__main__":
    main()
