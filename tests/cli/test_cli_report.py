import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_report_is_written(run: Path, wavemore: Callable[..., Any]) -> None:
    result = wavemore("report", str(run), "-o", "page.html")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("wrote page.html (0.")
    content = Path("page.html").read_text(encoding="utf-8")
    assert content.startswith("<!DOCTYPE html>")
    assert "a [bold]note[/bold] :smile:" in content
    assert wavemore("report").code == 0
    assert Path("done.html").read_text(encoding="utf-8") == content
    assert wavemore("report", "done").code == 0, "an existing report is overwritten"
    assert sorted(path.name for path in Path().iterdir()) == ["done.html", "page.html", "runs"]


def test_other_files_are_not_overwritten(run: Path, fails: Callable[..., str]) -> None:
    Path("mine.html").write_text("<html>mine")
    line = fails(2, "report", str(run), "-o", "mine.html")
    assert "mine.html exists and is not a page of wavemore; choose another -o" in line
    assert Path("mine.html").read_text() == "<html>mine"


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing",), 1, "there is no run 'nothing'"),
        (("done", "-o", "runs"), 2, "runs is a folder; name a file, such as -o runs/report.html"),
        (("done", "-o", "a/b.html"), 2, "there is no folder a; create it"),
        (("done", "-o", "/proc/page.html"), 1, "cannot write /proc/page.html"),
    ],
)
def test_wrong_names(run: Path, fails: Callable[..., str], words: tuple[str, ...], code: int, message: str) -> None:
    assert message in fails(code, "report", *words)


def test_no_run_at_all(fails: Callable[..., str]) -> None:
    assert "there is no run yet" in fails(1, "report")


@pytest.mark.parametrize("words", [["report"], ["inspect", "--plot", "figures"], ["log", "--plot", "log.svg"]])
def test_figures_need_matplotlib(run: Path, words: list[str]) -> None:
    code = f"""
import sys
sys.modules["matplotlib"] = None
from wavemore.cli import main
sys.exit(main({words}))
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "wavemore: figures need matplotlib: pip install 'wavemore[plot]'\n"
