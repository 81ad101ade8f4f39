"""`wavemore train` by several processes: under torchrun, and as processes that are started by hand."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm
from benchmarks.cluster import free_port
from tests.cli.conftest import Program
from wavemore.runs.run import Run

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2")
SHORT = (*TINY, "--steps", "40", "--num-evals", "4")
LONG = (*TINY, "--steps", "1000000", "--num-evals", "10000")  # it has to be stopped
PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"
Start = Callable[..., list["subprocess.Popen[str]"]]


@pytest.fixture
def start(program: Program) -> Start:
    """Start the processes of one command, each with its own words."""

    def run(*words_of_rank: tuple[str, ...], folders: tuple[Path, ...] = ()) -> list["subprocess.Popen[str]"]:
        several = {"WORLD_SIZE": str(len(words_of_rank)), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        environment = os.environ | several | {"OMP_NUM_THREADS": "1"}
        homes = folders or (program.folder,) * len(words_of_rank)
        return [
            program.start(*words, cwd=home, env=environment | {"RANK": str(rank)})
            for rank, (words, home) in enumerate(zip(words_of_rank, homes, strict=True))
        ]

    return run


@pytest.fixture
def torchrun(folder: Path) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(count: int, *words: str, module: bool = True) -> "subprocess.CompletedProcess[str]":
        options = ("--nproc-per-node", str(count), "--master-port", str(free_port()))
        program = ("-m", "--", "wavemore") if module else ()
        command = [sys.executable, "-m", "torch.distributed.run", *options, *program, *words]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)

    return run


@pytest.fixture
def names(folder: Path) -> str:
    lines = list(wm.load_corpus("names").train.lines)[:700]
    (folder / "names.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "names.txt"


def until_it_trains(process: "subprocess.Popen[str]", lines: int = 2) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        lines -= line.startswith("step ")
        if lines == 0:
            return
    raise AssertionError(process.communicate())


def ends(processes: list["subprocess.Popen[str]"]) -> list[tuple[int, str, str]]:
    """The exit code, output and errors of each process."""
    return [(process.returncode, out, err) for process in processes for out, err in [process.communicate(timeout=240)]]


@pytest.mark.slow
def test_torchrun_trains_one_run_and_one_process_speaks(torchrun: Any, names: str, wavemore: Any) -> None:
    assert wavemore("train", names, "--run", "one", *SHORT, "--json").code == 0
    done = torchrun(2, "train", names, *SHORT, "--json")
    assert done.returncode == 0, done.stderr
    assert os.listdir("runs") == ["names-1"]  # noqa: PTH208
    summary = json.loads(done.stdout)
    assert summary["environment"]["processes"] == 2
    assert done.stderr.count("ranks   2 processes") == 1
    assert done.stderr.count("\nstep 40 of 40") == 1
    one, two = Run("one").summary(), Run("runs/names-1").summary()
    assert one is not None
    assert two is not None
    assert two.val_nats == pytest.approx(one.val_nats, abs=1e-3)
    assert len(Run("runs/names-1").metrics()) == len(Run("one").metrics())
    again = torchrun(2, "train", "--resume", "runs/names-1")
    assert again.returncode == 0
    assert again.stdout.startswith("runs/names-1 is finished (")
    assert again.stdout.count("\n") == 1
    failed = torchrun(2, "train", names, "--run", "runs/names-1")
    assert failed.returncode == 1
    assert failed.stderr.count("wavemore: runs/names-1 already holds a run") == 1


@pytest.mark.slow
def test_the_process_that_speaks_may_be_the_last_to_fail(
    torchrun: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = 'import os, time\n\nif os.environ.get("RANK") == "0":\n    time.sleep(2)\n'
    (folder / "late").mkdir()
    (folder / "late/sitecustomize.py").write_text(late, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(folder / "late"), prepend=os.pathsep)
    failed = torchrun(2, "train", "names", "--hiden", "3")
    assert failed.stderr.count("Unrecognized options: --hiden, 3") == 1


@pytest.mark.slow
def test_the_example_of_the_page_runs(torchrun: Any, folder: Path) -> None:
    scripts = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (script,) = (script for script in scripts if "torch.distributed" in script)
    (folder / "two.py").write_text(script.replace("epochs=1", "epochs=0.1"), encoding="utf-8")
    done = torchrun(2, "two.py", module=False)
    assert done.returncode == 0, done.stderr
    assert 2 < float(done.stdout) < 3
    summary = Run("runs/two").summary()
    assert summary is not None
    assert summary.environment["processes"] == 2


@pytest.mark.slow
def test_a_signal_to_one_process_stops_all_and_another_number_resumes(start: Start, names: str, wavemore: Any) -> None:
    for number, stopped in ((signal.SIGINT, 0), (signal.SIGTERM, 1)):
        words = ("train", names, "--run", f"stopped-{stopped}", *LONG)
        processes = start(words, words)
        until_it_trains(processes[0])
        processes[stopped].send_signal(number)
        (code, out, err), (other, *nothing) = ends(processes)
        assert {code, other} == {128 + number, 130}
        assert err == ""
        assert out.endswith(f"; the run is kept. Continue with:\n  wavemore train --resume stopped-{stopped}\n")
        assert nothing == ["", ""]
    steps = Run("stopped-1").metrics()[-1]["step"]
    resume = ("train", "--resume", "stopped-1")
    processes = start(resume, resume, resume)
    until_it_trains(processes[0])
    processes[0].send_signal(signal.SIGTERM)
    codes = [code for code, _, _ in ends(processes)]
    assert codes[0] == 128 + signal.SIGTERM
    assert Run("stopped-1").metrics()[-1]["step"] > steps
    (alone,) = start(resume)
    until_it_trains(alone)
    alone.send_signal(signal.SIGINT)
    assert [code for code, _, _ in ends([alone])] == [130]


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 2])  # who speaks and has the folder, and another
def test_one_process_is_killed_and_the_others_say_so(start: Start, names: str, wavemore: Any, killed: int) -> None:
    words = ("train", names, "--run", "mine", *LONG)
    processes = start(words, words, words)
    until_it_trains(processes[0])
    processes[killed].kill()
    for rank, (code, _, err) in enumerate(ends(processes)):
        if rank == killed:
            assert code == -signal.SIGKILL
            continue
        assert code == 1
        assert err.startswith("wavemore: another process of this training has ended, or does not answer")
        assert err.count("\n") == 1
        assert ("Continue from the last checkpoint with: wavemore train --resume mine" in err) == (rank == 0)
    assert wavemore("sample", "mine", "-n", "2").code == 0


@pytest.mark.slow
def test_one_rank_has_other_data_or_settings(start: Start, names: str, folder: Path) -> None:
    here, there = folder, folder / "there"
    there.mkdir()
    (there / names).write_text("anna\nbob\ncarla\ndan\nemma\nfrida\ngus\nhal\nida\njim\n" * 3, encoding="utf-8")
    words = ("train", names, "--run", "mine", *SHORT)
    problem = "than process 0: start all with the same files and command\n"
    ended = ends(start(words, words, folders=(here, there)))
    assert ended == [(1, "", f"wavemore: process 1 has other data {problem}"), (1, "", "")]
    ended = ends(start(words, (*words, "--seed", "1")))
    assert ended == [(1, "", f"wavemore: process 1 has other settings {problem}"), (1, "", "")]
    ended = ends(start(words, ("train", "none.txt", *SHORT)))
    assert ended[0][::2] == (1, ended[0][2])
    assert ended[0][2].startswith("wavemore: process 1: 'none.txt' is neither a file nor a data set")
    assert ended[1] == (1, "", "")
    assert not (folder / "mine").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("train", "--model", "ngram"), "wavemore: an ngram is counted by one process: train it without torchrun\n"),
        (
            ("train", "--minutes", "1"),
            "wavemore: --minutes goes by the speed and the clock of one process: with several, set",
        ),
        (("train", "--device", "meta"), "wavemore: device 'meta' cannot be used here: "),
        (
            ("tune", "--trials", "2"),
            "wavemore: torchrun is for `wavemore train` alone: run `wavemore tune` without torchrun\n",
        ),
    ],
)
def test_what_is_for_one_process_is_refused(start: Start, names: str, words: tuple[str, ...], message: str) -> None:
    ended = ends(start((*words, names), (*words, names)))
    assert ended[0][0] == 2
    assert ended[0][2].startswith(message)
    assert ended[0][2].count("\n") == 1
    assert ended[1][1:] == ("", "")
    assert not Path("runs").exists()
