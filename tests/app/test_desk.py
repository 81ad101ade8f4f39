"""Trainings one after the other, in processes of their own: watched, left, stopped, continued."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import wavemore as wm
from tests.app.conftest import NAMES
from wavemore.app.desk import Desk, Job
from wavemore.app.lists import ListFacts, read_list
from wavemore.app.shelf import Shelf, Wishes
from wavemore.errors import RunError, UsageError
from wavemore.runs.run import Run

pytestmark = pytest.mark.slow


@pytest.fixture
def facts(folder: Path) -> ListFacts:
    lines = [f"{a}{b}" for a in NAMES for b in ("", "ta", "lo")]
    (folder / "names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_list(folder / "names.txt")


@pytest.fixture
def desk(folder: Path) -> Iterator[Desk]:
    with closing(Desk(grace=4.0)) as desk:
        yield desk


def until(desk: Desk, job: Job, reached: Callable[[Job], object], *, watch: bool = True) -> None:
    end = time.monotonic() + 90
    while not reached(job):
        assert time.monotonic() < end, job
        for each in desk.active() if watch else ():
            desk.look(each.name)
        time.sleep(0.05)


def test_a_list_is_learned_and_used(desk: Desk, facts: ListFacts) -> None:
    job = desk.start(facts, 0.15)
    until(desk, job, lambda job: job.ended)
    assert (job.state, job.message) == ("done", "")
    assert job.points
    assert job.samples
    run = Run(job.run.path)
    assert run.summary() is not None
    assert Path(run.config.data.source).parents[1] == Path("runs/lists").absolute()
    assert wm.find_run().path == run.path
    items = Shelf().sample(job.name, Wishes(5))
    assert len(items) == 5
    assert all(item["new"] and item["distance"] >= 1 for item in items)
    with pytest.raises(RunError, match="finished"):
        desk.resume(job.name)


def test_stopping_keeps_what_was_learned(desk: Desk, facts: ListFacts) -> None:
    job = desk.start(facts, 30.0)
    until(desk, job, lambda job: job.points)
    start = time.monotonic()
    desk.finish(job.name)
    until(desk, job, lambda job: job.ended)
    assert job.state == "done"
    assert time.monotonic() - start < 30
    run = Run(job.run.path)
    summary = run.summary()
    assert summary is not None
    assert not run.config.teachers
    assert summary.val_nats < 2.9
    assert Shelf().sample(job.name, Wishes(3))
    with pytest.raises(RunError, match="not being trained"):
        desk.finish(job.name)


def test_what_nobody_watches_is_saved_and_can_be_continued(desk: Desk, facts: ListFacts) -> None:
    job, waiting = desk.start(facts, 30.0), desk.start(facts, 30.0)
    until(desk, job, lambda job: job.points)
    assert desk.ahead_of(waiting) == 1
    until(desk, job, lambda job: job.ended and waiting.ended, watch=False)
    assert (job.state, waiting.state) == ("paused", "dropped")
    assert not waiting.run.path.exists()
    assert "stopped at step" in Run(job.run.path).progress()
    trained = [Run(path.parent) for path in job.run.path.rglob("metrics.jsonl")]
    used = sum(run.metrics()[-1]["seconds"] for run in trained)
    again = desk.resume(job.name, finish=True)
    assert desk.resume(job.name) is again
    until(desk, again, lambda job: job.ended)
    assert again.state == "done"
    assert again.seconds > used > 1
    assert Run(job.run.path).summary() is not None


def test_the_end_of_the_program_saves_everything(facts: ListFacts) -> None:
    desk = Desk()
    job, waiting = desk.start(facts, 30.0), desk.start(facts, 30.0)
    until(desk, job, lambda job: job.points)
    assert desk.close() == [job]
    assert desk.close() == []
    assert (job.state, waiting.state) == ("paused", "dropped")
    assert wm.find_run().path == job.run.path
    assert [*job.run.path.rglob("state.safetensors")], "that of the run, or of its first teacher"


def test_a_training_process_that_is_killed_is_told(desk: Desk, facts: ListFacts) -> None:
    job = desk.start(facts, 30.0)
    until(desk, job, lambda job: job.points)
    assert job.process is not None
    os.kill(job.process, signal.SIGKILL)
    until(desk, job, lambda job: job.ended)
    assert job.state == "failed"
    assert "unexpectedly" in job.message


def test_what_cannot_be_trained_is_one_sentence(desk: Desk, facts: ListFacts) -> None:
    for minutes in (0.0, float("nan"), 1e9):
        with pytest.raises(UsageError, match="between 3 seconds and 24 hours"):
            desk.start(facts, minutes)
    job = desk.start(facts, 0.15)
    (Path(job.order["data"])).write_bytes(b"\0\0\0\0")
    until(desk, job, lambda job: job.ended)
    assert job.state == "failed"
    assert "zero byte" in job.message
    until(desk, job, lambda job: not job.run.path.exists())  # its name is free again
    for name in ("nothing", "../names"):
        with pytest.raises(RunError):
            desk.resume(name)
