import hashlib
import json
import os
import re
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError
from wavemore.text import id_file as encoding
from wavemore.text import reading
from wavemore.text.id_file import Encoded, encode
from wavemore.text.vocabulary import Vocabulary


def read_at_once(content: bytes, codec: str = "utf-8") -> str:
    return re.sub("\r\n?", "\n", content.decode(codec).removeprefix("\ufeff"))


def encoded(content: bytes, folder: Path, codec: str = "utf-8") -> Encoded:
    path = folder / "text.txt"
    path.write_bytes(content)
    return encode(path, codec, folder / "cache")


def text_of(found: Encoded) -> str:
    return found.vocabulary.decode_text(found.tokens)


pieces = st.sampled_from(["a", "b", "é", "天", "😀", "\u2028", "\x85", "\ufeff", " ", "\r", "\n", "\r\n"])
texts = st.lists(pieces | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=3), max_size=40)


@given(texts.map("".join), st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]), st.integers(1, 9))
def test_any_text_in_pieces_of_any_size_gives_the_ids_of_the_whole(text: str, codec: str, size: int) -> None:
    content = text.encode(codec)
    expected = read_at_once(content, codec)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", size)  # characters and line ends fall on edges of pieces
        patch.setattr(encoding, "_BLOCK", 16)
        if not expected.strip("\n"):
            with pytest.raises(DataError, match=r"is empty|holds only line ends"):
                encoded(content, Path(folder), codec)
            return
        found = encoded(content, Path(folder), codec)
        assert found.vocabulary == Vocabulary(set(expected) - {"\n"})
        assert found.tokens.dtype == found.vocabulary.dtype
        assert found.tokens.tolist() == found.vocabulary.encode_text(expected).tolist()
        assert found.line_feeds == expected.count("\n")
        assert found.sha256 == hashlib.sha256(content).hexdigest()


broken = st.lists(
    st.sampled_from([b"a", b"\n", b"\r", "é".encode(), "天".encode(), "😀".encode()]) | st.binary(max_size=2)
)


@given(broken.map(b"".join), st.integers(1, 9))
@example(b"\xc3\x00", 1)
@example(b"a\xe5\xa4", 2)
@example(b"\xef\xbb\xbf\r\xff", 3)
@example(b"\x00\xff", 9)
@example(b"\xff\x00", 9)
def test_any_bytes_give_their_ids_or_the_position_of_the_first_wrong_one(content: bytes, size: int) -> None:
    try:
        content.decode()
        wrong = content.find(0)
    except UnicodeDecodeError as error:
        wrong = min(place for place in (error.start, content.find(0)) if place >= 0)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", size)
        if wrong >= 0:
            with pytest.raises(DataError, match=rf"offset {wrong:,}\b") as caught:
                encoded(content, Path(folder))
            assert len(str(caught.value).splitlines()) == 1
        elif read_at_once(content).strip("\n"):
            assert text_of(encoded(content, Path(folder))) == read_at_once(content)


@given(texts.map("".join), texts.map("".join), st.integers(1, 9))
def test_what_stands_before_a_wrong_byte_is_kept_and_encoded_once(before: str, after: str, size: int) -> None:
    head, tail = ("a" + before).encode(), after.encode()
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", size)
        kept = len(read_at_once(head.removesuffix(b"\r")))  # what follows decides whether it ends a line
        with pytest.raises(
            DataError, match=rf"offset {len(head):,} .*; the {kept:,} characters? before it stay encoded"
        ):
            encoded(head + b"\xff" + tail, Path(folder))
        counted: list[int] = []
        add = encoding._Writer.add

        def counting(writer: encoding._Writer, text: str) -> None:
            counted.append(len(text))
            add(writer, text)

        patch.setattr(encoding._Writer, "add", counting)
        content = head + b"n" + tail
        assert text_of(encoded(content, Path(folder))) == read_at_once(content)
        assert sum(counted) == len(read_at_once(content)) - kept
        assert not list((Path(folder) / "cache").glob("*cut-short*"))


def test_a_file_that_changed_before_the_wrong_byte_is_read_from_its_beginning(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="the 5 characters before it stay encoded"):
        encoded(b"to be\xff or not", tmp_path)
    assert text_of(encoded(b"Two bees or not", tmp_path)) == "Two bees or not"


def test_another_encoding_starts_anew(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="byte 0xeb at offset 2 is not valid utf-8"):
        encoded(b"zo\xeb", tmp_path)
    assert text_of(encoded(b"zo\xeb", tmp_path, "latin-1")) == "zoë"


