"""The program as a process: Ctrl-C, kills, pipes, full disks, two training runs at a time."""

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from wavemore.runs.layout import FILES
from wavemore.runs.run import Run

SHAPE = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")
LONG = (*SHAPE, "--steps", "1000000", "--num-evals", "10000")  # minutes: it has to be stopped
WHOLE = (*SHAPE, "--steps", "1000", "--num-evals", "40")  # some seconds


def until_it_trains(process: "subprocess.Popen[str]", lines: int = 1) -> None:
    for line in process.stdout or ():
        lines -= line.startswith("step ")
        if lines == 0:
            return
    raise AssertionError(f"it ended with {process.wait()}: {process.stderr.read() if process.stderr else ''}")


def bits(folder: Path) -> dict[str, bytes]:
    """Everything that must be bit-identical, however often a run was stopped."""
    files = {name: (folder / name).read_bytes() for name in ("model.safetensors", "state.safetensors", "samples.txt")}
    records = [{k: v for k, v in record.items() if k != "seconds"} for record in Run(folder).metrics()]
    return files | {"metrics": json.dumps(records).encode()}


@pytest.fixture
def whole(names: str, wavemore: Any) -> Path:
    """A run that was never stopped."""
    assert wavemore("train", names, "--run", "whole", *WHOLE).code == 0
    return Path("whole")


def readable(folder: Path, wavemore: Any) -> None:
    """Check that a run that was stopped at any moment can be read, or that one line says why not."""
    result = wavemore("log", str(folder))
    assert result.code == 0
    assert "damaged" not in result.out
    result = wavemore("sample", str(folder), "-n", "3")
    assert result.code == 0 or "stopped before its first evaluation" in result.err


def test_python_m_wavemore_and_the_script(program: Any) -> None:
    assert program("--help").out.startswith("usage: wavemore")
    script = Path(sys.executable).with_name("wavemore")
    if script.exists():
        done = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("usage: wavemore")


