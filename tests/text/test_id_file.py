import hashlib
import os
import re
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError
from wavemore.text import id_file, reading
from wavemore.text.encoding import is_binary
from wavemore.text.id_file import IdFile, open_ids
from wavemore.text.vocabulary import Vocabulary


def read_at_once(content: bytes, encoding: str = "utf-8") -> str:
    return re.sub("\r\n?", "\n", content.decode(encoding).removeprefix("\ufeff"))


def ids_of(content: bytes, folder: Path, encoding: str = "utf-8") -> IdFile:
    path = folder / "text.txt"
    path.write_bytes(content)
    return open_ids(path, encoding, folder / "cache")


def text_of(ids: IdFile) -> str:
    return ids.vocabulary.decode_text(ids.tokens)


characters = st.sampled_from(["a", "b", "é", "天", "😀", "\u2028", "\x85", "\ufeff", " ", "\r", "\n", "\r\n"])
texts = st.lists(characters | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3), max_size=40)


@given(texts.map("".join), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]), st.integers(1, 9))
def test_ids_equal_those_of_the_whole_text_for_any_size_of_pieces(text: str, encoding: str, size: int) -> None:
    content = text.encode(encoding)
    expected = read_at_once(content, encoding)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", size)  # pieces end within characters and line ends
        if not expected.strip("\n"):
            with pytest.raises(DataError, match=r"is empty|holds only line ends"):
                ids_of(content, Path(folder), encoding)
            return
        ids = ids_of(content, Path(folder), encoding)
        assert ids.vocabulary == Vocabulary(set(expected) - {"\n"})
        assert ids.tokens.dtype == ids.vocabulary.dtype
        assert ids.tokens.tolist() == ids.vocabulary.encode_text(expected).tolist()
        assert ids.report.line_feeds == expected.count("\n")
        assert ids.sha256 == hashlib.sha256(content).hexdigest()


any_bytes = st.lists(
    st.sampled_from([b"a", b"\n", b"\r", "é".encode(), "天".encode(), "😀".encode()]) | st.binary(max_size=2)
)


@given(any_bytes.map(b"".join), st.integers(1, 9))
@example(b"\xc3\x00", 1)
@example(b"a\xe5\xa4", 2)
@example(b"\xef\xbb\xbf\r\xff", 3)
@example(b"\x00\xff", 9)
@example(b"\xff\x00", 9)
@example(b"many characters and one zero byte " * 9 + b"\x00", 2)
def test_any_bytes_give_ids_or_the_offset_of_the_first_wrong_byte(content: bytes, size: int) -> None:
    assume(not content.startswith((b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")))  # compressed
    wrong = content.find(0) if is_binary(content, "utf-8") else -1
    if wrong < 0:
        try:
            content.decode()
        except UnicodeDecodeError as error:
            wrong = error.start
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", size)
        if wrong >= 0:
            with pytest.raises(DataError, match=rf"offset {wrong:,}\b") as caught:
                ids_of(content, Path(folder))
            assert len(str(caught.value).splitlines()) == 1
        elif read_at_once(content).strip("\n"):
            assert text_of(ids_of(content, Path(folder))) == read_at_once(content)


@pytest.mark.parametrize("count", [1, 254, 255, 256, 257, 65_534, 65_535, 65_536, 65_537])
def test_ids_have_the_smallest_type(count: int, tmp_path: Path) -> None:
    alphabet = [chr(code) for code in range(11, 70_000) if chr(code) not in "\r" and not 0xD800 <= code < 0xE000]
    text = "".join(reversed(alphabet[:count])) + "\n" + alphabet[0]
    ids = ids_of(text.encode(), tmp_path)
    assert len(ids.vocabulary) == count + 1
    assert ids.tokens.dtype == (np.uint8 if count < 256 else np.uint16 if count < 2**16 else np.uint32)
    assert text_of(ids) == text


def test_ids_are_mapped_from_a_file_and_read_only(tmp_path: Path) -> None:
    ids = ids_of(b"to be or not to be", tmp_path)
    assert isinstance(ids.tokens, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        ids.tokens[0] = 1


def test_a_text_is_encoded_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ids_of(b"to be\n", tmp_path)
    monkeypatch.setattr(id_file, "_write_ids", lambda *_: pytest.fail("encoded again"))
    second = ids_of(b"to be\n", tmp_path)
    assert text_of(second) == text_of(first) == "to be\n"
    assert (second.vocabulary, second.sha256, second.report) == (first.vocabulary, first.sha256, first.report)


def test_texts_of_the_same_size_and_encodings_of_the_same_bytes_are_kept_apart(tmp_path: Path) -> None:
    assert text_of(ids_of("zoë".encode(), tmp_path)) == "zoë"
    assert text_of(ids_of("noë".encode(), tmp_path)) == "noë"
    assert text_of(ids_of("noë".encode(), tmp_path, "latin-1")) == "noÃ«"


def test_incomplete_ids_are_written_again(tmp_path: Path) -> None:
    ids_of(b"to be", tmp_path)
    [ids_path] = (tmp_path / "cache").iterdir()
    ids_path.write_bytes(b"\1\2")
    assert text_of(ids_of(b"to be", tmp_path)) == "to be"


def test_only_ids_remain_in_the_cache(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    leftover, recent, foreign = (cache / name for name in ("a.ids.1.tmp", "a.ids.2.tmp", "notes.tmp"))
    for path in (leftover, recent, foreign):
        path.touch()
    for path in (leftover, foreign):
        os.utime(path, (0, 0))
    ids_of(b"to be", tmp_path)
    for content in (b"", b"\n\n", b"a\0", b"a\xff"):
        with pytest.raises(DataError):
            ids_of(content, tmp_path)
    assert sorted(path.suffix for path in cache.iterdir()) == [".ids", ".tmp", ".tmp"]
    assert not leftover.exists()


@pytest.mark.parametrize("change", [b"to me", b"eb ot"])
def test_a_file_that_changes_while_it_is_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: bytes
) -> None:
    write_ids = id_file._write_ids

    def change_and_write(*arguments: object) -> None:
        (tmp_path / "text.txt").write_bytes(change)
        write_ids(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(id_file, "_write_ids", change_and_write)
    with pytest.raises(DataError, match="the file changed while it was being read"):
        ids_of(b"to be", tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\r\n\n", "holds only line ends"),
        (b"\x7fELF\x00\x01", "zero byte at offset 4; it looks like a binary file"),
        ("to be".encode("utf-16"), "set `encoding` to utf-16"),
    ],
)
def test_the_error_for_a_file_that_is_not_text_gives_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'text.txt'))}: .*{message}"):
        ids_of(content, tmp_path)


def test_a_missing_file_and_an_unknown_encoding_are_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        open_ids(tmp_path / "missing.txt", "utf-8", tmp_path)
    with pytest.raises(UsageError, match="is not a text encoding"):
        ids_of(b"a", tmp_path, "hex")


def test_the_error_for_a_cache_that_cannot_be_written_names_it(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"cannot be written to .*cache .*XDG_CACHE_HOME"):
        ids_of(b"to be", tmp_path)


def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left on device"):
        ids_of(b"to be", tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("line", ["to be or not to be\n", "sein oder nicht séin: 天\n"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, line: str) -> None:
    peaks = []
    for count in (100_000, 800_000):
        (tmp_path / "text.txt").write_text(line * count, encoding="utf-8")
        tracemalloc.start()
        try:
            open_ids(tmp_path / "text.txt", "utf-8", tmp_path / "cache")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 20e6
