import hashlib
import re
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.errors import DataError, UsageError, WavemoreError
from wavemore.text import reading
from wavemore.text.reading import read_lines


def list_file(folder: Path, content: bytes) -> Path:
    path = folder / "list.txt"
    path.write_bytes(content)
    return path


def read_naively(content: bytes, encoding: str = "utf-8") -> list[str]:
    text = content.decode(encoding).removeprefix("\ufeff")
    return [line.strip() for line in re.split("\r\n|\r|\n", text) if line.strip()]


def lines_or_message(path: Path, encoding: str = "auto") -> list[str] | str:
    try:
        return list(read_lines(path, encoding)[0])
    except DataError as error:
        return str(error)


pieces = st.sampled_from(["a", "é", "😀", "\u2028", "\x0b", "\x85", "\ufeff", " ", "\t", "\r", "\n", "\r\n", "."])
file_texts = st.lists(pieces | st.text(max_size=3), max_size=40).map("".join)


@given(file_texts, st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32-le"]), st.integers(1, 9))
def test_any_text_is_read_as_by_a_naive_reader(text: str, encoding: str, chunk: int) -> None:
    content = text.replace("\x00", "").encode(encoding)
    expected = read_naively(content, encoding)
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_BYTES", chunk)  # chunks end within characters and line ends
        path = list_file(Path(folder), content)
        if expected:
            lines, report, reader = read_lines(path, encoding)
            assert list(lines) == expected
            assert report.lines == len(expected)
            assert reader.encoding == encoding
            assert reader.sha256 == hashlib.sha256(content).hexdigest()
        else:
            with pytest.raises(DataError, match=r"is empty|only blank lines"):
                read_lines(path, encoding)


@given(st.binary(max_size=60), st.sampled_from(["utf-8", "latin-1", "utf-16", "cp1252", "ascii", "utf-7"]))
def test_any_bytes_are_lines_or_a_one_line_error(content: bytes, encoding: str) -> None:
    with TemporaryDirectory() as folder:
        path = list_file(Path(folder), content)
        result = lines_or_message(path, encoding)
        if isinstance(result, str):
            assert result.startswith(f"{path}: ")
            assert len(result.splitlines()) == 1
        else:
            assert result == read_naively(content, encoding)


@pytest.mark.parametrize("chunk", [1, 3, 1000])
@pytest.mark.parametrize(
    ("content", "offset"),
    [
        (b"emma\n\xffava\n", 5),
        (b"\xef\xbb\xbfemma\n\xe9\n", 8),
        (b"jos\xc3\xa9\nzo\xeb\n", 8),
        (b"ava\nzo\xc3", 6),
    ],
)
def test_the_error_for_a_byte_that_is_not_utf8_gives_its_offset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, offset: int, chunk: int
) -> None:
    monkeypatch.setattr(reading, "_CHUNK_BYTES", chunk)
    expected = rf"byte 0x{content[offset]:02x} at offset {offset} is not valid utf-8; .*for example latin-1"
    with pytest.raises(DataError, match=expected):
        read_lines(list_file(tmp_path, content))


def test_another_encoding_can_be_given(tmp_path: Path) -> None:
    assert list(read_lines(list_file(tmp_path, b"zo\xeb\n"), "latin-1")[0]) == ["zoë"]


@pytest.mark.parametrize("encoding", ["no-such", "hex", "rot13", "", "a\0b", "locale"])
def test_an_unknown_encoding_is_a_usage_error(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(UsageError, match="is not a text encoding"):
        read_lines(list_file(tmp_path, b"emma\n"), encoding)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b" \n\t\r\n", "only blank lines"),
        (b"\x7fELF\x00\x01", "zero byte at offset 4; it looks like a binary file: give a text file"),
        ("emma\n".encode("utf-16-le"), "zero byte at offset 1; it looks like utf-16-le: set `encoding` to utf-16-le"),
        (b"emma\n\n" + b"x" * 10_001 + b"\n", "line 3 has 10,001 characters, .*set `long_lines` to skip"),
        (b"emma\n" + b"x" * 3_000_000, "line 2 has at least [0-9,]+ characters, more than 10,000"),
    ],
)
def test_the_error_for_a_file_that_is_not_a_list_gives_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    path = list_file(tmp_path, content)
    with pytest.raises(DataError, match=f"^{re.escape(str(path))}: .*{message}") as caught:
        read_lines(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_lines(tmp_path / "missing.txt")
    with pytest.raises(DataError, match="is a folder"):
        read_lines(tmp_path)

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "secret.txt").write_text("emma")
    monkeypatch.setattr(Path, "open", denied)  # root may read any file, whatever its mode
    with pytest.raises(DataError, match="no permission"):
        read_lines(tmp_path / "secret.txt")


def test_whitespace_does_not_make_a_line_too_long(tmp_path: Path) -> None:
    lines, report, _ = read_lines(list_file(tmp_path, b"emma" + b" " * 600_000 + b"\n" + b"\t" * 300_000 + b"\nava"))
    assert (list(lines), report.blank) == (["emma", "ava"], 1)


def test_memory_is_a_small_multiple_of_the_file(tmp_path: Path) -> None:
    path = list_file(tmp_path, "".join(f"name {i * 7919 % 200_003:06d}\n" for i in range(200_000)).encode())
    tracemalloc.start()
    try:
        lines, report, _ = read_lines(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert len(lines) == report.distinct == 200_000
    assert peak < 6 * path.stat().st_size


def test_a_path_that_is_too_long_is_a_wavemore_error(tmp_path: Path) -> None:
    with pytest.raises(WavemoreError):
        read_lines(tmp_path / ("x" * 5000))
