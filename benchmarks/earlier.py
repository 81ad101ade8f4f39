"""Speed against an earlier version: `python -m benchmarks.earlier --checkout FOLDER` writes records/earlier.json.

FOLDER is a clone of the repository at the other commit. Both versions run the same whole commands, by turns and with
the threads that they choose, on an LSTM of hidden 384; each figure is a median.
"""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated, Any

import tyro
from tyro.conf import arg

from wavemore.runs.environment import environment

ROOT = Path(__file__).resolve().parents[1]
LSTM = ("--model", "lstm", "--embedding", "48", "--hidden", "384")
LINES = "10000"


@dataclass(frozen=True, kw_only=True)
class Earlier:
    """Compare the speed of this version with that of an earlier one."""

    checkout: Annotated[Path, arg(metavar="FOLDER")]
    """A clone of the repository at the earlier commit."""
    names: Annotated[str, arg(metavar="FILE")] = "makemore-names"
    """The lecture's names."""
    text: Annotated[str, arg(metavar="FILE")] = "tinyshakespeare"
    """A text."""
    repeats: int = 3
    """Turns of both versions."""
    output: Annotated[Path, arg(metavar="FILE")] = ROOT / "records" / "earlier.json"
    """The record."""


@dataclass(frozen=True)
class Version:
    """The source of a version, and what its commands need besides the common flags."""

    source: Path
    sample_flags: tuple[str, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()

    def run(self, *words: str) -> str:
        """Run a command of the version; return what it prints."""
        names = os.environ | {"PYTHONPATH": str(self.source / "src")} | dict(self.environment)
        command = [sys.executable, "-m", "wavemore", *words]
        return subprocess.run(command, env=names, check=True, stdout=subprocess.PIPE, text=True).stdout

    def training(self, folder: Path, data: str, batch_size: int, *flags: str) -> float:
        """Return the characters per second of a training."""
        words = ("train", data, *LSTM, "--batch-size", str(batch_size), *flags, "--run", str(folder), "--json")
        summary = json.loads(self.run(*words))
        return float(summary["steps"] * batch_size / summary["train_seconds"])

    def sampling(self, folder: Path) -> float:
        """Return the seconds of a whole command that draws new distinct lines."""
        start = perf_counter()
        drawn = self.run("sample", str(folder), "-n", LINES, "--new", "--distinct", *self.sample_flags).splitlines()
        seconds = perf_counter() - start
        assert len(set(drawn)) == int(LINES)
        return seconds


def main() -> None:
    """Measure both versions by turns, print the figures and write the record."""
    arguments = tyro.cli(Earlier, description=__doc__)
    show = ("git", "-C", str(arguments.checkout), "rev-parse", "--short=12", "HEAD")
    commit = subprocess.run(show, check=True, capture_output=True, text=True).stdout.strip()
    versions = {
        "earlier": Version(arguments.checkout, environment=(("OMP_NUM_THREADS", "1"),)),
        "now": Version(ROOT, ("--raw",)),
    }
    trainings = {"earlier": Version(arguments.checkout), "now": versions["now"]}
    found: dict[str, dict[str, list[float]]] = {
        what: {side: [] for side in versions} for what in ("list", "text", "sampling")
    }
    with tempfile.TemporaryDirectory() as temporary:
        for number in range(arguments.repeats):
            for side in versions if number % 2 else reversed(versions):
                of_list, of_text = (Path(temporary) / f"{side}-{number}-{what}" for what in ("list", "text"))
                found["list"][side].append(trainings[side].training(of_list, arguments.names, 2_048, "--epochs", "2"))
                found["text"][side].append(trainings[side].training(of_text, arguments.text, 4_096, "--steps", "40"))
                found["sampling"][side].append(versions[side].sampling(of_list))
                print(side, {what: round(sides[side][-1], 2) for what, sides in found.items()}, flush=True)
    record: dict[str, Any] = {
        "command": "python -m benchmarks.earlier --checkout FOLDER",
        "earlier_commit": commit,
        "repeats": arguments.repeats,
        "lines": int(LINES),
        "medians": {what: {side: median(values) for side, values in sides.items()} for what, sides in found.items()},
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    arguments.output.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record["medians"]))


if __name__ == "__main__":
    main()
