"""What the documentation site has beside docs/*.md, as hooks of MkDocs: `make docs`.

- RESULTS.md, LOG.md, CHANGELOG.md and CONTRIBUTING.md of the repository are pages too, each written once.
- `commands/*.md` in the navigation stands for all such pages: those of the commands in the order of --help.
- The page of the notebooks lists those that there are.
- A link to a file of the repository that is no page leads to the repository, where `repo_url` says it is, and is
  its name elsewhere; one to a file that is not there is a warning, and so is a public name without a docstring or
  that is on no page. Warnings let the strict build fail.
"""

import inspect
import json
import logging
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import wavemore
from wavemore.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
OF_THE_REPOSITORY = {
    "RESULTS.md": "results.md",
    "LOG.md": "log.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files of the repository that are pages, and their places on the site."""
NOTEBOOKS = "<!-- the notebooks -->"
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]\[]*)\]\((?P<target>(?!https?:|#|mailto:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)

log = logging.getLogger("mkdocs.plugins.wavemore")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write out the navigation, and take the repository's address from WAVEMORE_REPOSITORY, where that is set."""
    config.nav = [entry for item in config.nav or [] for entry in _written_out(item)]
    config.repo_url = os.environ.get("WAVEMORE_REPOSITORY") or config.repo_url
    for name in undocumented(wavemore):
        log.warning("%s has no docstring", name)
    for name in sorted(set(wavemore.__all__) - referenced()):
        log.warning("wavemore.%s is on no page of docs/reference/", name)
    return config


def _written_out(item: Any) -> list[Any]:
    if isinstance(item, dict):
        [(title, inside)] = item.items()
        if isinstance(inside, list):
            return [{title: [entry for one in inside for entry in _written_out(one)]}]
        pages = _written_out(inside)
        return [item] if pages == [inside] else [{title: pages}]
    if not item.endswith("*.md"):
        return [item]
    folder = item.removesuffix("*.md")
    names = sorted(path.stem for path in (DOCS / folder).glob("*.md") if path.name != "README.md")
    if folder == "commands/":
        names.sort(key=[*COMMANDS].index)
        return [{name: f"{folder}{name}.md"} for name in names]
    return [{name.replace("-", " "): f"{folder}{name}.md"} for name in names]


def undocumented(package: ModuleType) -> Iterator[str]:
    """Public names, and public members of public classes, that have no docstring, not even an inherited one."""
    for name in package.__all__:
        found = getattr(package, name)
        if not (inspect.isclass(found) or inspect.isroutine(found) or inspect.ismodule(found)):
            continue
        if not inspect.getdoc(found):
            yield name
        if inspect.isclass(found):
            for member, value in vars(found).items():
                if member.startswith("_") or not (inspect.isroutine(value) or isinstance(value, property)):
                    continue
                if not inspect.getdoc(getattr(found, member)):
                    yield f"{name}.{member}"


def referenced() -> set[str]:
    """The public names that the pages of the reference show."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    return {name.rpartition(".")[2] for name in re.findall(r"^::: (wavemore\S*)$", pages, re.MULTILINE)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie elsewhere in the repository."""
    for source, place in OF_THE_REPOSITORY.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text, source, place, config.repo_url or "")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Let links out of docs/ lead where the site or the repository has it."""
    place = page.file.src_uri
    if place in OF_THE_REPOSITORY.values():
        return markdown
    text = re.sub(r"(\d) ± (\d)", "\\1\u00a0±\u00a0\\2", markdown.replace(NOTEBOOKS, notebooks()))
    return relinked(text, f"docs/{place}", place, config.repo_url or "")


def relinked(text: str, source: str, place: str, repository: str) -> str:
    """The text of a file `source` of the repository as that of the page `place`, with its links for there.

    >>> relinked("[log](../LOG.md#speed)", "docs/a.md", "a.md", "")
    '[log](log.md#speed)'
    >>> relinked("[records](../../records)", "docs/studies/a.md", "studies/a.md", "https://example.org/w")
    '[records](https://example.org/w/blob/HEAD/records)'
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match["words"], match["target"], match["anchor"] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            log.warning("%s links to %s, which is not there", source, target)
            return match[0]
        if path == "README.md":
            path = "docs/index.md"
        inside = OF_THE_REPOSITORY.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if inside is not None and not (ROOT / path).is_dir():
            return f"[{words}]({posixpath.relpath(inside, posixpath.dirname(place) or '.')}{anchor})"
        return f"[{words}]({repository}/blob/HEAD/{path}{anchor})" if repository else f"{words} (`{path}`)"

    pieces = CODE.split(text)
    return "".join(piece if number % 2 else LINK.sub(link, piece) for number, piece in enumerate(pieces))


def notebooks(folder: Path = ROOT / "notebooks") -> str:
    """A row a notebook, with its title and its first words."""
    rows = []
    for path in sorted(folder.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        text = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown")).strip()
        title, _, rest = text.partition("\n")
        first = " ".join(rest.strip().split("\n\n")[0].split())
        rows.append(f"### [{title.lstrip('# ')}](../notebooks/{path.name})\n\n{first}\n")
    return "\n".join(rows) or "There are none yet."
