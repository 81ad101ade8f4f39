"""What a Dask cluster costs against the processes of one machine, and whether a study survives when a part is killed.

`python -m benchmarks.cluster` runs one study again and again by the real command: on two local processes and on two
workers of a scheduler on this machine, in turns. Both wait until all weights and the record are in the study's folder.

`python -m benchmarks.cluster --kill 20` kills a worker, the scheduler or the study itself by SIGKILL at a random moment
of each study, starts what was killed again and, if the study has ended, repeats its command. It counts the studies
whose record and weights are, to the bit, those of a study on this machine that nothing has disturbed.

Both check that all weights are the same. They write records/cluster.json and records/cluster-kills.json.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import tyro

from wavemore.runs.environment import environment

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ROOT / "records"
STUDY = """
question = "What does a cluster cost?"
seeds = {seeds}
[fixed]
seconds = {seconds}
batch_size = 32
[[arm]]
name = "four characters"
fuse = [2, 2]
[[arm]]
name = "eight characters"
fuse = [2, 2, 2]
"""
PATIENCE = 600.0
"""Seconds until a command, or the start of a scheduler, counts as hanging."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Measure the cluster."""

    trainings: int = 24
    """Trainings of the study, half of each arm."""
    seconds: float = 10.0
    """Processor time of each."""
    rounds: int = 3
    """How often the study is run in each of the two ways."""
    kill: int = 0
    """Kill a part of the cluster so many times, instead of measuring what it costs."""
    seed: int = 0
    """Decides what is killed, and when."""


