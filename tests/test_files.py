from pathlib import Path

import pytest

from wavemore.errors import RunError
from wavemore.files import PAUSES, move, write_all


class Busy(type(Path())):  # type: ignore[misc]
    """A file that another program has open, as on Windows, when it is first moved."""

    attempts = 0
    free_at = 3

    def replace(self, target: Path) -> Path:
        self.attempts += 1
        if self.attempts < self.free_at:
            raise PermissionError(13, "it is used by another process", str(self))
        return Path(self).rename(target)


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Busy:
    monkeypatch.setattr("wavemore.files.PAUSES", (0.0,) * len(PAUSES))
    file = Busy(tmp_path / "new")
    file.write_text("new")
    (tmp_path / "old").write_text("old")
    return file


def test_a_file_that_another_program_has_open_is_moved_a_moment_later(busy: Busy, tmp_path: Path) -> None:
    move(busy, tmp_path / "old")
    assert (tmp_path / "old").read_text() == "new"
    assert not busy.exists()


def test_a_file_that_stays_open_is_an_error(busy: Busy, tmp_path: Path) -> None:
    busy.free_at = len(PAUSES) + 2
    with pytest.raises(PermissionError, match="used by another process"):
        move(busy, tmp_path / "old")
    assert (tmp_path / "old").read_text() == "old"


def test_several_files_are_written_all_or_none(tmp_path: Path) -> None:
    a, b, gone = tmp_path / "a", tmp_path / "b", tmp_path / "gone"
    write_all({a: b"1", b: b"2", gone: b"3"})
    with pytest.raises(RunError, match=r"cannot write .*nowhere.c: .*; there is no file of that name yet"):
        write_all({tmp_path / "nowhere" / "c": b"", a: b"4", b: b"5"}, remove=[gone])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"1", "b": b"2", "gone": b"3"}
    write_all({a: b"4", b: b"5"}, remove=[gone])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"4", "b": b"5"}
