import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_page_is_written_and_named(run: Path, wavemore: Callable[..., Any]) -> None:
    said = wavemore("report", str(run), "-o", "page.html")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("page.html (0.")
    content = Path("page.html").read_text(encoding="utf-8")
    assert content.startswith("<!DOCTYPE html>")
    assert "a [bold]note[/bold] :smile:" in content
    assert wavemore("report").code == 0
    assert Path("done.html").read_text(encoding="utf-8") == content
    assert wavemore("report", "done").code == 0, "a page of ours is replaced"
    assert sorted(path.name for path in Path().iterdir()) == ["done.html", "page.html", "runs"]


def test_what_is_no_page_of_ours_is_left_alone(run: Path, fails: Callable[..., str]) -> None:
    Path("mine.html").write_text("<html>mine")
    line = fails(2, "report", str(run), "-o", "mine.html")
    assert "mine.html is there already and is no page of `wavemore report`: take another -o" in line
    assert Path("mine.html").read_text() == "<html>mine"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nothing",), 1, "there is no run and no finished study 'nothing'"),
        (("done", "-o", "runs"), 2, "runs is a folder: name a file, for example -o runs/report.html"),
        (("done", "-o", "a/b.html"), 2, "there is no folder a: make it"),
        (("done", "-o", "/proc/page.html"), 1, "cannot write /proc/page.html"),
        (("done", "done"), 2, "Unrecognized: done"),
    ],
)
def test_wrong_words_are_told_in_a_line(
    run: Path, fails: Callable[..., str], words: tuple[str, ...], code: int, said: str
) -> None:
    assert said in fails(code, "report", *words)


def test_no_run_at_all(fails: Callable[..., str]) -> None:
    assert "there is no run here yet" in fails(1, "report")


def test_without_matplotlib_one_line_says_what_to_install(run: Path) -> None:
    code = f"""
import sys
sys.modules["matplotlib"] = None
from wavemore.cli import main
sys.exit(main(["report", {str(run)!r}]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "wavemore: figures need matplotlib: pip install 'wavemore[plot]'\n"
