"""The trainings of all pages: one after the other, each in a process of its own, watched by the pages that are open.

A training that nobody watches any more is saved and ends; it can be continued later, here or with `wavemore train
--resume`.
"""

import json
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NamedTuple

from wavemore.app.lists import ListFacts, keep
from wavemore.errors import RunError, UsageError
from wavemore.runs.config import read_created
from wavemore.runs.find import new_run, run_name
from wavemore.runs.run import Run

State = Literal["waiting", "preparing", "learning", "done", "paused", "dropped", "failed"]
"""paused: it can be continued; dropped: it had not begun, so there is nothing to continue."""
ENDED = ("done", "paused", "dropped", "failed")
ROOM = Path("runs")
EVERY = 0.5
"""Seconds between two looks at a training."""
GRACE = 15.0
"""Seconds for which a training goes on that no page watches: enough to load a page again."""
HEARTBEAT = 0.5
"""Seconds between two looks at what is wanted."""
STOP_SECONDS = 30.0
"""For saving, when the program ends."""
MIN_MINUTES, MAX_MINUTES = 0.05, 24 * 60
MAX_WAITING = 20
"""Trainings in the queue."""


class Point(NamedTuple):
    """A point of the curve: nats per character of what is learned from, after so many seconds."""

    teacher: int
    seconds: float
    nats: float


@dataclass
class Job:
    """A training, as far as it is."""

    run: Run
    order: dict[str, Any]
    minutes: float
    state: State = "waiting"
    message: str = ""
    """Why it failed."""
    teachers: int = 0
    teacher: int = 0
    """The number of the teacher that is trained now; 0 for the run itself."""
    seconds: float = 0.0
    fraction: float = 0.0
    """How much of it is done."""
    points: list[Point] = field(default_factory=list)
    val_nats: float | None = None
    """Of items that it does not learn from, the latest."""
    samples: list[str] = field(default_factory=list)
    wants: Literal["", "finish", "pause"] = ""
    process: int | None = None
    """The number of its process."""
    watched: float = field(default_factory=monotonic)
    version: int = 0
    """Grows with each change."""

    @property
    def name(self) -> str:
        """The name of its run."""
        return self.run.path.name

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in ENDED

    def note(self, event: dict[str, Any]) -> None:
        """Take over what the training process tells."""
        kind = event.pop("event")
        if kind == "planned":
            self.state, self.teachers = "learning", event["teachers"]
        elif kind == "step":
            self.seconds, self.teacher = event["seconds"], event["teacher"]
            self.points.append(Point(self.teacher, self.seconds, event["train_nats"]))
            self.val_nats = self.val_nats if event["val_nats"] is None else event["val_nats"]
            part = event["step"] / event["steps"]
            self.fraction = min(1.0, self.seconds / (60 * self.minutes) if self.minutes else part)
        elif kind == "samples":
            self.samples = event["texts"]
        else:
            self.state, self.message = kind, event.get("message", "")


