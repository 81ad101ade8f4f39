"""A project that was moved: its runs find their data again by its checksum."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wavemore.cli import main
from wavemore.errors import RunError
from wavemore.runs.config import RunConfig
from wavemore.runs.moved import places
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus

TINY = ("--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1", "--steps", "10", "--num-evals", "2")


def test_the_longest_of_the_last_parts_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in ("new/lists/words.txt", "new/words.txt", "new/runs/words.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    monkeypatch.chdir(tmp_path)
    old = "/no/old/lists/words.txt"
    found = [Path(place) for place in places(old, Path("new/runs/words-1"))]
    expected = ["new/lists/words.txt", "new/runs/words.txt", "new/words.txt"]
    assert found == [Path(old), *(tmp_path / path for path in expected)]
    assert list(places("/no/such\0thing", Path("runs/x"))) == ["/no/such\0thing"]


@pytest.fixture
def moved(tmp_path: Path, config: RunConfig, corpus: LineCorpus, train_until: Callable[..., None]) -> Run:
    """A run in new/runs/ whose data was in old/lists/, and is in new/lists/."""
    (tmp_path / "old" / "lists").mkdir(parents=True)
    data = tmp_path / "old" / "lists" / "words.txt"
    shutil.copy(corpus.source, data)
    run = Run(tmp_path / "old" / "runs" / "words-1")
    run.create(replace(config, data=replace(config.data, source=str(data))), corpus)
    train_until(run, corpus, step=6)
    (tmp_path / "old").rename(tmp_path / "new")
    return Run(tmp_path / "new" / "runs" / "words-1")


def test_the_data_is_found_beside_the_run_if_it_is_the_same(moved: Run, corpus: LineCorpus) -> None:
    data = moved.path.parents[1] / "lists" / "words.txt"
    found = moved.corpus()
    assert (found.source, found.sha256) == (str(data), corpus.sha256)
    data.write_text(data.read_text().replace("anna", "hanna"))
    with pytest.raises(
        RunError, match=r"the data of .*words-1 cannot be read: .*/old/lists/words.txt is not there; put the"
    ):
        moved.corpus()


def test_data_elsewhere_is_given(moved: Run, tmp_path: Path, corpus: LineCorpus) -> None:
    (moved.path.parents[1] / "lists").rename(tmp_path / "elsewhere")
    place = tmp_path / "elsewhere" / "words.txt"
    with pytest.raises(RunError, match="or give its path as `data`"):
        moved.corpus()
    assert Run(moved.path, str(place)).corpus().sha256 == corpus.sha256
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(place.read_text() + "zoe\n")
    with pytest.raises(RunError, match=r"wrong.txt is not the file that the run began with: it"):
        Run(moved.path, str(wrong)).corpus()


def test_commands_take_the_place_of_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], corpus: LineCorpus
) -> None:
    def wavemore(*words: str) -> tuple[int, str]:
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    monkeypatch.chdir(tmp_path)
    shutil.copy(corpus.source, "words.txt")
    shutil.copy(corpus.source, "wrong.txt")
    Path("wrong.txt").write_text(Path("wrong.txt").read_text() + "zoe\n")
    for run, seed in (("a", "0"), ("b", "1")):
        assert wavemore("train", "words.txt", "--run", run, "--seed", seed, *TINY)[0] == 0
    Path("elsewhere").mkdir()
    Path("words.txt").rename("elsewhere/list.txt")
    commands: dict[str, tuple[str, ...]] = {
        "evaluate": ("a",),
        "inspect": ("a",),
        "compare": ("a", "b"),
        "train": ("--resume", "a"),
    }
    for name, words in commands.items():
        code, message = wavemore(name, *words, "--data", "wrong.txt")
        assert (code, "wrong.txt is not the file that the run began with: it" in message) == (1, True), name
        assert wavemore(name, *words, "--data", "elsewhere/list.txt")[0] == 0, name
    assert wavemore("report", "a", "--data", "elsewhere/list.txt")[0] == 0
    assert "Not shown" not in Path("a.html").read_text(encoding="utf-8")
    Path("b/summary.json").unlink()
    code, message = wavemore("train", "--resume", "b")
    assert (code, "words.txt is not there; put the right file there, or give its path as --data" in message) == (
        1,
        True,
    )
    assert wavemore("train", "--resume", "b", "--data", "elsewhere/list.txt")[0] == 0
    assert Run(Path("b")).config.data.source == str(tmp_path / "elsewhere" / "list.txt")
    assert wavemore("evaluate", "b")[0] == 0
    assert "the data is given twice" in wavemore("train", "wrong.txt", "--data", "elsewhere/list.txt")[1]
    assert wavemore("train", "--data", "wrong.txt", "--run", "c", *TINY)[0] == 0
    assert Run(Path("c")).config.data.name == "wrong"


def test_a_run_of_another_device_is_said_once(
    moved: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = moved.path / "config.json"
    path.write_text(path.read_text().replace('"device": "cpu"', '"device": "cuda:77"'))
    for words in (("sample", "-n", "2", "--seed", "1"), ("train", "--resume"), ("report", "-o", f"{moved.path}.html")):
        assert main([*words, str(moved.path)]) == 0
        err: Any = capsys.readouterr().err
        assert err.count("wavemore: the device of the run, 'cuda:77', cannot be used here (") == 1
        assert err.count("\n") == 1


def test_a_student_finds_its_teachers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], corpus: LineCorpus
) -> None:
    (tmp_path / "old").mkdir()
    monkeypatch.chdir(tmp_path / "old")
    shutil.copy(corpus.source, "words.txt")
    assert main(["train", "words.txt", "--run", "runs/teacher", *TINY]) == 0
    assert main(["train", "words.txt", "--run", "runs/student", "--teachers", "teacher", *TINY]) == 0
    for name in ("summary.json", "state.safetensors"):
        Path("runs/student", name).unlink()
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    assert main(["train", "--resume", "student"]) == 0, capsys.readouterr().err
