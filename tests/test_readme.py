"""What the README says, done."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import wavemore as wm

README = (Path(__file__).resolve().parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_commands_run_one_after_the_other(tmp_path: Path) -> None:
    lines = list(wm.load("names").train.lines)[:300]
    (tmp_path / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sentence = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while.\n"
    (tmp_path / "text.txt").write_text(sentence * 60, encoding="utf-8")
    commands = [line.partition("#")[0].strip() for block in blocks("sh") for line in block.splitlines()]
    commands = [command for command in commands if command.startswith("wavemore ")]
    assert len(commands) >= 6
    for command in commands:
        words = [sys.executable, "-m", *shlex.split(command)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, env=environment)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        assert done.stdout.strip(), command
        assert done.stderr == "", command


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("python")
    exec(compile(code, "README.md", "exec"), {})
    out = capsys.readouterr().out
    assert re.search(r"^step \d+: val \d\.\d{3} nats a character$", out, re.MULTILINE)
    assert len(re.findall(r"^\S.* \d+\.\d nats$", out, re.MULTILINE)) == 10
    assert out.endswith("bits a character\n")


def test_the_files_that_it_names_are_there() -> None:
    root = Path(__file__).resolve().parents[1]
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert "RESULTS.md" in targets
    for target in targets:
        assert (root / target).exists(), target
