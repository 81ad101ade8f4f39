"""Lists that cannot be trained on: one line that says why, and nothing is left behind."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "bad.txt: the file is empty; one item per line is expected"),
        (b" \n\r\n\t\n", "bad.txt: the file holds only blank lines"),
        (b"anna\n", "1 distinct line cannot be split into train, val and test; at least 10 are needed"),
        (
            b"a\nb\nc\nd\ne\nf\ng\nh\ni\n",
            "9 distinct lines cannot be split into train, val and test; at least 10 are needed",
        ),
        (b"a\n" * 1000, "1 distinct line cannot be split into train, val and test; at least 10 are needed"),
        (
            "Zoé\nAnaïs\n".encode("latin-1"),
            "byte 0xe9 at offset 2 is not valid utf-8; set --encoding to that",
        ),
        (bytes(range(256)) * 50, "looks like a binary file"),
        (b"anna\n" * 20 + b"x" * 1_000_000, "line 21"),
    ],
)
def test_a_bad_file_is_told(fails: Callable[..., str], folder: Path, content: bytes, message: str) -> None:
    (folder / "bad.txt").write_bytes(content)
    assert message in fails(1, "train", "bad.txt")
    assert [path.name for path in folder.iterdir()] == ["bad.txt"]


def test_a_list_of_one_endless_line_is_told(fails: Callable[..., str], folder: Path) -> None:
    (folder / "bad.txt").write_bytes(b"x" * 1_000_000)
    assert "line 1" in fails(1, "train", "bad.txt", "--format", "lines")  # it looks like continuous text


def test_what_is_no_file_is_told(fails: Callable[..., str], folder: Path) -> None:
    (folder / "lists").mkdir()
    assert "'nothing.txt' is neither a file nor a data set; check the path, or choose one of names" in fails(
        1, "train", "nothing.txt"
    )
    assert "lists: this folder has no files" in fails(1, "train", "lists")
    assert "is neither a file nor a data set" in fails(1, "train", "")
    assert "is neither a file nor a data set" in fails(1, "train", "x" * 5000)
    assert [path.name for path in folder.iterdir()] == ["lists"]


def test_an_encoding_is_taken(wavemore: Any, fails: Callable[..., str], folder: Path) -> None:
    (folder / "french.txt").write_text("".join(f"é{number:b}\n" for number in range(20)), encoding="latin-1")
    fails(1, "train", "french.txt")
    assert "'klingon', which is not a text encoding; try auto, utf-8, cp1252" in fails(
        2, "train", "french.txt", "--encoding", "klingon"
    )
    wavemore("train", "french.txt", "--encoding", "latin-1", "--steps", "2", "--hidden", "8", "--threads", "1")
    assert (folder / "runs" / "french-1" / "samples.txt").exists()
