"""The documentation site: it is built without a warning, its commands run, and its outputs are what they print."""

import contextlib
import doctest
import io
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import wavemore as wm
from wavemore.cli import main
from wavemore.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
WRITTEN = ["index.md", "models.md", *(f"commands/{name}.md" for name in COMMANDS)]
Script = Callable[[str], ModuleType]


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def test_the_site_is_built_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="needs the extra docs: pip install -e '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    site = tmp_path / "site"
    for name in COMMANDS:
        assert f"wavemore {name}" in (site / "commands" / f"{name}.html").read_text(encoding="utf-8")
    for page in (ROOT / "docs" / "studies").glob("*.md"):
        assert (site / "studies" / f"{page.stem.replace('README', 'index')}.html").is_file()
    training = (site / "reference" / "training.html").read_text(encoding="utf-8")
    assert 'id="wavemore.engine.fit.fit"' in training
    assert "&gt;&gt;&gt;" in training
    assert (site / "results.html").is_file()
    for page in site.rglob("*.html"):
        outside = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text(encoding="utf-8")
        )
        assert not outside, f"{page.name} fetches from elsewhere"


def test_outputs_are_what_the_commands_print(script: Script) -> None:
    pages = script("pages")
    made = {}
    with pages.workplace():
        for name in pages.PAGES:
            old = (DOCS / f"{name}.md").read_text(encoding="utf-8")
            made[name] = pages.written(old)
            assert pages.differences(old, made[name]) == [], f"{name}.md is stale: run `python scripts/pages.py`"
    index, scaling = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("index", "scaling"))
    assert pages.PICTURE.read_text(encoding="utf-8") == pages.terminal(index), "run `python scripts/pages.py`"
    assert scaling == pages.threads(scaling), "run `python scripts/pages.py`"


def test_every_command_has_a_page_with_its_flags(script: Script) -> None:
    assert {f"commands/{name}" for name in COMMANDS} == set(script("pages").PAGES) - {"index"}
    for name in COMMANDS:
        assert any(f"$ wavemore {name} --help\n" in block for block in blocks(f"commands/{name}.md", "console"))


def test_a_changed_output_is_found_and_another_machine_is_not(script: Script) -> None:
    pages = script("pages")
    page = "```console\n$ wavemore log\nname  val\na  1.5 ± 0.1 *  1 min 2 s\n$ wavemore sample -n 1\nanna\n```\n"
    assert pages.differences(page, page.replace("1.5 ±", "12.25  ±").replace("1 min 2 s", "3.1 s")) == []
    assert pages.differences(page, page.replace("anna", "bo")) == []
    assert pages.differences(page, page.replace("name  val", "name  loss")) == [("name val", "name loss")]
    assert pages.differences(page, page.replace("anna", "anna\nbo"))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    lines = list(wm.load("names").train.lines)[:300]
    (folder / "list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sentence = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while.\n"
    (folder / "text.txt").write_text(sentence * 60, encoding="utf-8")
    assert main(["train", str(folder / "list.txt"), "--steps", "5", "--run", str(folder / "runs" / "list-0")]) == 0
    return folder


@pytest.mark.parametrize("page", WRITTEN)
def test_the_commands_of_a_page_run(page: str, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    commands = [line.partition("#")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    for command in commands:
        if not command.startswith("wavemore ") or command.startswith("wavemore bench"):  # which takes half an hour
            continue
        words, _, file = command.partition(" < ")
        out = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(out))
            if file:
                monkeypatch.setattr("sys.stdin", stack.enter_context(Path(file).open(encoding="utf-8")))
            assert main(shlex.split(words)[1:]) == 0, command
        assert out.getvalue().strip(), command


def test_the_python_of_the_first_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("index.md", "python")
    exec(compile(code.replace('"epochs": 1', '"epochs": 0.1'), "index.md", "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) == 10


def test_every_public_name_is_in_the_reference_and_documented(script: Script) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    site = script("site_hooks")
    assert set(wm.__all__) - site.referenced() == set()
    assert list(site.undocumented(wm)) == []


def test_what_is_missing_is_found(script: Script, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    site = script("site_hooks")

    class Bare:
        def method(self) -> None: ...

    package: Any = SimpleNamespace(__all__=["Bare"], Bare=Bare)
    assert list(site.undocumented(package)) == ["Bare", "Bare.method"]
    assert site.relinked("[a](nowhere.md)", "docs/a.md", "a.md", "") == "[a](nowhere.md)"
    assert "docs/a.md links to nowhere.md, which is not there" in caplog.text
    assert site.notebooks(tmp_path) == "There are none yet."
    cells = [{"cell_type": "markdown", "source": ["# A title\n", "\n", "First."]}]
    (tmp_path / "1.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    assert site.notebooks(tmp_path) == "### [A title](../notebooks/1.ipynb)\n\nFirst.\n"


@pytest.mark.parametrize("name", ["pages", "site_hooks"])
def test_the_examples_of_the_scripts(name: str, script: Script) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    found = doctest.testmod(script(name))
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_of_docstrings_become_blocks(script: Script) -> None:
    pytest.importorskip("griffe", reason="needs the extra docs: pip install -e '.[docs]'")
    fenced = script("site_docstrings").fenced
    assert fenced("Add.\n\n>>> 1 + 1\n2\n\nMore.") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."
    assert fenced(">>> 1\n1") == "```pycon\n>>> 1\n1\n```"
    assert fenced("No example.") == "No example."
