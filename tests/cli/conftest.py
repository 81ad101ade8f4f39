import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from wavemore.cli import main

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")


@dataclass(frozen=True)
class Result:
    """The exit code of a command and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """The program in a process of its own, as a user runs it."""

    folder: Path
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *words: str, **settings: Any) -> "subprocess.Popen[str]":
        def restore_ctrl_c() -> None:  # a shell that runs pytest in the background ignores it
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        process = subprocess.Popen(
            [sys.executable, "-m", "wavemore", *words],
            **{
                "cwd": self.folder,
                "text": True,
                "encoding": "utf-8",
                "stdin": subprocess.DEVNULL,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.PIPE,
                "preexec_fn": restore_ctrl_c,
                **settings,
            },
        )
        self.started.append(process)
        return process

    def __call__(self, *words: str, **settings: Any) -> Result:
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=120)
        return Result(process.returncode, out, err)

    def close(self) -> None:
        """Kill what is still running, and close all pipes."""
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(folder: Path) -> Iterator[Program]:
    with closing(Program(folder)) as program:
        yield program


@pytest.fixture
def wavemore(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Run a command inside this process."""

    def run(*words: str) -> Result:
        capsys.readouterr()
        code = main([*map(str, words)])
        captured = capsys.readouterr()
        return Result(code, captured.out, captured.err)

    return run


@pytest.fixture
def fails(wavemore: Callable[..., Result]) -> Callable[..., str]:
    """Run a command that must fail with an exit code and one line on standard error; return the line."""

    def run(code: int, *words: str) -> str:
        result = wavemore(*words)
        assert result.err.startswith("wavemore: ")
        assert result.err.count("\n") == 1
        assert result.err.endswith("\n")
        assert result.code == code
        assert result.out == ""
        return result.err.strip()

    return run


@pytest.fixture
def rejects(wavemore: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a command with a flag that tyro rejects with exit code 2; return its message."""
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: str) -> str:
        result = wavemore(*words)
        assert (result.code, result.out) == (2, "")
        assert f"wavemore {words[0]} --help" in result.err
        return result.err

    return run


LINES = [f"{first}{middle}{last}" for first in ("an", "Bo", "é l") for middle in ("na", "li", "") for last in "aeiou"]


@pytest.fixture
def names(folder: Path) -> str:
    """A list of 45 lines."""
    (folder / "names.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    return "names.txt"


@pytest.fixture(scope="session")
def _finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished")
    (folder / "names.txt").write_text("\n".join(LINES) + "\n", encoding="utf-8")
    words = ["train", str(folder / "names.txt"), "--run", str(folder / "run"), *TINY, "--steps", "40"]
    assert main([*words, "--num-evals", "4", "--note", "a [bold]note[/bold] :smile:"]) == 0
    return folder / "run"


@pytest.fixture
def run(_finished: Path, folder: Path) -> Path:
    """A finished run, `runs/done`."""
    shutil.copytree(_finished, folder / "runs" / "done")
    return Path("runs/done")
