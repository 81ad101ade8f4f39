"""`wavemore train --minutes`: a training that is planned for a time."""

import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wavemore.runs.run import Run

MINUTES = 0.2


@pytest.mark.slow
def test_the_command_ends_in_time_and_its_flags_repeat_it(names: str, folder: Path) -> None:
    command = [sys.executable, "-m", "wavemore", "train", names, "--threads", "1"]
    start = time.monotonic()
    timed = subprocess.run(
        [*command, "--minutes", str(MINUTES), "--run", "timed"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert time.monotonic() - start < 2 * 60 * MINUTES  # 1.1 on a quiet machine
    config = Run(folder / "timed").config
    assert config.budget is not None
    assert config.budget.minutes == MINUTES
    assert config.model == "lstm"
    [plan] = re.findall("^plan .*(--model lstm --hidden .*)$", timed.stdout, re.MULTILINE)
    subprocess.run([*command, *shlex.split(plan), "--run", "same"], cwd=folder, capture_output=True, check=True)
    same = Run(folder / "same").config
    assert (same.model_config, same.recipe) == (config.model_config, config.recipe.planned_first)
    if not config.recipe.replanned:
        weights = [(folder / run / "model.safetensors").read_bytes() for run in ("timed", "same")]
        assert weights[0] == weights[1]


@pytest.mark.slow
def test_teachers_are_trained_first_also_after_an_interruption(folder: Path) -> None:
    (folder / "list.txt").write_text("".join(f"{a}{b}{c}\n" for a in "bdk" for b in "aeiou" for c in "lmnr"))
    command = [sys.executable, "-m", "wavemore", "train"]
    begun = subprocess.Popen(
        [*command, "list.txt", "--minutes", "0.5", "--run", "mine"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert begun.stdout is not None
    shown = ""
    while "teacher 2 of" not in shown:
        shown += begun.stdout.readline()
    begun.send_signal(signal.SIGINT)
    shown += begun.communicate(timeout=60)[0]
    assert begun.returncode == 130
    assert "wavemore train --resume mine" in shown
    state = [bool(teacher.sha256) for teacher in Run(folder / "mine").config.teachers]
    assert any(state)
    assert not all(state)
    resumed = subprocess.run([*command, "--resume", "mine"], cwd=folder, capture_output=True, text=True, check=True)
    assert "teacher 1 of" not in resumed.stdout
    config, summary = Run(folder / "mine").config, Run(folder / "mine").summary()
    assert summary is not None
    assert (summary.teachers_train_seconds or 0) > 0
    assert len(config.teachers) >= 2
    teachers = [Run(folder / "mine/teachers" / str(number + 1)) for number in range(len(config.teachers))]
    assert len({teacher.config.recipe.seed for teacher in teachers}) == len(teachers)
    assert all(teacher.summary() for teacher in teachers)
    assert [Path(teacher.run).name for teacher in config.teachers] == [teacher.path.name for teacher in teachers]
    # The flags of the plan train the same student again.
    [flags] = re.findall("^plan .* teachers, then (--model .*)$", shown, re.MULTILINE)
    subprocess.run([*command, "list.txt", *shlex.split(flags), "--run", "same"], cwd=folder, check=True)
    same = Run(folder / "same").config
    assert (same.model_config, same.recipe) == (config.model_config, config.recipe.planned_first)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--minutes 0", r"--minutes is 0\.0; it must be above 0"),
        ("--minutes -3", "--minutes is -3"),
        ("--minutes 0.0001", "too short for 10 steps and the val loss of this model: give at least"),
        ("--minutes 1 --steps 5", "--minutes decides how long the training is, and so does --steps"),
        ("--minutes 1 --epochs 5", "and so does --epochs"),
        ("--minutes 1 --preset lecture", "--preset lecture has a length of its own"),
        ("--minutes 1 --model ngram", "leave out --minutes"),
        ("--minutes 1 --teachers runs/a", "teachers"),
        ("--minutes 1 --resume", "leave --minutes out"),
    ],
)
def test_wrong_times_and_contradictions(fails: Callable[..., str], names: str, flags: str, message: str) -> None:
    source = [] if "--resume" in flags else [names]
    assert re.search(message, fails(2, "train", *source, *flags.split()))
