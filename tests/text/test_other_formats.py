"""Archives and documents are recognised, and the command that is given makes a list of them."""

import io
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
    "tar": tarred(),
    "unzip": zipped("names.txt"),
}


def run(advice: str, folder: Path) -> list[str]:
    command = advice.partition("one item per line: ")[2]
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


def test_an_office_document_has_no_command(tmp_path: Path) -> None:
    path = tmp_path / "names.xlsx"
    path.write_bytes(zipped("[Content_Types].xml", "sheet.xml"))
    with pytest.raises(
        DataError, match=r"this is an office document; give a plain list.*: export its items as plain text or CSV"
    ):
        read_lines(path)


def test_names_of_files_cannot_run_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("-f;touch pwned;$(touch pwned).zip")
    path.write_bytes(zipped("names.txt"))
    with pytest.raises(DataError, match="one item per line") as caught:
        read_lines(path)
    if shutil.which("unzip"):
        subprocess.run(["sh", "-c", str(caught.value).partition("one item per line: ")[2]], check=True)
        made = [file for file in Path().iterdir() if file != path]
        assert [file.read_text(encoding="utf-8").split("\n")[:-1] for file in made] == [NAMES]
    assert not Path("pwned").exists()
