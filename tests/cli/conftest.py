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
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Program:
    """The program as a user runs it, in a process of its own."""

    folder: Path
    started: list["subprocess.Popen[str]"] = field(default_factory=list)

    def start(self, *words: str, **settings: Any) -> "subprocess.Popen[str]":
        def listen_to_ctrl_c() -> None:  # a shell that runs pytest in the background switches it off
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
                "preexec_fn": listen_to_ctrl_c,
                **settings,
            },
        )
        self.started.append(process)
        return process

    def __call__(self, *words: str, **settings: Any) -> Said:
        process = self.start(*words, **settings)
        out, err = process.communicate(timeout=120)
        return Said(process.returncode, out, err)

    def close(self) -> None:
        """Leave no process and no pipe behind."""
        for process in self.started:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def program(folder: Path) -> Iterator[Program]:
    with closing(Program(folder)) as program:
        yield program


@pytest.fixture
def wavemore(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """A command, run inside of this process."""

    def run(*words: str) -> Said:
        capsys.readouterr()
        code = main([*map(str, words)])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture
def fails(wavemore: Callable[..., Said]) -> Callable[..., str]:
    """A command that fails as it should: an exit code, one line, and nothing else. Returns the line."""

    def run(code: int, *words: str) -> str:
        said = wavemore(*words)
        assert said.err.startswith("wavemore: ")
        assert said.err.count("\n") == 1
        assert said.err.endswith("\n")
        assert said.code == code
        assert said.out == ""
        return said.err.strip()

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
    assert main([*words, "--evaluations", "4", "--note", "a [bold]note[/bold] :smile:"]) == 0
    return folder / "run"


@pytest.fixture
def run(_finished: Path, folder: Path) -> Path:
    """A finished run, `runs/done`."""
    shutil.copytree(_finished, folder / "runs" / "done")
    return Path("runs/done")