class Desk:
    """Takes orders, runs them one by one, and lets pages watch."""

    def __init__(self, grace: float = GRACE, *, debug: bool = False) -> None:
        """With `debug`, the training processes write their errors to standard error."""
        self.jobs: dict[str, Job] = {}
        self.grace, self.debug = grace, debug
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def start(self, facts: ListFacts, minutes: float) -> Job:
        """Put a new training into the queue.

        Raises `UsageError` for a time out of range, and if too many are waiting.
        """
        if not MIN_MINUTES <= minutes <= MAX_MINUTES:
            raise UsageError(f"the time is {minutes:g} minutes; it must be between 3 seconds and 24 hours")
        self._check_room()
        order = {"data": keep(facts), "how": asdict(facts.how), "minutes": minutes, "resume": False}
        return self._add(Job(new_run(run_name(facts.name)), order, minutes))

    def resume(self, name: str, *, finish: bool = False) -> Job:
        """Continue a training that was stopped; with `finish`, only make a finished run of what was learned.

        Raises `RunError` if there is no such run, or it is finished or in use.
        """
        job = self.jobs.get(name)
        if job is not None and not job.ended:
            return job
        run = find_named(name)
        config = run.config
        if run.summary() is not None:
            raise RunError(f"the run {name} is finished: there is nothing to continue")
        if run.is_training():
            raise RunError(f"the run {name} is being trained by another program: wait for it")
        self._check_room()
        minutes = config.budget.minutes if config.budget else 0.0
        return self._add(Job(run, {"resume": True}, minutes, wants="finish" if finish else ""))

    def finish(self, name: str) -> None:
        """End a training soon, and finish its run with what was learned."""
        self._want(name, "finish")

    def pause(self, name: str) -> None:
        """Save a training as it is, to be resumed."""
        self._want(name, "pause")

    def look(self, name: str) -> Job | None:
        """Return a training, which is then being watched; None if there is none of this name."""
        job = self.jobs.get(name)
        if job is not None:
            job.watched = monotonic()
        return job

    def ahead_of(self, job: Job) -> int:
        """How many trainings come before one that waits."""
        active = self.active()
        return active.index(job) if job in active else 0

    def active(self) -> list[Job]:
        """The training that runs, and those that wait, in order."""
        return [job for job in list(self.jobs.values()) if not job.ended]

    def close(self) -> list[Job]:
        """Save all trainings and end; return those that can be continued."""
        open_jobs = self.active()
        with self._changed:
            self._closed = True
            for job in open_jobs:
                job.wants = "pause"
            self._changed.notify_all()
        self._thread.join(STOP_SECONDS)
        return [job for job in open_jobs if job.state == "paused" and job.run.exists()]

    def _check_room(self) -> None:
        if len(self.active()) >= MAX_WAITING:
            raise UsageError(f"{MAX_WAITING} trainings are waiting already: try again later")

    def _add(self, job: Job) -> Job:
        with self._changed:
            self.jobs.pop(job.name, None)  # a run that is continued comes last again
            self.jobs[job.name] = job
            self._changed.notify_all()
        return job

    def _want(self, name: str, what: Literal["finish", "pause"]) -> None:
        job = self.jobs.get(name)
        if job is None or job.ended:
            raise RunError(f"the run {name} is not being trained now")
        with self._changed:
            job.wants = what
            self._changed.notify_all()

    def _work(self) -> None:
        """Run the trainings, one after the other."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or bool(self.active()), HEARTBEAT)
            self._drop_waiting()
            if waiting := self.active():
                self._train(waiting[0])
            elif self._closed:
                return

    def _drop_waiting(self) -> None:
        """End what waits and is no longer wanted."""
        for job in self.active():
            stopped = job.wants == "pause" or (job.wants == "finish" and not job.order["resume"])
            if job.state == "waiting" and (stopped or self._closed or self._is_left(job)):
                self._end(job, "paused" if job.order["resume"] else "dropped", "")

    def _is_left(self, job: Job) -> bool:
        return monotonic() - job.watched > self.grace

    def _train(self, job: Job) -> None:
        """Run one training to its end."""
        process = subprocess.Popen(
            [sys.executable, "-m", "wavemore.app.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if self.debug else subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C in the terminal is for this program alone
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._update(job, state="preparing", process=process.pid)
        keeper = threading.Thread(target=self._pass_on, args=(job, process), daemon=True)
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(job.order | {"run": str(job.run.path)}) + "\n")
            process.stdin.flush()
        keeper.start()
        for line in process.stdout:
            with self._changed:
                job.note(json.loads(line))
                job.version += 1
                self._changed.notify_all()
        process.wait()
        _free(job.run.path)
        if not job.ended:
            self._end(job, "failed", "the training ended unexpectedly; what it had saved is kept")
        keeper.join()
        process.stdin.close()
        process.stdout.close()

    def _pass_on(self, job: Job, process: "subprocess.Popen[str]") -> None:
        """Tell a training process what is wanted, until it ends."""
        told = ""
        while process.poll() is None and process.stdin is not None:
            self._drop_waiting()
            if self._is_left(job) and not job.wants:
                job.wants = "pause"
            if job.wants and job.wants != told:
                told = job.wants
                with suppress(OSError):
                    process.stdin.write(f"{told}\n")
                    process.stdin.flush()
            with self._changed:
                self._changed.wait(HEARTBEAT / 2)

    def _update(self, job: Job, **values: Any) -> None:
        with self._changed:
            for name, value in values.items():
                setattr(job, name, value)
            job.version += 1
            self._changed.notify_all()

    def _end(self, job: Job, state: State, message: str) -> None:
        _free(job.run.path)
        self._update(job, state=state, message=message)


def _free(path: Path) -> None:
    """Remove the folder of a run of which nothing was written, so that its name is free."""
    with suppress(OSError):
        if [each.name for each in path.iterdir()] in ([], ["lock"]):
            (path / "lock").unlink(missing_ok=True)
            path.rmdir()


def find_named(name: str) -> Run:
    """Return the run of this name in `runs/`; no path leads elsewhere. Raises `RunError` if there is none."""
    if not any(folder.name == name for folder in ROOM.glob("*")) or read_created(ROOM / name / "config.json") is None:
        raise RunError(f"there is no run {name[:100]!r}: choose one from the list")
    return Run(ROOM / name)
