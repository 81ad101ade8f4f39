"""Studies on a Dask cluster: the record and the weights of a local study, whatever is killed on the way."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import DaskCluster, free_port, kill, outcome
from tests.cli.conftest import Program
from wavemore.studies.tuning.record import read_tuning

ROOT = Path(__file__).resolve().parents[2]
STUDY = """
question = "Two or three?"
seeds = [0, 1]
measure = ["mode_gap"]
[fixed]
hidden = 6
embedding = 3
steps = 300
batch_size = 8
num_evals = 6
[tune]
learning_rate = [0.01, 0.05]
[[arm]]
name = "Two"
fuse = [2]
[[arm]]
name = "Three"
fuse = [3]
"""
PATIENCE = 240.0
Study = Callable[..., "subprocess.Popen[str]"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    """A scheduler, which the tests share, as the workers that are still there."""
    with DaskCluster(tmp_path_factory.mktemp("dask")) as cluster:
        yield cluster


def have(cluster: DaskCluster, count: int) -> list["subprocess.Popen[bytes]"]:
    """Kill or start workers until there are so many, and return them."""
    alive = [worker for worker in cluster.workers if worker.poll() is None]
    for worker in alive[count:]:
        kill(worker)
    alive = alive[:count] + [cluster.add_worker() for _ in range(count - len(alive))]
    cluster.wait_for_workers(len(cluster.workers))
    return alive


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, names_file: Path) -> Path:
    """A folder with the study, and data in a file."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    shutil.copy(names_file, folder / "list.txt")
    return folder / "list.txt"


@pytest.fixture(scope="module")
def program(data: Path) -> Iterator[Program]:
    """The program in that folder."""
    with closing(Program(data.parent)) as program:
        yield program


@pytest.fixture(scope="module")
def start(data: Path, program: Program) -> Study:
    """Start the study."""

    def study(folder: str, *words: str, data: str = str(data)) -> "subprocess.Popen[str]":
        flags = ("--data", data, "--folder", folder, *words)
        return program.start("study", "study.toml", *flags, start_new_session=True)

    return study


@pytest.fixture(scope="module")
def expected(data: Path, start: Study) -> dict[str, Any]:
    """What the study comes to on this machine."""
    end(start("here", "--jobs", "1"))
    return outcome(data.parent / "here")