@pytest.mark.parametrize("kinds", [1, 254, 255, 256, 257, 65_534, 65_535, 65_536, 65_537])
def test_ids_have_the_smallest_type(kinds: int, tmp_path: Path) -> None:
    characters = [chr(code) for code in range(11, 70_000) if chr(code) not in "\r" and not 0xD800 <= code < 0xE000]
    text = "".join(reversed(characters[:kinds])) + "\n" + characters[0]
    found = encoded(text.encode(), tmp_path)
    assert len(found.vocabulary) == kinds + 1
    assert found.tokens.dtype == (np.uint8 if kinds < 256 else np.uint16 if kinds < 2**16 else np.uint32)
    assert text_of(found) == text


def test_the_ids_are_mapped_from_a_file_and_read_only(tmp_path: Path) -> None:
    found = encoded(b"to be or not to be", tmp_path)
    assert isinstance(found.tokens, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.tokens[0] = 1


def test_a_text_is_encoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = encoded(b"to be", tmp_path)
    monkeypatch.setattr(encoding, "_encode", lambda *_: pytest.fail("encoded again"))
    again = encoded(b"to be", tmp_path)
    assert text_of(again) == text_of(first) == "to be"
    assert (again.vocabulary, again.sha256, again.line_feeds) == (first.vocabulary, first.sha256, first.line_feeds)


def test_another_text_of_the_same_size_is_another_text(tmp_path: Path) -> None:
    assert text_of(encoded(b"to be", tmp_path)) == "to be"
    assert text_of(encoded(b"or at", tmp_path)) == "or at"


@pytest.mark.parametrize("damage", ["short", "gone", "facts", "format"])
def test_a_damaged_cache_is_made_anew(tmp_path: Path, damage: str) -> None:
    encoded(b"to be", tmp_path)
    (ids,) = (tmp_path / "cache").glob("*.ids")
    facts = ids.with_suffix(".json")
    if damage == "short":
        ids.write_bytes(b"\1\2")
    elif damage == "gone":
        ids.unlink()
    elif damage == "facts":
        facts.write_text("{")
    else:
        facts.write_text(json.dumps(json.loads(facts.read_text()) | {"format": 0}))
    assert text_of(encoded(b"to be", tmp_path)) == "to be"


def test_nothing_is_left_beside_what_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    left = folder / ".1-0.tmp"
    left.touch()
    os.utime(left, (0, 0))
    encoded(b"to be", tmp_path)
    for content in (b"", b"\n\n", b"a\0"):
        with pytest.raises(DataError):
            encoded(content, tmp_path)
    assert sorted(path.suffix for path in folder.iterdir() if "cut-short" not in path.name) == [".ids", ".json"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"\r\n\n", "holds only line ends"),
        (b"\x7fELF\x00\x01", "looks like a binary file .*offset 4"),
        ("to be".encode("utf-16"), "--encoding utf-16"),
    ],
)
def test_a_file_that_is_no_text_is_refused_with_a_reason(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^{re.escape(str(tmp_path / 'text.txt'))}: .*{message}"):
        encoded(content, tmp_path)


def test_a_missing_file_and_an_unknown_encoding(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        encode(tmp_path / "missing.txt", "utf-8", tmp_path)
    with pytest.raises(UsageError, match="is no text encoding"):
        encoded(b"a", tmp_path, "hex")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DataError, match=r"cannot be written to .*cache .*XDG_CACHE_HOME"):
        encoded(b"to be", tmp_path)


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(DataError, match=r"cannot be written to .*No space left on device"):
        encoded(b"to be", tmp_path)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_is_encoded_too(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, "to bé\n".encode())
    os.close(write)
    try:
        assert text_of(encode(Path(f"/dev/fd/{read}"), "utf-8", tmp_path)) == "to bé\n"
    finally:
        os.close(read)


@pytest.mark.parametrize("line", ["to be or not to be\n", "sein oder nicht séin: 天\n"])
def test_memory_does_not_grow_with_the_text(tmp_path: Path, line: str) -> None:
    peaks = []
    for repeated in (100_000, 800_000):
        (tmp_path / "text.txt").write_text(line * repeated, encoding="utf-8")
        tracemalloc.start()
        try:
            encode(tmp_path / "text.txt", "utf-8", tmp_path / "cache")
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 20e6
