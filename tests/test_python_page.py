"""docs/python.md and a user's script: what they show runs, and has types."""

import doctest
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
FIRST, *BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
EXTRAS = ("pytorch_lightning", "accelerate", "mlflow", "wandb", "torchmetrics")
"""Packages that wavemore does not install; their examples run where they are."""
SCRIPT = ROOT / "tests" / "user_script.py"


def package_of(block: str) -> str:
    """The package, of those that may be missing, that an example imports."""
    return next((name for name in EXTRAS if re.search(rf"^(import|from) {name}\b", block, re.MULTILINE)), "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder in which the first example has been run, and its names."""
    folder = tmp_path_factory.mktemp("page")
    lines = list(wm.load_corpus("names").train.lines)[:1_500]
    (folder / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run(FIRST, names)
    return folder, names


def run(block: str, names: dict[str, Any]) -> None:
    small = block.replace('load_corpus("names")', 'load_corpus("list.txt")').replace("epochs=1)", "epochs=0.3)")
    exec(compile(small.replace("steps=100)", "steps=10)"), "docs/python.md", "exec"), names)


@pytest.mark.slow
@pytest.mark.docs
def test_the_examples_run(place: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """In one test, as an example uses the names of those before it."""
    folder, names = place
    monkeypatch.chdir(folder)
    names = dict(names)
    for block in BLOCKS:
        if not package_of(block):
            run(block, names)


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.filterwarnings("ignore")  # those of other packages
@pytest.mark.parametrize("block", [block for block in BLOCKS if package_of(block)], ids=package_of)
def test_the_examples_with_other_packages_run(
    block: str, place: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, names = place
    pytest.importorskip(package_of(block))
    monkeypatch.chdir(folder)
    run(block, dict(names))


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.parametrize("name", ["text", "models", "training", "runs", "layers"])
def test_the_examples_of_the_reference(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(examples(name), {}, name, None, 0))
    assert result.failed == 0
    assert result.attempted > 5 or name == "layers"


def examples(name: str) -> str:
    """The examples on a page of the reference."""
    page = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
    return "\n".join(re.findall(r"```pycon\n(.*?)```", page, flags=re.DOTALL))


def test_every_public_name_has_an_example() -> None:
    shown = " ".join(examples(path.stem) for path in (ROOT / "docs" / "reference").glob("*.md"))
    without = [
        name
        for name in wm.__all__
        if ">>>" not in (getattr(wm, name).__doc__ or "") and not re.search(rf"\bwm\.{name}\b", shown)
    ]
    assert without == ["__version__"]


def test_the_script_of_a_user_runs(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("user_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.main(tmp_path)
    assert found[0].startswith("LanguageModel(lstm, ")
    assert [line.partition(" ")[0] for line in found[-3:]] == ["there", "`hidden`", "the"]


@pytest.mark.slow
def test_the_script_of_a_user_has_types_for_mypy(tmp_path: Path) -> None:
    script = shutil.copy(SCRIPT, tmp_path)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=environment())
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_the_script_of_a_user_has_types_for_pyright(tmp_path: Path) -> None:
    pytest.importorskip("pyright")
    script = shutil.copy(SCRIPT, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(
        f'{{"typeCheckingMode": "strict", "extraPaths": ["{ROOT / "src"}"], "pythonVersion": "3.11"}}'
    )
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable, script]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def environment() -> dict[str, str]:
    import os

    return {**os.environ, "MYPYPATH": str(ROOT / "src")}
