"""Archives, tables and JSON are recognised, and the command that is given makes a list of them."""

import bz2
import gzip
import io
import json
import lzma
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from wavemore.errors import DataError
from wavemore.text.detect import detect
from wavemore.text.reading import read_lines

NAMES = ["Anna", "Bo", "Cleo", "Zoë", "Dora May"]
LIST = "".join(f"{name}\n" for name in NAMES).encode()


def zipped(*files: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            archive.writestr(file, LIST)
    return buffer.getvalue()


def tarred() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo("names.txt")
        info.size = len(LIST)
        archive.addfile(info, io.BytesIO(LIST))
    return buffer.getvalue()


ARCHIVES = {
    "gunzip": gzip.compress(LIST),
    "bunzip2": bz2.compress(LIST),
    "xz": lzma.compress(LIST),
    "tar": tarred(),
    "unzip": zipped("names.txt"),
}
TABLES = {
    "comma": "name,count\n" + "".join(f"{name},{number}\n" for number, name in enumerate(NAMES)),
    "semicolon, number first": "".join(f"{number};{name}\n" for number, name in enumerate(NAMES)),
    "quoted": 'name,city\n"Anna","Paris, Texas"\n' + "".join(f'"{name}","Rome"\n' for name in NAMES[1:]),
    "tabs": "name\tyear\n" + "".join(f"{name}\t19{number}0\n" for number, name in enumerate(NAMES)),
    "tabs, no header": "".join(f"{name}\tRome\r\n" for name in NAMES),
    "bars": "".join(f"{name}|x|{number}\n" for number, name in enumerate(NAMES)),
    "uniq -c": "".join(f"{number:7} {name}\n" for number, name in enumerate(NAMES)),
    "JSON lines": "".join(json.dumps({"n": number, "name": name}) + "\n" for number, name in enumerate(NAMES)),
    "JSON lines of lists": "".join(json.dumps([number, name]) + "\n\n" for number, name in enumerate(NAMES)),
    "JSON array": json.dumps(NAMES, indent=1),
    "JSON array of objects": json.dumps([{"id": name[0], "count": 3} for name in NAMES]).replace('"id"', '"the id"'),
}


def run(advice: str, folder: Path) -> list[str]:
    command = advice.partition("one item per line: ")[2].partition("; or set")[0]
    subprocess.run(["sh", "-c", command], cwd=folder, check=True)
    return [line.strip() for line in (folder / "my-list.txt").read_text(encoding="utf-8").splitlines() if line.strip()]


@pytest.mark.parametrize("tool", ARCHIVES)
@pytest.mark.parametrize("file", ["my.data", "./my folder/my.txt.x"])
def test_an_archive_is_answered_with_a_command_that_unpacks_it(tmp_path: Path, tool: str, file: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(ARCHIVES[tool])
    with pytest.raises(DataError, match=rf"one item per line: {tool} ") as caught:
        read_lines(path)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(DataError, match="one item per line"):
        detect(path)
    if shutil.which(tool):
        assert run(str(caught.value), tmp_path) == NAMES


@pytest.mark.parametrize("kind", TABLES)
def test_a_table_is_answered_with_a_command_that_makes_a_list_of_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "my.data"
    path.write_bytes(TABLES[kind].encode())
    detected = detect(path)
    assert detected.other is not None
    assert detected.other.literal
    expected = [name[0] for name in NAMES] if kind == "JSON array of objects" else NAMES
    assert run(detected.other.advice(str(path)), tmp_path) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Paris, Texas\nRome, Georgia\nReno, Nevada\nTroy, Ohio\n" * 5,
        "Dogs, cats, and birds\nThe quick, the dead\nAlone\n" * 5,
        "Roses are red,\nViolets are blue,\nSugar is sweet,\nAnd so are you,\n" * 5,
        "3,14\n2,71\n1,41\n1,73\n" * 5,
        "2,4-dinitrophenol\nbenzene\n1,3,5-triazine\n" * 5,
        "10 Downing Street\n221 Baker Street\n12 Grimmauld Place\n" * 5,
        "1. Anna\n2. Bo\n3. Cleo\n",
        "     1 thing\n     10 things\n     100 things\n" * 3,
        '[Event "Club"]\n[White "A"]\n\n1. e4 e5\n' * 5,
        "[draft] Anna\n[final] Bo\n[draft] Cleo\n",
        '["Hello"] she said.\nAnd then, again.\n' * 5,
        "{curly}\n{braces}\n{here}\n",
        "def f(x, y):\n    return x, y\n\nprint(f(1, 2))\n" * 5,
        "int f(int a, int b) {\n  return a;\n}\n" * 5,
        "  anna\t\n  bo\t\n  cleo\t\n" * 5,
        "C1CC1\nCC(=O)O\nc1ccccc1\n" * 5,
        "a\nb\n",
        "[" * 5_000,
        '{"a": ' * 5_000,
        "1" * 10_000 + ",\n" * 3,
        "\n \n.",
    ],
)
def test_lists_and_texts_are_no_tables(tmp_path: Path, text: str) -> None:
    path = tmp_path / "my.data"
    path.write_text(text, encoding="utf-8")
    assert detect(path).other is None


def test_an_office_document_has_no_command(tmp_path: Path) -> None:
    path = tmp_path / "names.xlsx"
    path.write_bytes(zipped("[Content_Types].xml", "sheet.xml"))
    with pytest.raises(
        DataError, match=r"this is an office document; give a plain list.*: export its items as plain text"
    ):
        read_lines(path)


def test_names_of_files_cannot_run_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("-f;touch pwned;$(touch pwned).json")
    path.write_text(json.dumps([{'"; touch pwned #': "x", "name": name} for name in NAMES]), encoding="utf-8")
    detected = detect(path)
    assert detected.other is not None
    command = detected.other.advice(str(path)).partition("one item per line: ")[2].partition("; or set")[0]
    subprocess.run(["sh", "-c", command], check=True)
    assert not Path("pwned").exists()
    made = [file for file in Path().iterdir() if file != path]
    assert [file.read_text(encoding="utf-8").split("\n")[:-1] for file in made] == [NAMES]
