"""Whatever bytes a file holds, it is read, or one line says what to do, and doing it never leads back."""

import codecs
import re
import subprocess
import unicodedata
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wavemore.errors import DataError
from wavemore.text.cleaning import Cleaning
from wavemore.text.encoding import suggest_encoding
from wavemore.text.reading import read_lines

NAMES = "Zoë\nJosé\nAnaïs\nit\u2019s\n"
ENCODINGS = [
    "utf-8",
    "utf-8-sig",
    "utf-16",
    "utf-16-le",
    "utf-16-be",
    "utf-32",
    "utf-32-le",
    "utf-32-be",
    "cp1252",
    "cp1251",
]


def read(path: Path, encoding: str = "auto") -> tuple[list[str], str] | str:
    """Return the lines and their encoding, or the message of the error."""
    try:
        lines, _, reader = read_lines(path, encoding, Cleaning("nfc"))
    except DataError as error:
        return str(error)
    return list(lines), reader.encoding


def advised(message: str) -> str | None:
    match = re.search(r"set `encoding` to (?:that of the file, for example )?([\w-]+)$", message)
    return match[1] if match else None


unusual = st.sampled_from(
    [b"a", b"\n", b"\r", b"\0", b"\x92", b"\x81", b"\xe9", "é".encode(), b"\xff\xfe", b" ", b"a\0b\0"]
)
contents = st.lists(unusual | st.binary(max_size=4), max_size=30).map(b"".join) | st.builds(
    lambda text, encoding: text.encode(encoding, "ignore"), st.text(max_size=40), st.sampled_from(ENCODINGS)
)


@given(contents)
@example("Zoë\n".encode("utf-16-le") + b"\n")
@example(b"it\x92s \x81")
@example(codecs.BOM_UTF16_LE + b"a")
@example(codecs.BOM_UTF32_BE + b"\0\0\0a\0")
def test_any_bytes_are_read_or_the_advice_leads_to_an_end(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "list.txt"
        path.write_bytes(content)
        result, tried = read(path), ["auto", "utf-8"]
        while isinstance(result, str) and (encoding := advised(result)):
            assert encoding not in tried
            assert len(result.splitlines()) == 1
            tried.append(encoding)
            result = read(path, encoding)
        if isinstance(result, str):
            assert len(tried) == 2 or "not valid" not in result, "what was advised can be decoded"
        else:
            text = content.decode(result[1]).removeprefix("\ufeff")
            lines = [line.strip() for line in re.split("\r\n|\r|\n", text)]
            assert result[0] == [unicodedata.normalize("NFC", line) for line in lines if line]


@pytest.mark.parametrize(
    ("encoding", "advice"),
    [
        *((encoding, None) for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32")),
        *((encoding, encoding) for encoding in ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "cp1252")),
    ],
)
def test_the_encoding_is_recognised(tmp_path: Path, encoding: str, advice: str | None) -> None:
    path = tmp_path / "list.txt"
    path.write_text(NAMES, encoding=encoding)
    result = read(path)
    if advice is not None:
        assert isinstance(result, str)
        assert advised(result) == advice
        result = read(path, advice)
    assert result == (NAMES.split(), advice or encoding.removesuffix("-sig"))


@pytest.mark.parametrize("given_encoding", ["utf-8", "latin-1", "cp1252", "utf-16", "utf-16-be", "ascii"])
def test_a_wrong_encoding_is_answered_with_the_right_one(tmp_path: Path, given_encoding: str) -> None:
    path = tmp_path / "list.txt"
    path.write_text("Zoë\nAnna\n天\n上海\n", encoding="utf-16-le")
    result = read(path, given_encoding)
    if isinstance(result, str):
        assert advised(result) == "utf-16-le"


@pytest.mark.parametrize(
    ("content", "failed", "suggestion"),
    [
        (b"Zo\xeb", "utf-8", "latin-1"),
        (b"it\x92s", "utf-8", "cp1252"),
        (b"it\x92s \x81", "utf-8", "latin-1"),
        ("Zoë".encode(), "ascii", "utf-8"),
        ("Zoë".encode(), "utf-16", "utf-8"),
        ("天\n".encode("utf-16-le"), "utf-8", "utf-16-le"),
        ("天地玄黃" * 30 + "\n", "utf-8", "utf-16-be"),
        (b"\x7fELF\0\0\1\0\0\2", "utf-8", None),
        (bytes(range(256)), "utf-8", None),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "utf-8", None),
    ],
)
def test_an_encoding_is_suggested_that_fits(content: bytes | str, failed: str, suggestion: str | None) -> None:
    data = content.encode("utf-16-be") if isinstance(content, str) else content
    assert suggest_encoding(data, failed) == suggestion


def test_a_few_damaged_bytes_in_utf8_are_left_out_by_the_command_that_is_given(tmp_path: Path) -> None:
    path = tmp_path / "my list.txt"
    path.write_bytes("Zoë\nJosé\nAnaïs\n".encode() + b"Ren\xe9\n")
    result = read(path)
    assert isinstance(result, str)
    command = result.partition("leave such bytes out: ")[2]
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False)  # iconv says that it left something out
    assert read(tmp_path / "corrected.txt") == (["Zoë", "José", "Anaïs", "Ren"], "utf-8")


def test_a_text_with_a_zero_byte_is_no_binary_file(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(b"".join(b"name %d\n" % number for number in range(50)) + b"\0\n")
    lines, report, _ = read_lines(path)
    assert lines[50] == "\0"
    assert [str(found) for found in report.invisible] == ["U+0000 NULL once in line 51"]
