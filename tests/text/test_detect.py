import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import wavemore as wm
from wavemore.errors import DataError
from wavemore.text.detect import SAMPLE_LENGTH, detect, detect_in_text
from wavemore.text.layout import Wanted
from wavemore.text.reading import read_lines
from wavemore.text.text_corpus import read_text_corpus

VERSE = """Tell me not, in mournful numbers,
Life is but an empty dream!
For the soul is dead that slumbers,
And things are not what they seem.

"""
PROSE = """It was a bright cold day in spring and the clocks
of the town had all been stopped, as nobody could
remember a time when they had been of any use to the
people there. He walked on
"""
CODE = "def f(x):\n    if x:\n        return x\n    return f(x + 1)\n"


@pytest.mark.parametrize(
    "text",
    [
        VERSE * 10,
        VERSE.replace("\n\n", "\n") * 10,
        PROSE * 10,
        PROSE.lower().replace("spring", "spring, ") * 10,
        CODE * 10,
        CODE.replace("    ", "\t") * 10,
        "one endless line " * 1_000,
        (PROSE.replace("\n", " ") * 3 + "\n") * 5,
        "天地玄黃。宇宙洪荒。" * 30 + "\n" + "日月盈昃。辰宿列張。" * 40,
        ("天地玄黃。宇宙洪荒。" * 30 + "\n") * 20,
        "Leek soup\n- 2 cups of leek\n- 1 onion\nMix leek with onion. Boil it.\n\n" * 20,
    ],
    ids=[
        *("verse", "verse without blank lines", "wrapped prose", "wrapped lower-case prose", "code", "code with tabs"),
        *("one line", "one paragraph per line", "two Chinese paragraphs", "Chinese paragraphs", "recipes"),
    ],
)
def test_continuous_text_is_detected(text: str) -> None:
    assert detect_in_text(text).format == "text"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "emma",
        "\n".join(wm.load_corpus("names").train.lines[:200]),
        "\n\n".join(wm.load_corpus("names").train.lines[:200]),
        "new york\nsan francisco\nlos angeles\n\nrome\n" * 9,
        "".join(f"      {number} item\n" for number in range(99)),
        "".join(f"The {number}th thing that one can say of it.\n" for number in range(99)),
        "the cat\tle chat\n" * 50,
        "anna\n" * 20 + "x" * 20_000,
        "".join(f"{' ' * (number % 3)}anna {number}\n" for number in range(99)),
        "".join(f"{'    ' * (number % 2)}new york {number}\n" for number in range(99)),
        "".join(f"{'  ' * (number % 2)}* buy {number} eggs\n" for number in range(99)),
        "".join(f"{'MKVLAAGICQWERTYHNDSF' * 30}{number}\n" for number in range(20)),
        "".join(f"1. e4 e5 2. Nf3 Nc6 3. Bb5 a6 {number}. Ba4 Nf6\n" for number in range(99)),
        "".join(f"how to make the best tea {number}\n" for number in range(99)),
        "".join(f"How to make Tea {number}\n" + "\n" * (number % 12 == 0) for number in range(99)),
        "".join(f"How to make Tea {number}\n\n" for number in range(99)),
        "\n\n\n" + "".join(f"How to make Tea {number}\n" for number in range(12)) + "\n\n",
    ],
    ids=[
        *("empty", "blank", "one", "names", "spaced names", "places", "counted", "sentences", "pairs", "one long line"),
        *(
            "stray spaces",
            "stray indentation",
            "bullets",
            "proteins",
            "chess",
            "lower-case queries",
            "titles in groups",
        ),
        *("spaced titles", "blank lines around"),
    ],
)
def test_lists_and_unclear_cases_are_detected_as_lists(text: str) -> None:
    assert detect_in_text(text).format == "lines"


def test_only_the_beginning_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes((VERSE * (SAMPLE_LENGTH // 100)).encode() + b"\xff")
    assert detect(path).format == "text"


def test_a_wrong_byte_at_the_beginning_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes((VERSE * 5).encode() + b"\xff")
    with pytest.raises(DataError, match="byte 0xff at offset"):
        detect(path)


def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DataError):
            detect(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize("read", [detect, read_lines, read_text_corpus])
def test_pipes_and_devices_are_refused_unread(tmp_path: Path, read: Callable[..., object]) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path / "link", "a pipe"), (Path("/dev/zero"), "a device")):
        with pytest.raises(DataError, match=f"^{path}: this is {kind}; save the data to a file, and give that$"):
            read(path)


def test_shakespeare_and_names(shared_data: Path) -> None:
    assert detect(shared_data / "tinyshakespeare.txt").format == "text"
    assert detect(shared_data / "names.txt").format == "lines"


def test_long_rows_of_which_the_last_is_cut_off_are_recognised(tmp_path: Path) -> None:
    text, numbers = "all " * 1_000, range(100)
    rows = [json.dumps({"user": {"name": f"name {number}"}, "text": text}) for number in numbers]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    (tmp_path / "rows.csv").write_text("name,text\n" + "".join(f"name {number},{text}\n" for number in numbers))
    for file, column in (("rows.jsonl", "user.name"), ("rows.csv", "name")):
        assert (tmp_path / file).stat().st_size > SAMPLE_LENGTH
        recognized = detect(tmp_path / file, wanted=Wanted(column)).recognized
        assert recognized is not None
        assert recognized.layout is not None