def test_ctrl_c_keeps_the_run_and_prints_how_to_continue(program: Any, names: str, wavemore: Any) -> None:
    process = program.start("train", names, "--run", "mine", *LONG)
    until_it_trains(process, lines=2)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == ""
    assert out.endswith("; the run is kept. Continue with:\n  wavemore train --resume mine\n")
    readable(Path("mine"), wavemore)
    done = Run(Path("mine")).metrics()[-1]["step"]
    process = program.start("train", "--resume", "mine")
    until_it_trains(process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert "Continue with:" in out
    assert Run(Path("mine")).metrics()[-1]["step"] > done


@pytest.mark.slow
def test_ctrl_c_while_the_program_starts(program: Any, names: str, wavemore: Any) -> None:
    for delay in (0.2, 0.4, 0.7, 1.0, 1.5, 2.2):
        process = program.start("train", names, "--run", f"at-{delay}", *LONG)
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert "Traceback" not in err
        if process.returncode == -signal.SIGINT:  # before anything had begun, or while Python itself started
            assert out + err in ("", "wavemore: stopped\n")
            continue
        assert process.returncode == 130, err
        assert "stopped" in out + err
        if Run(Path(f"at-{delay}")).exists():
            readable(Path(f"at-{delay}"), wavemore)


@pytest.mark.parametrize("error", [RuntimeError("Error calling __set_name__"), ImportError("no module"), OSError(4)])
def test_ctrl_c_that_became_another_error(fails: Any, run: Path, monkeypatch: Any, error: Exception) -> None:
    def find_run(name: str, data: str) -> Run:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise error from interrupt

    monkeypatch.setattr("wavemore.runs.find.find_run", find_run)
    assert fails(130, "sample") == "wavemore: stopped"


@pytest.mark.slow
def test_a_run_that_is_overwritten_is_whole_after_a_kill(program: Any, names: str, wavemore: Any, run: Path) -> None:
    before = bits(run)
    words = ("train", names, "--run", "runs/done", "--overwrite", "--seed", "1", *SHAPE, "--steps")
    process = program.start(*words, "1000000", "--num-evals", "1")
    assert process.stdout is not None
    while "run     runs/done; it replaces the run there after its first evaluation" not in process.stdout.readline():
        assert process.poll() is None
    assert bits(run) == before
    process.kill()
    process.communicate()
    assert bits(run) == before
    assert wavemore("sample", "runs/done", "-n", "1").code == 0
    process = program.start(*words, "1000000", "--num-evals", "10000")
    until_it_trains(process)
    process.kill()
    process.communicate()
    assert (run / "model.safetensors").read_bytes() != before["model.safetensors"]
    assert "stopped at step" in wavemore("log", "runs/done").out
    readable(run, wavemore)
    assert wavemore(*words, "20").code == 0
    absent = {"failed.json", "initial.safetensors", "test.safetensors"}
    assert sorted(path.name for path in run.iterdir()) == sorted({*FILES, "lock"} - absent)


@pytest.mark.slow
def test_ctrl_c_before_the_new_run_has_a_model(program: Any, names: str, wavemore: Any, run: Path) -> None:
    before = bits(run)
    words = ("train", names, "--run", "runs/done", "--overwrite", "--seed", "1", *SHAPE)
    process = program.start(*words, "--steps", "3000", "--num-evals", "1")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("run "):
        assert process.poll() is None
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert "; runs/done still holds the old run. Continue with:\n  wavemore train --resume runs/done\n" in out
    assert bits(run) == before
    result = wavemore("train", "--resume", "done")
    assert result.code == 0
    assert "resuming after step " in result.out
    assert bits(run)["model.safetensors"] != before["model.safetensors"]


def test_a_training_is_not_called_stopped(program: Any, names: str, fails: Any, wavemore: Any) -> None:
    process = program.start("train", names, "--run", "mine", *SHAPE, "--steps", "1000000", "--num-evals", "1")
    assert process.stdout is not None
    while not process.stdout.readline().startswith("run "):
        assert process.poll() is None
    assert "mine is still training and has no model yet: wait for its first" in fails(1, "sample", "mine")
    assert "training, step 0 of 1,000,000" in wavemore("log", "mine", "--runs").out
    process.kill()
    process.communicate()
    assert "mine was stopped before its first evaluation" in fails(1, "sample", "mine")
    assert "stopped at step 0 of 1,000,000" in wavemore("log", "mine", "--runs").out


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_ends_bit_identically(
    program: Any, names: str, wavemore: Any, whole: Path
) -> None:
    moments = random.Random(0)
    kills = 0
    for _ in range(30):
        words = ["--resume", "killed"] if kills else [names, "--run", "killed", *WHOLE]
        process = program.start("train", *words)
        if kills < 3:
            until_it_trains(process)
            time.sleep(moments.uniform(0, 0.5))
            process.kill()
        process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        kills += 1
        readable(Path("killed"), wavemore)
    assert kills == 3
    assert bits(Path("killed")) == bits(whole)
    assert not list(Path("killed").glob(".*.tmp"))


@pytest.mark.slow
def test_two_trainings_into_one_folder(program: Any, names: str, fails: Any) -> None:
    process = program.start("train", names, "--run", "mine", *LONG)
    until_it_trains(process)
    new_run = [names, "--run", "mine", *LONG]
    for words in (new_run, [*new_run, "--overwrite"], ["--resume", "mine"]):
        assert "another training is writing to mine: wait for it, or choose another" in fails(1, "train", *words)
    until_it_trains(process)  # the first one continues
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130


@pytest.mark.slow
def test_a_reader_that_goes_away_costs_no_training(program: Any, names: str, wavemore: Any) -> None:
    for flags in ([], ["--json"]):
        process = program.start("train", names, "--run", "mine", "--overwrite", *SHAPE, "--steps", "300", *flags)
        stream = process.stderr if flags else process.stdout
        assert stream is not None
        assert stream.readline().startswith("data ")
        stream.close()
        out = process.stdout.read() if flags else ""
        assert process.wait(timeout=60) == 0
        assert (Path("mine") / "samples.txt").exists()
        assert Run(Path("mine")).summary() is not None
        assert not flags or json.loads(out)["steps"] == 300
    readable(Path("mine"), wavemore)


def test_closed_output(program: Any, run: Path) -> None:
    for words in (["sample", "-n", "100000"], ["--help"]):
        process = program.start(*words)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(timeout=60) in (0, 1)
        assert process.stderr.read() == ""


@pytest.mark.slow
def test_a_full_disk_for_the_output(program: Any, run: Path) -> None:
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            result = program("log", stdout=full)
        assert (result.code, result.err) == (1, "wavemore: No space left on device\n")

    def without_stdout() -> None:
        os.close(1)

    assert program("log", preexec_fn=without_stdout).code == 0


def test_characters_that_the_encoding_lacks(program: Any, run: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = program("sample", "--prefix", "é", "-n", "2", env=environment)
    assert result.code == 0
    assert all(line.startswith("\\xe9") for line in result.out.splitlines())


def test_a_file_name_that_is_not_unicode(program: Any, names: str) -> None:
    shutil.copy(names, os.fsdecode(b"\xff.txt"))
    result = program("train", os.fsdecode(b"\xff.txt"), *SHAPE, "--steps", "4")
    assert result.code == 1
    assert "cannot write" in result.err
    assert result.err.count("\n") == 1


@pytest.mark.slow
def test_a_full_disk_costs_nothing_that_was_there(program: Any, names: str, wavemore: Any, whole: Path) -> None:
    process = program.start("train", names, "--run", "mine", *WHOLE)
    until_it_trains(process, lines=2)
    process.kill()
    process.communicate()
    before = {name: Path("mine", name).read_bytes() for name in ("model.safetensors", "state.safetensors")}

    def almost_full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, 2_000))

    result = program("train", "--resume", "mine", preexec_fn=almost_full)
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "cannot write mine/" in result.err
    assert "its old content is unchanged" in result.err
    assert {name: Path("mine", name).read_bytes() for name in before} == before
    assert not list(Path("mine").glob(".*.tmp"))
    readable(Path("mine"), wavemore)
    assert program("train", "--resume", "mine").code == 0
    assert bits(Path("mine")) == bits(whole)


