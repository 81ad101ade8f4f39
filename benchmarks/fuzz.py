"""`python -m benchmarks.fuzz`: thousands of odd inputs to the real program, and what it does wrong with them."""

import contextlib
import gc
import importlib
import io
import multiprocessing
import os
import pkgutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Annotated, Literal

import tyro
from tyro.conf import arg

from benchmarks.fuzzing.case import Case, Files, Verdict, from_json, run_case, simplify
from benchmarks.fuzzing.data import data_case, stdin_case
from benchmarks.fuzzing.flags import flags_case
from benchmarks.fuzzing.runs import forged_case, make_bases
from benchmarks.fuzzing.studies import study_case
from wavemore.engine.threads import set_threads
from wavemore.errors import UsageError
from wavemore.runs.tensorboard import require_tensorboard

Kind = Literal["data", "flags", "runs", "stdin", "study"]
Bases = dict[str, Files]
KINDS: dict[Kind, Callable[[Random, Bases], Case]] = {
    "data": data_case,
    "flags": flags_case,
    "runs": forged_case,
    "stdin": stdin_case,
    "study": study_case,
}
KEPT = 3
"""Failures of one cause that are written and simplified."""


@dataclass(frozen=True, kw_only=True)
class Fuzz:
    """Run generated inputs through the program, and report tracebacks, hangs, long messages and too much memory.

    Data files, flags, forged runs, standard input and study files are drawn at random; the same seed draws the same.
    A failure is written to a file that repeats it.

    Example: python -m benchmarks.fuzz --seed 1 --count 10000
    """

    seed: int = 0
    """A different seed gives different inputs."""
    count: int = 1_000
    """The number of inputs."""
    kinds: Annotated[tuple[Kind, ...], arg(metavar="KIND [KIND ...]")] = (
        "data",
        "runs",
        "flags",
        "runs",
        "stdin",
        "study",
    )
    """data, flags, runs (forged ones), stdin, study: in turn, a kind that is named twice twice as often."""
    timeout: float = 60.0
    """Seconds until a command hangs."""
    jobs: int = os.cpu_count() or 1
    """Inputs at a time."""
    output: Path = Path("fuzz-failures")
    """The folder for failures."""
    repeat: Annotated[Path | None, arg(metavar="FILE")] = None
    """Run this failure again instead, and print what the program prints."""

    def run_command(self) -> int:
        """Return the exit code: 1 if anything failed."""
        warm_up()
        with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
            if self.repeat is not None:
                return self._repeat(Path(folder))
            return self._run(Path(folder))

    def _repeat(self, folder: Path) -> int:
        assert self.repeat is not None
        verdict = run_case(from_json(self.repeat.read_text(encoding="utf-8")), folder / "case", self.timeout)
        print("no failure" if verdict is None else describe(verdict))
        return int(verdict is not None)

    def _run(self, folder: Path) -> int:
        _inherited[:] = [(self, make_bases(folder), folder)]
        found: Counter[tuple[str, str, str]] = Counter()
        start, done = time.monotonic(), 0
        with multiprocessing.get_context("fork").Pool(self.jobs) as pool:
            for number, case, verdict in pool.imap_unordered(_run_number, range(self.count)):
                done += 1
                if verdict is not None:
                    key = (verdict.fault, verdict.place, case.name)
                    found[key] += 1
                    if found[key] <= KEPT:
                        self._write(number, case, verdict, folder)
                if done % 200 == 0 or done == self.count:
                    rest = (time.monotonic() - start) / done * (self.count - done)
                    print(
                        f"{done:,} of {self.count:,}: {found.total():,} failed, {rest / 60:.0f} minutes left",
                        flush=True,
                    )
        for (fault, place, name), count in found.most_common():
            print(f"{count:>6}  {name:<6} {fault}: {place}")
        print(f"{self.count:,} inputs, seed {self.seed}: {found.total():,} failed")
        return int(found.total() > 0)

    def _write(self, number: int, case: Case, verdict: Verdict, folder: Path) -> None:
        """Simplify a failure, and write it with what the program printed."""
        if verdict.fault != "hang":
            case = simplify(case, verdict, folder / "simplify", self.timeout)
            verdict = run_case(case, folder / "simplify", self.timeout) or verdict
        self.output.mkdir(parents=True, exist_ok=True)
        path = self.output / f"{self.seed}-{number}-{case.name}.json"
        path.write_text(case.to_json(), encoding="utf-8")
        path.with_suffix(".txt").write_text(
            f"{case.note}\n{describe(verdict)}\n", encoding="utf-8", errors="backslashreplace"
        )
        print(f"{path}: {verdict.fault}, {verdict.place}", flush=True)


_inherited: list[tuple[Fuzz, Bases, Path]] = []
"""What the forked processes need, which is not sent to them."""


def _run_number(number: int) -> tuple[int, Case, Verdict | None]:
    """Run one input, which its number decides."""
    fuzz, bases, folder = _inherited[0]
    kind = fuzz.kinds[number % len(fuzz.kinds)]
    case = KINDS[kind](Random(f"{fuzz.seed} {number} {kind}"), bases)
    return number, case, run_case(case, folder / str(number), fuzz.timeout)


def describe(verdict: Verdict) -> str:
    """Return a failure as text."""
    return f"{verdict.fault}: {verdict.place}\nwavemore {' '.join(map(repr, verdict.command))}\n{verdict.output}"


def warm_up() -> None:
    """Import everything, so that forked processes start at once."""
    import wavemore
    from wavemore.cli import main

    for module in pkgutil.walk_packages(wavemore.__path__, "wavemore."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    with contextlib.suppress(UsageError):
        require_tensorboard()
    set_threads(1)  # more threads would not survive a fork
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        main(["log", "--sort", "x"])
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    sys.exit(tyro.cli(Fuzz, prog="python -m benchmarks.fuzz").run_command())