def end(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, out + err
    return out, err


def ends_in_one_line(process: "subprocess.Popen[str]") -> str:
    """Wait for a program that must fail; return its error."""
    _, err = end(process, 1)
    assert err.count("\n") == 1
    return err


def wait_for(process: "subprocess.Popen[str]", words: str) -> str:
    """Read what a program says until these words; return that line."""
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it did not say {words!r}: {process.communicate()}")


def run_script(text: str, *words: str) -> "subprocess.Popen[str]":
    """Run Python in a process of its own, where Dask may warn."""
    return subprocess.Popen(
        [sys.executable, "-c", text, *words],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs a path that is another one for each process")
def test_two_workers_without_the_file_give_the_same_record(
    cluster: DaskCluster, data: Path, start: Study, expected: dict[str, Any]
) -> None:
    decoy = Path(f"/proc/{have(cluster, 2)[1].pid}/cwd/list.txt")
    decoy.write_bytes(data.read_bytes()[::-1])  # as long, and not the same
    out, err = end(start("a", "--cluster", cluster.address, data="/proc/self/cwd/list.txt"))
    assert err == ""
    assert "2 arms, seeds 0, 1, workers of tcp://127.0.0.1:" in out
    assert len({line.rpartition(" on ")[2] for line in out.splitlines() if " of 8" in line and "val" in line}) == 2
    found = outcome(data.parent / "a")
    assert found["tensors"] == expected["tensors"]
    assert found["record"] == expected["record"]
    for run in (data.parent / "here" / "runs").glob("*/*"):
        other = data.parent / "a" / run.relative_to(data.parent / "here")
        assert {path.name for path in other.iterdir()} == {path.name for path in run.iterdir()}
        for name in ("samples.txt", "vocabulary.json"):
            assert (other / name).read_bytes() == (run / name).read_bytes()
    assert not list(cluster.folder.rglob("metrics.jsonl")), "nothing is left on the workers"


def test_a_worker_that_is_killed_is_replaced_by_the_others(
    cluster: DaskCluster, data: Path, start: Study, expected: dict[str, Any]
) -> None:
    first, _ = have(cluster, 2)
    study = start("b", "--cluster", cluster.address)
    wait_for(study, "1 of 8")
    kill(first)
    out, err = end(study)
    assert err == ""
    assert "1 worker instead of 2" in out
    assert outcome(data.parent / "b") == expected


def test_tuning_gives_the_weights_of_this_machine(cluster: DaskCluster, data: Path, program: Program) -> None:
    have(cluster, 2)
    words = ("--trials", "2", "--model", "tree", "--max-parameters", "1500", "--repeats", "1", "--folder", "tuned")
    out, err = end(program.start("tune", "list.txt", *words, "--cluster", cluster.address))
    assert err == ""
    assert "2 of 2: trial " in out
    assert " on 127.0.0.1:" in out
    winner = read_tuning(data.parent / "tuned")["finalists"][0]
    end(program.start(*winner["command"][1:], "--run", "again"))
    again, there = (data.parent / folder / "model.safetensors" for folder in ("again", winner["paths"][0]))
    assert again.read_bytes() == there.read_bytes()


def test_without_workers_it_waits_for_one(
    cluster: DaskCluster, data: Path, start: Study, expected: dict[str, Any]
) -> None:
    have(cluster, 0)
    study = start("c", "--cluster", cluster.address)
    wait_for(study, "no worker is there yet")
    worker = cluster.add_worker()
    wait_for(study, "1 of 8")
    kill(worker)
    wait_for(study, "no worker is left")
    cluster.add_worker()
    end(study)
    assert outcome(data.parent / "c") == expected


def test_what_was_stopped_or_killed_is_continued_by_the_same_command(
    cluster: DaskCluster, data: Path, start: Study, expected: dict[str, Any]
) -> None:
    have(cluster, 1)
    words, before = ("d", "--cluster", cluster.address), left_by_trainings(cluster)
    study = start(*words)
    wait_for(study, " of 8")
    wait_until(lambda: left_by_trainings(cluster) > before)  # the next one
    study.send_signal(signal.SIGINT)
    out, err = end(study, 130)
    assert err == ""
    assert "Continue with the same command: wavemore study study.toml" in out
    assert len(list((data.parent / "d").rglob("state.safetensors"))) == 1, "what was learned is brought home"

    study = start(*words)
    wait_for(study, " of 8")
    kill(study)
    wait_until(lambda: left_by_trainings(cluster) == before)  # it ends, as nobody waits for it

    study = start(*words)
    done = wait_for(study, " of 8").partition(" of 8")[0]
    assert cluster.scheduler is not None
    kill(cluster.scheduler)
    assert "run the same command again" in ends_in_one_line(study)

    have(cluster, 0)
    cluster.start_scheduler()
    have(cluster, 1)
    out, _ = end(start(*words))
    assert f"\n{done} of 8" not in out
    assert outcome(data.parent / "d") == expected


def left_by_trainings(cluster: DaskCluster) -> set[Path]:
    """What is in the folders of workers while they train, and after they were killed."""
    return set(cluster.folder.rglob("metrics.jsonl"))


def wait_until(is_so: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def without_wavemore(tmp_path: Path) -> str:
    """A folder that hides wavemore if it is in PYTHONPATH."""
    package = tmp_path / "bare" / "wavemore"
    package.mkdir(parents=True)
    error = "raise ModuleNotFoundError(\"No module named 'wavemore'\")"
    (package / "__init__.py").write_text(error, encoding="utf-8")
    return str(package.parent)


def test_no_scheduler_or_one_without_wavemore_is_one_line(
    start: Study, without_wavemore: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for address, reason in (
            (f"tcp://127.0.0.1:{free_port()}", "Connection refused): start one by `dask scheduler`"),
            ("tcp://", ""),
            (f"tcp://127.0.0.1:{silent.getsockname()[1]}", "(something else listens there): start one"),
        ):
            error = ends_in_one_line(start("g", "--cluster", address))
            assert error.startswith(f"wavemore: no Dask scheduler answers at {address} (")
            assert reason in error
    monkeypatch.setenv("PYTHONPATH", without_wavemore)
    with DaskCluster(tmp_path / "dask") as cluster:
        monkeypatch.undo()
        error = ends_in_one_line(start("g", "--cluster", cluster.address))
    assert error.startswith("wavemore: the scheduler has no wavemore that can train (")
    assert "No module named 'wavemore'" in error


def test_workers_that_would_give_other_results_are_named(
    cluster: DaskCluster, start: Study, without_wavemore: str, tmp_path: Path
) -> None:
    have(cluster, 0)
    shutil.copytree(ROOT / "src" / "wavemore", tmp_path / "old" / "wavemore")
    with (tmp_path / "old" / "wavemore" / "version.py").open("a", encoding="utf-8") as file:
        file.write('__version__ = "0.0.1"\n')
    words = ("h", "--cluster", cluster.address)
    late = start(*words)
    wait_for(late, "no worker is there yet")
    cluster.add_worker(PYTHONPATH=str(tmp_path / "old"))
    assert " has wavemore 0.0.1 (" in ends_in_one_line(late)
    error = ends_in_one_line(start(*words))
    assert "1 of 1 workers would give other results: " in error
    assert " has wavemore 0.0.1 (" in error
    for flags, variables, reason in (
        (("--nthreads", "2"), {}, "has 2 threads in one process (start it with --nthreads 1)"),
        ((), {"PYTHONPATH": without_wavemore}, "has no wavemore that can train ("),
    ):
        have(cluster, 0)
        cluster.add_worker(*flags, **variables)
        cluster.wait_for_workers(len(cluster.workers))
        assert reason in ends_in_one_line(start(*words))
    have(cluster, 0)


POOL = """
import sys, time
from dataclasses import replace
from pathlib import Path
from tests.studies.test_pool import make_job
from wavemore.runs.run import Run
from wavemore.studies.pool import open_pool
folder, data, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
long = make_job(folder, data, "long", steps=1_000_000, num_evals=5_000)
unbegun, short = replace(long, path=folder / "no"), make_job(folder, data, "short")
with open_pool(1, address) as pool:
    futures = [pool.submit(job) for job in (long, unbegun, short)]
    losses = []
    while not losses:
        losses = pool.progress()
        time.sleep(0.1)
    assert {job for job, _, _ in losses} == {long}, losses
    pool.stop(unbegun)
    pool.stop(long)
    assert [future.result(200) is None for future in futures] == [True, True, False]
    assert {step for job, step, _ in pool.progress() if job == short} == {10, 20, 30, 40}
assert not unbegun.path.exists()
step = Run(long.path).checkpoint().position.step
assert step >= losses[-1].step
with open_pool(1, address) as pool:
    again = pool.submit(long)
    while not [loss for loss in pool.progress() if loss.step > step + 200]:
        time.sleep(0.1)
assert again.result() is None
assert Run(long.path).checkpoint().position.step > step
"""


def test_one_training_is_stopped_and_goes_on_later(cluster: DaskCluster, data: Path, tmp_path: Path) -> None:
    have(cluster, 1)
    with run_script(POOL, str(tmp_path), str(data), cluster.address) as process:
        assert end(process) == ("", "")


LOST = """
import sys, time
from pathlib import Path
from tests.studies.test_pool import make_job
from wavemore.engine.threads import set_threads
from wavemore.runs.run import Run
from wavemore.studies import cluster
from wavemore.studies.job import read_result, train_job
from wavemore.studies.pool import open_pool
cluster.CHECKPOINT_SECONDS = 0.2
set_threads(1)  # as a worker: some processors round otherwise with two
folder, data, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
job = make_job(folder, data, "long", steps=2_000, num_evals=50)
with open_pool(1, address) as pool:
    future = pool.submit(job)
    while Run(job.path).metrics()[-1:] == [] or Run(job.path).metrics()[-1]["step"] < 400:
        assert not future.done()
        time.sleep(0.02)
    pool.progress()
    print("kill it", flush=True)
    while not pool.news():
        time.sleep(0.02)
    step = Run(job.path).checkpoint().position.step
    pool.progress()
    result = future.result(200)
    again = [progress.step for progress in pool.progress()]
    print("checkpoint", step, "first after it", again[:3], flush=True)
    assert again[-1] == 2_000
    assert len([each for each in again if each <= step]) < step // 40, "it did not begin at its checkpoint"
here = make_job(folder, data, "here", steps=2_000, num_evals=50)
for _ in train_job(here):
    pass
assert read_result(here) | {"seconds": 0} == result | {"seconds": 0}, (read_result(here), result)
for name in ("model", "val", "test"):
    assert (here.path / f"{name}.safetensors").read_bytes() == (job.path / f"{name}.safetensors").read_bytes()
assert [each["step"] for each in Run(here.path).metrics()] == [each["step"] for each in Run(job.path).metrics()]
"""


def test_a_lost_training_begins_again_at_its_last_checkpoint(cluster: DaskCluster, data: Path, tmp_path: Path) -> None:
    [worker] = have(cluster, 1)
    with run_script(LOST, str(tmp_path), str(data), cluster.address) as process:
        wait_for(process, "kill it")
        kill(worker)
        cluster.add_worker()
        end(process)


GPU = """
import sys, time
from dataclasses import replace
from pathlib import Path
from tests.studies.test_pool import make_job
from wavemore.errors import WavemoreError
from wavemore.studies.pool import open_pool
folder, data, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
job = make_job(folder, data, "gpu")
job = replace(job, config=replace(job.config, device="cuda"))
with open_pool(1, address) as pool:
    future = pool.submit(job)
    time.sleep(3)
    assert not future.done()
    print("it waits", flush=True)
    error = future.exception(200)
    assert error is None or (isinstance(error, WavemoreError) and "cuda" in str(error)), repr(error)
"""


def test_a_training_on_a_gpu_waits_for_a_worker_that_offers_one(
    cluster: DaskCluster, data: Path, tmp_path: Path
) -> None:
    have(cluster, 1)
    with run_script(GPU, str(tmp_path), str(data), cluster.address) as process:
        wait_for(process, "it waits")
        worker = cluster.add_worker("--resources", "GPU=1")
        end(process)
    kill(worker)