@dataclass
class DaskCluster:
    """A scheduler and workers of one thread as processes of this machine, each in a folder of its own."""

    folder: Path
    port: int = 0
    scheduler: "subprocess.Popen[bytes] | None" = None
    workers: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    started: int = 0

    def __enter__(self) -> "DaskCluster":
        self.start_scheduler()
        return self

    def __exit__(self, *_: object) -> None:
        for process in [*self.workers, *([self.scheduler] if self.scheduler else [])]:
            kill(process)

    @property
    def address(self) -> str:
        """What `--cluster` takes."""
        return f"tcp://127.0.0.1:{self.port}"

    def start_scheduler(self) -> None:
        """Start the scheduler, again at the same address if it was killed, and wait until it answers."""
        self.port = self.port or free_port()
        words = ("--host", "127.0.0.1", "--port", str(self.port), "--dashboard-address", "127.0.0.1:0")
        self.scheduler = self._start("scheduler", *words)
        until = time.monotonic() + PATIENCE
        while not answers(self.port):
            if self.scheduler.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the scheduler did not start: see {self.folder}")
            time.sleep(0.1)

    def add_worker(self, *words: str, **variables: str) -> "subprocess.Popen[bytes]":
        """Start a worker, which will be there some seconds later."""
        flags = ("--nthreads", "1", "--memory-limit", "0", "--dashboard-address", "127.0.0.1:0", *words)
        process = self._start("worker", self.address, "--host", "127.0.0.1", *flags, variables=variables)
        self.workers.append(process)
        return process

    def wait_for_workers(self, count: int) -> None:
        """Wait until so many workers have registered since the scheduler was started."""
        until = time.monotonic() + PATIENCE
        while sum(self._log(n).count("Register worker") for n in range(self.started)) < count:
            if time.monotonic() > until:
                raise RuntimeError(f"the workers did not start: see {self.folder}")
            time.sleep(0.1)

    def _log(self, number: int) -> str:
        path = self.folder / f"scheduler-{number}" / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def _start(self, what: str, *words: str, variables: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
        home = self.folder / f"{what}-{self.started}"
        self.started += 1
        home.mkdir(parents=True)
        if what == "worker":
            words = (*words, "--local-directory", str(home / "scratch"))
        with (home / "log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{what}", *words],
                cwd=home,
                env={**os.environ, **(variables or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that a kill also takes the process that a worker's nanny has started
            )


def kill(process: "subprocess.Popen[Any]") -> None:
    """End a process and those that it has started, as a power cut does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def free_port() -> int:
    """Return a port of this machine that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def outcome(folder: Path) -> dict[str, Any]:
    """What a finished study comes to, without times and commits: its record, and the checksums of its tensors."""
    record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    for key in ("finished", "training_seconds", "environment", "jobs"):
        del record[key]
    for arm in record["arms"]:
        for run in arm["runs"]:
            del run["seconds"], run["commit"]
    tensors = {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.safetensors"))
    }
    return {"record": record, "tensors": tensors}


def main() -> None:
    """Measure, print and write the record."""
    settings = tyro.cli(Settings, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        record = kills(settings, Path(folder)) if settings.kill else costs(settings, Path(folder))
    record |= {
        "command": "python -m " + " ".join(["benchmarks.cluster", *sys.argv[1:]]),
        "date": datetime.now().astimezone().date().isoformat(),
        "environment": environment(),
    }
    path = RECORDS / ("cluster-kills.json" if settings.kill else "cluster.json")
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def prepare(settings: Settings, folder: Path) -> Path:
    """Write the study, and measure how many steps take the time that is asked for; return the file of that."""
    text = STUDY.format(seeds=list(range(settings.trainings // 2)), seconds=settings.seconds)
    (folder / "study.toml").write_text(text, encoding="utf-8")
    (folder / "warm.toml").write_text(STUDY.format(seeds=[0], seconds=settings.seconds), encoding="utf-8")
    check(start(folder, "warm.toml", "--folder", "warm", "--jobs", "2"))
    return folder / "warm" / "step_ms.json"


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start `wavemore study`."""
    return subprocess.Popen(
        [sys.executable, "-m", "wavemore", "study", *words],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def check(process: "subprocess.Popen[str]") -> None:
    """Wait for a command, which must not fail."""
    _, errors = process.communicate(timeout=PATIENCE * 10)
    if process.returncode:
        raise RuntimeError(f"`wavemore study` ended with {process.returncode}: {errors}")


def costs(settings: Settings, folder: Path) -> dict[str, Any]:
    """Time the study on two processes and on two workers, in turns."""
    step_ms = prepare(settings, folder)
    rows: dict[str, list[float]] = {"processes": [], "cluster": []}
    with DaskCluster(folder / "dask") as cluster:
        for _ in range(2):
            cluster.add_worker()
        cluster.wait_for_workers(2)
        where = {"processes": ("--jobs", "2"), "cluster": ("--cluster", cluster.address)}
        outcomes = []
        for number in range(settings.rounds + 1):
            for name in sorted(rows, reverse=bool(number % 2)):
                home = folder / f"{name}-{number}"
                home.mkdir()
                shutil.copy(step_ms, home)
                study = "warm.toml" if number == 0 else "study.toml"  # the first round warms up
                begin = time.perf_counter()
                check(start(folder, study, "--folder", home.name, *where[name]))
                seconds = time.perf_counter() - begin
                if number:
                    rows[name].append(round(seconds, 2))
                    outcomes.append(outcome(home))
                    print(f"{name}: {seconds:.2f} s", flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in rows.items()}
    overhead = medians["cluster"] / medians["processes"] - 1
    same = all(each == outcomes[0] for each in outcomes)
    print(f"overhead {overhead:+.1%}; {'all weights are the same' if same else 'THE WEIGHTS DIFFER'}")
    return {"trainings": settings.trainings, "seconds": rows, "medians": medians, "overhead": overhead, "same": same}


def kills(settings: Settings, folder: Path) -> dict[str, Any]:
    """Kill parts of studies at random moments, and count those that come to the same end."""
    step_ms = prepare(settings, folder)
    home = folder / "undisturbed"
    home.mkdir()
    shutil.copy(step_ms, home)
    begin = time.perf_counter()
    check(start(folder, "study.toml", "--folder", home.name, "--jobs", "2"))
    seconds, expected = time.perf_counter() - begin, outcome(home)
    choose = random.Random(settings.seed)
    rows: list[dict[str, Any]] = []
    for number in range(settings.kill):
        victim = ("worker", "scheduler", "study")[number % 3]
        moment = choose.uniform(0, seconds)
        home = folder / f"killed-{number}"
        home.mkdir()
        shutil.copy(step_ms, home)
        with DaskCluster(folder / f"dask-{number}") as cluster:
            starts = disturbed(cluster, folder, home.name, victim, moment)
        same = outcome(home) == expected
        rows.append({"killed": victim, "after_seconds": round(moment, 1), "commands": starts, "same": same})
        print(json.dumps(rows[-1]), flush=True)
        shutil.rmtree(home)
    good = sum(row["same"] for row in rows)
    print(f"{good} of {len(rows)} came to the same record and weights")
    return {"trainings": settings.trainings, "undisturbed_seconds": round(seconds, 1), "same": good, "rows": rows}


def disturbed(cluster: DaskCluster, folder: Path, home: str, victim: str, moment: float) -> int:
    """Run a study whose victim is killed at a moment; return how often its command had to be given."""
    words = ("study.toml", "--folder", home, "--cluster", cluster.address)
    for _ in range(2):
        cluster.add_worker()
    cluster.wait_for_workers(2)
    study, starts = start(folder, *words), 1
    time.sleep(moment)
    if victim == "study":
        kill(study)
    elif victim == "worker":
        kill(cluster.workers[0])
        cluster.add_worker()
    elif cluster.scheduler is not None:
        kill(cluster.scheduler)
        study.wait(PATIENCE)  # it says so, and ends, unless it was finished before
        for worker in cluster.workers:
            kill(worker)
        cluster.start_scheduler()
        for _ in range(2):
            cluster.add_worker()
    study.wait(PATIENCE)
    while study.returncode != 0 and starts < 4:
        study, starts = start(folder, *words), starts + 1
        study.wait(PATIENCE)
    if study.returncode != 0:
        raise RuntimeError(f"the study did not come to its end after the {victim} was killed: see {folder}")
    return starts


if __name__ == "__main__":
    main()
