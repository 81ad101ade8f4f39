"""`wavemore train --minutes`: a training that is planned for a time."""

import re
import shlex
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
    [plan] = re.findall("^plan .*: (--model lstm --hidden .*)$", timed.stdout, re.MULTILINE)
    subprocess.run([*command, *shlex.split(plan), "--run", "same"], cwd=folder, capture_output=True, check=True)
    same = Run(folder / "same").config
    assert (same.model_config, same.recipe) == (config.model_config, config.recipe.planned_first)
    if not config.recipe.replanned:
        weights = [(folder / run / "model.safetensors").read_bytes() for run in ("timed", "same")]
        assert weights[0] == weights[1]


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
