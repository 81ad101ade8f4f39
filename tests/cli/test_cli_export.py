from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_a_page_is_written(run: Path, wavemore: Callable[..., Any]) -> None:
    result = wavemore("export", str(run), "-o", "names.html", "--title", "New <names>", "--about", "For you")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("wrote names.html (")
    content = Path("names.html").read_text(encoding="utf-8")
    assert "<title>New &lt;names&gt;</title>" in content
    assert "For you" in content
    assert wavemore("export", "--float32").code == 0
    assert len(Path("done.html").read_text(encoding="utf-8")) > len(content)
    assert wavemore("export", "done").code == 0, "an existing page is overwritten"
    assert sorted(path.name for path in Path().iterdir()) == ["done.html", "names.html", "runs"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("nothing",), 1, "there is no run 'nothing'"),
        (("done", "-o", "model.onnx"), 2, "--output is model.onnx; export writes one HTML file: give it a name that"),
        (("done", "-o", "folder/"), 2, "export writes one HTML file"),
        (("done", "-o", "a/b.html"), 2, "there is no folder a; create it"),
        (("done", "-o", "runs/done/x.html", "--title", "x" * 300), 2, "--title has 300 characters; it may have 200"),
        (("done", "-o", "/proc/page.html"), 1, "cannot write /proc/page.html"),
        (("done", "-o", "mine.html"), 2, "mine.html exists and is not a page of wavemore"),
    ],
)
def test_wrong_words(run: Path, fails: Callable[..., str], words: tuple[str, ...], code: int, message: str) -> None:
    Path("mine.html").write_text("<html>mine")
    assert message in fails(code, "export", *words)


def test_an_unfinished_run(run: Path, fails: Callable[..., str]) -> None:
    (run / "summary.json").unlink()
    assert "is not finished" in fails(1, "export", "done")


@pytest.mark.slow
def test_a_full_disk(run: Path, program: Callable[..., Any]) -> None:
    resource = pytest.importorskip("resource", reason="needs the limits of Unix")

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    result = program("export", "done", preexec_fn=no_large_files)
    assert (result.code, result.out) == (1, "")
    assert result.err == "wavemore: cannot write done.html: File too large; its old content is unchanged\n"
    assert [path.name for path in Path().iterdir()] == ["runs"]
