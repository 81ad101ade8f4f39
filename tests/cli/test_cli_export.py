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
        (("done", "-o", "model.gguf"), 2, "--output is model.gguf; its ending must be .html (a page), .onnx, .pt2 (to"),
        (("done", "-o", ".onnx"), 2, "--output is '.onnx'; give a name too, such as names.html, names.onnx or names/"),
        (("done", "-o", "-"), 2, "--output is '-'; give a name too"),
        (("done", "-o", "mine.onnx"), 2, "mine.onnx exists and was not exported by wavemore; choose another -o, or"),
        (("done", "-o", "other.onnx"), 2, "other.step.onnx exists and was not exported by wavemore"),
        (("done", "-o", "a/b.pt2"), 2, "there is no folder a; create it, or choose another -o"),
        (("done", "-o", "mine.html/"), 1, "cannot save a model in mine.html: it is a file; choose another"),
        (("done", "-o", "runs/done"), 1, "runs/done holds a training or other files: choose another folder"),
        (("done", "-o", "out/", "--title", "x"), 2, "--title is for a page, .html, and --output is out/"),
        (("done", "--license", "mit"), 2, "--license is for a folder, and --output is a page by default"),
        (("done", "-o", "x.onnx", "--push", "user/x"), 2, "--push is for a folder, and --output is x.onnx"),
        (("done", "-o", "out", "--private"), 2, "--private is for --push: give the name on the Hugging Face hub too"),
        (("done", "--push", "x"), 2, "'x' cannot be a name on the Hugging Face hub: give one such as user/names"),
        (("done", "-o", "out", "--license", "©"), 2, "--license is '©'; it must be an identifier such as mit or cc-"),
        (("done", "-o", "a/b.html"), 2, "there is no folder a; create it"),
        (("done", "-o", "runs/done/x.html", "--title", "x" * 300), 2, "--title has 300 characters; it may have 200"),
        (("done", "-o", "/proc/page.html"), 1, "cannot write /proc/page.html"),
        (("done", "-o", "mine.html"), 2, "mine.html exists and is not a page of wavemore"),
    ],
)
def test_wrong_words(run: Path, fails: Callable[..., str], words: tuple[str, ...], code: int, message: str) -> None:
    for name in ("mine.html", "mine.onnx", "other.step.onnx"):
        Path(name).write_text("<html>mine")
    assert message in fails(code, "export", *words)


def test_an_unfinished_run(run: Path, fails: Callable[..., str]) -> None:
    (run / "summary.json").unlink()
    for output in ("a.html", "a.onnx", "a.pt2", "a/"):
        advice = "is not finished (stopped at step 40 of 40): finish it with `wavemore train --resume runs/done`"
        assert advice in fails(1, "export", "done", "-o", output)
    assert [path.name for path in Path().iterdir()] == ["runs"]


def test_a_folder_is_written(run: Path, wavemore: Callable[..., Any]) -> None:
    for _ in range(2):
        result = wavemore("export", "done", "-o", "names", "--license", "mit")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("wrote names (6 files, ")
    assert wavemore("sample", "names", "-n", "3").code == 0


@pytest.mark.slow
def test_model_files_are_written(run: Path, names: str, wavemore: Callable[..., Any]) -> None:
    for _ in range(2):
        result = wavemore("export", "-o", "names.onnx")
        assert result.code == 0
        assert result.out.startswith("wrote names.onnx (")
        result = wavemore("export", "done", "-o", "names.pt2")
        assert (result.code, result.err) == (0, "")
        assert result.out.startswith("wrote names.pt2 (")
    assert wavemore("train", names, "--model", "gru", "--steps", "3").code == 0
    assert "names.step.onnx (" in wavemore("export", "-o", "names.onnx").out
    assert sorted(path.name for path in Path().iterdir()) == [
        *("names.onnx", "names.pt2", "names.step.onnx", "names.txt", "runs")
    ]
    assert wavemore("export", "done", "-o", "names.onnx").code == 0
    assert not Path("names.step.onnx").exists(), "it would be of another model than names.onnx"


@pytest.mark.slow
@pytest.mark.parametrize("output", ["done.html", "done.onnx", "out/config.json"])
def test_a_full_disk(output: str, run: Path, wavemore: Callable[..., Any], program: Callable[..., Any]) -> None:
    resource = pytest.importorskip("resource", reason="needs the limits of Unix")

    def no_large_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500, 1_500))

    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in Path().rglob("*") if path.is_file()}

    words, before = ("export", "done", "-o", output.removesuffix("config.json")), files()
    for attempt in ("new", "over an earlier export"):
        result = program(*words, preexec_fn=no_large_files)
        assert (result.code, result.out) == (1, ""), attempt
        kept = "there is no file of that name yet" if attempt == "new" else "its old content is unchanged"
        assert result.err == f"wavemore: cannot write {output}: File too large; {kept}\n"
        assert files() == before, attempt
        assert Path("out").exists() == (attempt != "new" and output.startswith("out"))
        assert wavemore(*words).code == 0
        before = files()
