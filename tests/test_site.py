"""The documentation: the site builds without a warning, and its commands print what the pages show."""

import contextlib
import doctest
import gzip
import io
import json
import re
import shlex
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

import wavemore as wm
from wavemore.cli import main
from wavemore.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
Script = Callable[[str], ModuleType]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.docs
def test_the_site_builds_without_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("material", "mkdocstrings_handlers.python"):
        pytest.importorskip(package, reason="needs the extra docs: pip install -e '.[docs]'")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    build(load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path / "site"), strict=True))
    site = tmp_path / "site"
    for name in COMMANDS:
        assert f"wavemore {name}" in (site / "commands" / f"{name}.html").read_text(encoding="utf-8")
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        assert "The question:" in (site / "notebooks" / f"{path.stem}.html").read_text(encoding="utf-8")
        assert (site / "notebooks" / path.name).is_file()
    training = (site / "reference" / "training.html").read_text(encoding="utf-8")
    assert 'id="wavemore.engine.fit.fit"' in training
    assert "&gt;&gt;&gt;" in training
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', text)
        assert not fetched, f"{page.name} fetches from elsewhere"


@pytest.mark.slow
@pytest.mark.docs
def test_pages_show_what_the_commands_print(script: Script) -> None:
    pages = script("pages")
    with pages.workplace():
        for name in pages.PAGES:
            old = (DOCS / f"{name}.md").read_text(encoding="utf-8")
            assert pages.differences(old, pages.renewed(old)) == [], (
                f"{name}.md is stale: run `python scripts/pages.py`"
            )


def test_pictures_and_tables_of_the_pages_are_fresh(script: Script) -> None:
    pages = script("pages")
    index, scaling = ((DOCS / f"{name}.md").read_text(encoding="utf-8") for name in ("index", "scaling"))
    assert pages.PICTURE.read_text(encoding="utf-8") == pages.terminal(index), "run `python scripts/pages.py`"
    assert scaling == pages.with_tables(scaling), "run `python scripts/pages.py`"


def test_every_command_has_a_page_with_its_flags(script: Script) -> None:
    assert {f"commands/{name}" for name in COMMANDS} == set(script("pages").PAGES) - {"index"}
    for name in COMMANDS:
        shown = blocks(f"docs/commands/{name}.md", "console")
        assert any(f"$ wavemore {name} --help\n" in block for block in shown)


def test_a_changed_output_is_found_and_another_machine_is_not(script: Script) -> None:
    pages = script("pages")
    page = "```console\n$ wavemore log\nname  val\na  1.5 ± 0.1 *  1 min 2 s\n$ wavemore sample -n 1\nanna\n```\n"
    assert pages.differences(page, page.replace("1.5 ±", "12.25  ±").replace("1 min 2 s", "3.1 s")) == []
    assert pages.differences(page, page.replace("anna", "bo")) == []
    assert pages.differences(page, page.replace("name  val", "name  loss")) == [("name val", "name loss")]
    assert pages.differences(page, page.replace("anna", "anna\nbo"))


@pytest.mark.slow
@pytest.mark.docs
def test_the_commands_of_the_documentation_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each distinct command of README.md and docs/, once, in the order of the pages."""
    monkeypatch.chdir(tmp_path)
    lines = list(wm.load_corpus("names").train.lines)[:300]
    Path("list.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = (f"{line},{'fi' if number % 2 else 'de'},{number}\n" for number, line in enumerate(lines))
    table = "name,country,count\n" + "".join(rows)
    for name in ("people.csv", "others.csv"):
        Path(name).write_text(table, encoding="utf-8")
    users = "".join(json.dumps({"user": {"name": line}, "text": line * 2}) + "\n" for line in lines)
    Path("tweets.jsonl.gz").write_bytes(gzip.compress(users.encode()))
    Path("lists").mkdir()
    Path("lists/more.txt").write_text("\n".join(lines[:200]) + "\n", encoding="utf-8")
    Path("poems.txt").write_text("---\n".join(f"{a}\n{b}\n" for a, b in pairwise(lines)), encoding="utf-8")
    sentence = "The quick brown fox jumps over the lazy dog, and then it sleeps for a while.\n"
    Path("text.txt").write_text(sentence * 60, encoding="utf-8")
    pages = ["README.md", "docs/index.md", "docs/models.md", *(f"docs/commands/{name}.md" for name in COMMANDS)]
    shown = [
        line.partition(" #")[0].strip() for page in pages for block in blocks(page, "sh") for line in block.split("\n")
    ]
    commands = [command for command in dict.fromkeys(shown) if command.startswith("wavemore ")]
    assert len(commands) > 20
    for command in commands:
        if "makemore-names" in command or "tinyshakespeare" in command:  # a download
            continue
        words, _, file = command.partition(" < ")
        words, _, _ = words.partition(" > ")
        out = io.StringIO()
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.redirect_stdout(out))
            if file:
                monkeypatch.setattr("sys.stdin", stack.enter_context(Path(file).open(encoding="utf-8")))
            assert main(shlex.split(words)[1:]) == 0, command
        assert out.getvalue().strip(), command


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_python_of_the_first_pages_runs(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(page, "python")
    exec(compile(code.replace("epochs=1", "epochs=0.1"), page, "exec"), {})
    assert len(capsys.readouterr().out.splitlines()) >= 10


def test_the_examples_of_the_idea_in_pictures() -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
    examples = "\n".join(blocks("docs/one-tree.md", "pycon"))
    result = runner.run(parser.get_doctest(examples, {}, "one-tree.md", None, 0))
    assert result.attempted > 5
    assert result.failed == 0


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md"])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    targets = re.findall(r"\]\((?!http)([^)#]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_example_of_a_new_model_is_the_tested_one() -> None:
    source = (ROOT / "tests" / "nn" / "test_new_model.py").read_text(encoding="utf-8")
    example = source.partition("# new model: begin\n")[2].partition("# new model: end")[0]
    assert blocks("CONTRIBUTING.md", "python") == [f"{example.strip()}\n"]


def test_every_public_name_is_in_the_reference_and_documented(script: Script) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    site = script("site_hooks")
    assert set(wm.__all__) - site.referenced() == {"__version__"}
    assert list(site.undocumented(wm)) == []


def test_missing_docstrings_and_dead_links_are_found(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    site = script("site_hooks")

    class Bare:
        def method(self) -> None: ...

    package: Any = SimpleNamespace(__all__=["Bare"], Bare=Bare)
    assert list(site.undocumented(package)) == ["Bare", "Bare.method"]
    assert site.relinked("[a](nowhere.md)", "docs/a.md", "a.md", "") == "[a](nowhere.md)"
    assert "docs/a.md links to nowhere.md, which does not exist" in caplog.text


@pytest.mark.parametrize("name", ["pages", "site_hooks"])
def test_the_examples_of_the_scripts(name: str, script: Script) -> None:
    pytest.importorskip("mkdocs", reason="needs the extra docs: pip install -e '.[docs]'")
    result = doctest.testmod(script(name))
    assert result.attempted > 0
    assert result.failed == 0


def test_examples_of_docstrings_become_blocks(script: Script) -> None:
    pytest.importorskip("griffe", reason="needs the extra docs: pip install -e '.[docs]'")
    fenced = script("site_docstrings").fenced
    assert fenced("Add.\n\n>>> 1 + 1\n2\n\nMore.") == "Add.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nMore."
    assert fenced("No example.") == "No example."
