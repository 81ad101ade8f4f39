"""Compressed files are read as what is in them; damaged ones and bombs are refused."""

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from wavemore.errors import DataError
from wavemore.text import opening
from wavemore.text.datasets import load_corpus
from wavemore.text.reading import read_lines

NAMES = [f"name{number}" for number in range(50)]
LIST = "".join(f"{name}\n" for name in NAMES).encode()
zstandard = pytest.importorskip("zstandard", reason="the extra zstd is not installed")
COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda content: zstandard.ZstdCompressor(write_checksum=True).compress(content),
}
EACH = pytest.mark.parametrize("kind", COMPRESS)


@EACH
@pytest.mark.parametrize("members", [1, 2])
def test_a_compressed_list_is_read_as_the_list(tmp_path: Path, kind: str, members: int) -> None:
    path = tmp_path / "names.txt.z"
    half = len(LIST) // 2
    parts = [LIST] if members == 1 else [LIST[:half], LIST[half:]]
    path.write_bytes(b"".join(map(COMPRESS[kind], parts)))
    plain = tmp_path / "names.txt"
    plain.write_bytes(LIST)
    lines, _, reader = read_lines(path)
    assert list(lines) == NAMES
    assert reader.sha256 == read_lines(plain)[2].sha256


@EACH
def test_a_compressed_text_is_read_twice_for_its_ids(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "text.z"
    path.write_bytes(COMPRESS[kind](b"It was the best of times.\n" * 100))
    corpus = load_corpus(path, format="text", cache=tmp_path / "cache")
    assert corpus.vocabulary.decode_text(corpus.train.tokens[:26]) == "It was the best of times.\n"


@EACH
def test_a_damaged_file_is_refused(tmp_path: Path, kind: str) -> None:
    content = COMPRESS[kind](LIST * 40)
    path = tmp_path / "names.z"
    for damaged in (content[:-9], content[: len(content) // 2], content[:12] + b"\xff\0\xff\0" + content[16:]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=f"names.z: this {kind} file is damaged"):
            read_lines(path)


@EACH
def test_a_bomb_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "UNCHECKED", 1 << 20)
    path = tmp_path / "bomb"
    path.write_bytes(COMPRESS[kind](b"abcdefg\n" * (1 << 19)))
    with pytest.raises(DataError, match=f"this {kind} file expands to more than 200 times its size"):
        read_lines(path)


def test_an_item_that_begins_like_bzip2_is_an_item(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("BZhang\nBZh9\n")
    assert list(read_lines(path)[0]) == ["BZhang", "BZh9"]
