"""Studies on a Dask cluster: the record and the weights of a local study, whatever is killed on the way."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cluster import DaskCluster, free_port, kill, outcome

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

pytestmark = pytest.mark.slow


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[DaskCluster]:
    """A scheduler without workers."""
    with DaskCluster(tmp_path / "dask") as cluster:
        yield cluster


def start(folder: Path, *words: str) -> "subprocess.Popen[str]":
    """Start `wavemore study` there."""
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return subprocess.Popen(
        [sys.executable, "-m", "wavemore", "study", "study.toml", *words],
        cwd=folder,
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL) and None,
    )


def end(process: "subprocess.Popen[str]", code: int = 0) -> tuple[str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, out + err
    return out, err


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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, names_file: Path) -> Path:
    """A folder with data in a file."""
    folder = tmp_path_factory.mktemp("project")
    shutil.copy(names_file, folder / "list.txt")
    return folder / "list.txt"


@pytest.fixture(scope="module")
def expected(data: Path) -> dict[str, Any]:
    """What the study comes to on this machine."""
    end(start(data.parent, "--data", str(data), "--folder", "here", "--jobs", "1"))
    return outcome(data.parent / "here")


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="needs a path that is another one for each process")
def test_two_workers_without_the_file_give_the_same_record(
    cluster: DaskCluster, data: Path, expected: dict[str, Any]
) -> None:
    cluster.add_worker()
    decoy = Path(cluster.folder) / "worker-2" / "list.txt"
    cluster.add_worker()
    decoy.write_bytes(data.read_bytes()[::-1])  # as long, and not the same
    out, err = end(
        start(data.parent, "--data", "/proc/self/cwd/list.txt", "--folder", "a", "--cluster", cluster.address)
    )
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
    cluster: DaskCluster, data: Path, expected: dict[str, Any]
) -> None:
    for _ in range(2):
        cluster.add_worker()
    cluster.wait_for_workers(2)
    study = start(data.parent, "--data", str(data), "--folder", "b", "--cluster", cluster.address)
    wait_for(study, "1 of 8")
    kill(cluster.workers[0])
    out, err = end(study)
    assert err == ""
    assert "1 worker instead of 2" in out
    assert outcome(data.parent / "b") == expected


def test_without_workers_it_waits_for_one(cluster: DaskCluster, data: Path, expected: dict[str, Any]) -> None:
    study = start(data.parent, "--data", str(data), "--folder", "c", "--cluster", cluster.address)
    wait_for(study, "no worker is there yet")
    worker = cluster.add_worker()
    wait_for(study, "1 of 8")
    kill(worker)
    wait_for(study, "no worker is left")
    cluster.add_worker()
    end(study)
    assert outcome(data.parent / "c") == expected


def test_a_killed_study_ends_on_the_workers_too_and_is_continued(
    cluster: DaskCluster, data: Path, expected: dict[str, Any]
) -> None:
    cluster.add_worker()
    words = ("--data", str(data), "--folder", "d", "--cluster", cluster.address)
    study = start(data.parent, *words)
    wait_for(study, "1 of 8")
    kill(study)
    study.communicate()
    until = time.monotonic() + PATIENCE
    while list(cluster.folder.rglob("config.json")):
        assert time.monotonic() < until, "a training goes on, for which nobody waits"
        time.sleep(0.1)
    out, _ = end(start(data.parent, *words))
    assert "\n1 of 8" not in out
    assert outcome(data.parent / "d") == expected


def test_ctrl_c_brings_home_what_was_learned(cluster: DaskCluster, data: Path, expected: dict[str, Any]) -> None:
    cluster.add_worker()
    words = ("--data", str(data), "--folder", "e", "--cluster", cluster.address)
    study = start(data.parent, *words)
    wait_for(study, "1 of 8")
    until = time.monotonic() + PATIENCE
    while not list(cluster.folder.rglob("metrics.jsonl")):  # the next one
        assert time.monotonic() < until
        time.sleep(0.02)
    study.send_signal(signal.SIGINT)
    out, err = end(study, 130)
    assert err == ""
    assert "Continue with the same command: wavemore study study.toml" in out
    assert len(list((data.parent / "e").rglob("state.safetensors"))) == 1
    end(start(data.parent, *words))
    assert outcome(data.parent / "e") == expected


def test_a_killed_scheduler_is_one_line(cluster: DaskCluster, data: Path, expected: dict[str, Any]) -> None:
    cluster.add_worker()
    words = ("--data", str(data), "--folder", "f", "--cluster", cluster.address)
    study = start(data.parent, *words)
    wait_for(study, "1 of 8")
    assert cluster.scheduler is not None
    kill(cluster.scheduler)
    _, err = end(study, 1)
    assert err.count("\n") == 1
    assert "run the same command again" in err
    kill(cluster.workers[0])
    cluster.start_scheduler()
    cluster.add_worker()
    end(start(data.parent, *words))
    assert outcome(data.parent / "f") == expected


def test_no_scheduler_is_one_line(data: Path) -> None:
    for address in (f"tcp://127.0.0.1:{free_port()}", "nowhere", "tcp://"):
        _, err = end(start(data.parent, "--data", str(data), "--folder", "g", "--cluster", address), 1)
        assert err.startswith(f"wavemore: no Dask scheduler answers at {address} (")
        assert err.count("\n") == 1


@pytest.mark.parametrize("joins_late", [False, True])
def test_a_worker_with_another_wavemore_is_named(
    cluster: DaskCluster, data: Path, tmp_path: Path, joins_late: bool
) -> None:
    shutil.copytree(ROOT / "src" / "wavemore", tmp_path / "old" / "wavemore")
    with (tmp_path / "old" / "wavemore" / "version.py").open("a", encoding="utf-8") as file:
        file.write('__version__ = "0.0.1"\n')
    words = ("--data", str(data), "--folder", "h", "--cluster", cluster.address)
    if not joins_late:
        cluster.add_worker(PYTHONPATH=str(tmp_path / "old"))
        cluster.wait_for_workers(1)
    study = start(data.parent, *words)
    if joins_late:
        wait_for(study, "no worker is there yet")
        cluster.add_worker(PYTHONPATH=str(tmp_path / "old"))
    _, err = end(study, 1)
    assert " has wavemore 0.0.1 (" in err
    assert err.count("\n") == 1


def test_workers_with_several_threads_are_refused(cluster: DaskCluster, data: Path) -> None:
    cluster.add_worker("--nthreads", "2")
    cluster.wait_for_workers(1)
    _, err = end(start(data.parent, "--data", str(data), "--folder", "i", "--cluster", cluster.address), 1)
    assert "1 of 1 workers would give other results" in err
    assert "2 threads in one process (start it with --nthreads 1)" in err


POOL = """
import sys, time
from dataclasses import replace
from pathlib import Path
from tests.studies.test_pool import make_job
from wavemore.runs.run import Run
from wavemore.studies.pool import open_pool
folder, data, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
long = make_job(folder, data, "long", steps=1_000_000, num_evals=1_000)
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
    while not [loss for loss in pool.progress() if loss.step > step + 1_000]:
        time.sleep(0.1)