@pytest.mark.slow
def test_a_full_disk_leaves_both_the_old_and_the_new_run(program: Any, folder: Path) -> None:
    (folder / "list.txt").write_text("".join(f"{a}{b}n\n" for a in "bdklm" for b in "aeiou"))
    words = ("train", "list.txt", "--run", "mine", "--model", "lstm", "--hidden", "64", "--steps", "3")
    assert program(*words).code == 0
    before = bits(Path("mine"))

    def too_small_for_weights() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    result = program(*words, "--overwrite", "--seed", "1", preexec_fn=too_small_for_weights)
    assert result.code == 1
    assert "cannot write " in result.err
    assert bits(Path("mine")) == before
    assert program("train", "--resume", "mine").code == 0
    assert Run("mine").config.recipe.seed == 1
    assert bits(Path("mine")) != before


@pytest.mark.slow
def test_a_disk_that_is_really_full(folder: Path, names: str) -> None:
    mount = f"mount -t tmpfs -o size=16k none {folder}/disk"
    (folder / "disk").mkdir()
    alone = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*alone, mount], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    train = f"{sys.executable} -m wavemore train {names} --run disk/mine --steps 20 {' '.join(SHAPE)}"
    done = subprocess.run([*alone, f"{mount} && {train}; echo $?"], capture_output=True, text=True, cwd=folder)
    assert done.stdout.endswith("\n1\n")
    assert done.stderr.startswith("wavemore: cannot write disk/mine/")
    assert "No space left on device" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_file_system_that_is_read_only(folder: Path, names: str) -> None:
    mount = f"mount -t tmpfs -o ro none {folder}/disk"
    (folder / "disk").mkdir()
    alone = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*alone, mount], capture_output=True).returncode:
        pytest.skip("needs the right to mount a small file system")
    train = f"{sys.executable} -m wavemore train {names} --steps 20 {' '.join(SHAPE)} --run disk"
    done = subprocess.run([*alone, f"{mount} && {train}/mine"], capture_output=True, text=True, cwd=folder)
    assert done.stderr == "wavemore: cannot create the run folder disk/mine: Read-only file system\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a pseudo-terminal")
@pytest.mark.parametrize("width", ["60", "120"], ids=["narrow", "wide"])
def test_a_terminal_has_a_moving_bar(program: Any, names: str, width: str) -> None:
    mine, its = os.openpty()
    environment = {**os.environ, "COLUMNS": width, "TERM": "xterm-256color"}
    process = program.start("train", names, *SHAPE, "--steps", "400", stdout=its, stderr=its, env=environment)
    os.close(its)
    output = b""
    try:
        while piece := os.read(mine, 65_536):
            output += piece
    except OSError:  # Linux reports in this way that the other side is closed
        pass
    assert process.wait(timeout=60) == 0
    os.close(mine)
    shown = output.decode()
    assert "400/400" in shown
    assert "\x1b[" in shown
    assert ("chars/s" in shown) == (width == "120")
    assert " left" in shown
    assert "step " not in shown.split("400/400")[0].split("run     runs")[1]
    assert "next:" in shown
