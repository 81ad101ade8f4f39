"""The files of a run on their way to another machine: whole, in an order that leaves a readable run at any moment."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from wavemore.errors import RunError
from wavemore.files import write_atomic
from wavemore.runs.run import Run
from wavemore.runs.transfer import read_files, write_files
from wavemore.text.line_corpus import LineCorpus


def test_a_run_arrives_whole_and_goes_on(trained: Run, tmp_path: Path, corpus: LineCorpus, train_until: object) -> None:
    copy = Run(tmp_path / "copy")
    with copy.lock():
        write_files(copy.path, read_files(trained.path))
    assert read_files(copy.path) == read_files(trained.path)
    for run in (trained, copy):
        train_until(run, corpus)  # type: ignore[operator]
    assert (copy.path / "model.safetensors").read_bytes() == (trained.path / "model.safetensors").read_bytes()


def test_files_that_a_run_has_no_longer_are_removed_and_foreign_names_are_not_written(trained: Run) -> None:
    contents = read_files(trained.path)
    del contents["state.safetensors"]
    (trained.path / "notes.txt").write_text("mine", encoding="utf-8")
    write_files(trained.path, contents | {"../elsewhere": b"x", "notes.txt": b"x"})
    assert not (trained.path / "state.safetensors").exists()
    assert (trained.path / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert not (trained.path.parent / "elsewhere").exists()


class Killed(BaseException):
    pass


@pytest.mark.parametrize("after", range(8))
def test_a_run_that_is_cut_short_on_its_way_is_unfinished_and_can_go_on(
    trained: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    contents: Mapping[str, bytes] = read_files(trained.path) | {"summary.json": b"{}", "samples.txt": b"x"}
    written: list[str] = []

    def write_or_die(path: Path, content: bytes) -> None:
        if len(written) == after:
            raise Killed
        written.append(path.name)
        write_atomic(path, content)

    monkeypatch.setattr("wavemore.runs.transfer.write_atomic", write_or_die)
    run = Run(tmp_path / "copy")
    with run.lock():
        if after < len(contents):
            with pytest.raises(Killed):
                write_files(run.path, contents)
        else:
            write_files(run.path, contents)
    assert len(written) == min(after, len(contents))
    assert ("summary.json" in written) == (len(written) == len(contents)), "the last one"
    if run.exists():
        assert run.vocabulary() == trained.vocabulary()
        checkpoint, whole = run.checkpoint(), trained.checkpoint()
        assert checkpoint is None or (whole is not None and checkpoint.facts == whole.facts)


def test_a_folder_that_cannot_be_written_is_one_line(trained: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot write"):
        write_files(tmp_path / "nowhere", read_files(trained.path))