assert again.result() is None
assert Run(long.path).checkpoint().position.step > step
"""


def test_one_training_is_stopped_and_goes_on_later(cluster: DaskCluster, data: Path, tmp_path: Path) -> None:
    cluster.add_worker()
    with run_script(POOL, str(tmp_path), str(data), cluster.address) as process:
        assert end(process) == ("", "")


LOST = """
import sys, time
from pathlib import Path
from tests.studies.test_pool import make_job
from wavemore.runs.run import Run
from wavemore.studies import cluster
from wavemore.studies.job import read_result, train_job
from wavemore.studies.pool import open_pool
cluster.CHECKPOINT_SECONDS = 0.2
folder, data, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
job = make_job(folder, data, "long", steps=4_000, num_evals=100)
with open_pool(1, address) as pool:
    future = pool.submit(job)
    while Run(job.path).metrics()[-1:] == [] or Run(job.path).metrics()[-1]["step"] < 800:
        assert not future.done()
        time.sleep(0.02)
    pool.progress()
    print("kill it", flush=True)
    while not pool.news():
        time.sleep(0.02)
    step = Run(job.path).checkpoint().position.step
    known = {progress.step for progress in pool.progress()}
    result = future.result(200)
    again = [progress.step for progress in pool.progress()]
    print("checkpoint", step, "first after it", again[:3], flush=True)
    assert again[-1] == 4_000
    assert len([each for each in again if each <= step]) < step // 40, "it did not begin at its checkpoint"
here = make_job(folder, data, "here", steps=4_000, num_evals=100)
for _ in train_job(here):
    pass
assert read_result(here) | {"seconds": 0} == result | {"seconds": 0}
for name in ("model", "val", "test"):
    assert (here.path / f"{name}.safetensors").read_bytes() == (job.path / f"{name}.safetensors").read_bytes()
assert [each["step"] for each in Run(here.path).metrics()] == [each["step"] for each in Run(job.path).metrics()]
"""


def test_a_lost_training_begins_again_at_its_last_checkpoint(cluster: DaskCluster, data: Path, tmp_path: Path) -> None:
    worker = cluster.add_worker()
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
    cluster.add_worker()
    cluster.wait_for_workers(1)
    with run_script(GPU, str(tmp_path), str(data), cluster.address) as process:
        wait_for(process, "it waits")
        cluster.add_worker("--resources", "GPU=1")
        end(process)
