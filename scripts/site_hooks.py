"""MkDocs hooks: what the documentation site has besides docs/*.md (`make docs`).

- RESULTS.md, LOG.md, CHANGELOG.md and CONTRIBUTING.md of the repository become pages.
- Each notebook becomes a page with its stored outputs, and a file to download.
- `commands/*.md` in the navigation means all pages of that folder; the commands are in the order of --help.
- A link to a repository file that is not a page leads to the repository if `repo_url` is set, and otherwise becomes
  the file's name. A link to a missing file is a warning, and so is a public name that has no docstring or is on no page
  of the reference. In the strict build warnings are errors.
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

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

import wavemore
from wavemore.cli.commands import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PAGES = {
    "RESULTS.md": "results.md",
    "LOG.md": "log.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    **{f"notebooks/{path.name}": f"notebooks/{path.stem}.md" for path in NOTEBOOKS},
}
"""Files of the repository outside docs/ that are pages, and their places on the site."""
NOTEBOOK_LIST = "<!-- the notebooks -->"
LINK = re.compile(r"(?<!!)\[(?P<words>[^\]\[]*)\]\((?P<target>(?!https?:|#|mailto:)[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)

log = logging.getLogger("mkdocs.plugins.wavemore")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Expand the navigation, and take the repository's address from WAVEMORE_REPOSITORY if that is set."""
    config.nav = [entry for item in config.nav or [] for entry in _expanded(item)]
    config.repo_url = os.environ.get("WAVEMORE_REPOSITORY") or config.repo_url
    for name in undocumented(wavemore):
        log.warning("%s has no docstring", name)
    for name in sorted(set(wavemore.__all__) - referenced() - {"__version__"}):
        log.warning("wavemore.%s is on no page of docs/reference/", name)
    return config


def _expanded(item: Any) -> list[Any]:
    """Replace `folder/*.md` in an entry of the navigation by the pages of that folder."""
    if isinstance(item, dict):
        [(title, content)] = item.items()
        if isinstance(content, list):
            return [{title: [entry for one in content for entry in _expanded(one)]}]
        pages = _expanded(content)
        return [item] if pages == [content] else [{title: pages}]
    if not item.endswith("*.md"):
        return [item]
    folder = item.removesuffix("*.md")
    if folder == "notebooks/":
        return [{title_of(path): f"{folder}{path.stem}.md"} for path in NOTEBOOKS]
    names = sorted(path.stem for path in (DOCS / folder).glob("*.md") if path.name != "README.md")
    if folder == "commands/":
        names.sort(key=[*COMMANDS].index)
        return [{name: f"{folder}{name}.md"} for name in names]
    return [{name.replace("-", " "): f"{folder}{name}.md"} for name in names]


def undocumented(package: ModuleType) -> Iterator[str]:
    """Yield public names, and public members of public classes, that have no docstring of their own or inherited."""
    for name in package.__all__:
        value = getattr(package, name)
        if not (inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value)):
            continue
        if not inspect.getdoc(value):
            yield name
        if inspect.isclass(value):
            for member, attribute in vars(value).items():
                if member.startswith("_") or not (inspect.isroutine(attribute) or isinstance(attribute, property)):
                    continue
                if not inspect.getdoc(getattr(value, member)):
                    yield f"{name}.{member}"


def referenced() -> set[str]:
    """Return the public names that the pages of the reference show."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "reference").glob("*.md"))
    return {name.rpartition(".")[2] for name in re.findall(r"^::: (wavemore\S*)$", pages, re.MULTILINE)}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages whose sources are outside docs/."""
    for source, place in PAGES.items():
        path = ROOT / source
        if path.suffix == ".ipynb":
            text, pictures = notebook_page(path)
            files.append(File.generated(config, source, content=path.read_bytes()))
            for name, content in pictures.items():
                files.append(File.generated(config, f"notebooks/{name}", content=content))
        else:
            text = path.read_text(encoding="utf-8")
        files.append(File.generated(config, place, content=relinked(text, source, place, config.repo_url or "")))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Adapt the links of a page of docs/, and fill in the list of notebooks."""
    place = page.file.src_uri
    if place in PAGES.values():
        return markdown
    text = re.sub(r"(\d) ± (\d)", "\\1\u00a0±\u00a0\\2", markdown.replace(NOTEBOOK_LIST, notebook_list()))
    return relinked(text, f"docs/{place}", place, config.repo_url or "")


def relinked(text: str, source: str, place: str, repository: str) -> str:
    """Adapt the links of the file `source` of the repository to its place on the site.

    >>> relinked("[log](../LOG.md#speed)", "docs/a.md", "a.md", "")
    '[log](log.md#speed)'
    >>> relinked("[records](../../records)", "docs/studies/a.md", "studies/a.md", "https://example.org/w")
    '[records](https://example.org/w/blob/HEAD/records)'
    """

    def link(match: re.Match[str]) -> str:
        words, target, anchor = match["words"], match["target"], match["anchor"] or ""
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if not (ROOT / path).exists():
            log.warning("%s links to %s, which does not exist", source, target)
            return match[0]
        if path == "README.md":
            path = "docs/index.md"
        page = PAGES.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
        if page is not None and not (ROOT / path).is_dir():
            return f"[{words}]({posixpath.relpath(page, posixpath.dirname(place) or '.')}{anchor})"
        return f"[{words}]({repository}/blob/HEAD/{path}{anchor})" if repository else f"{words} (`{path}`)"

    pieces = CODE.split(text)
    return "".join(piece if number % 2 else LINK.sub(link, piece) for number, piece in enumerate(pieces))


def notebook_page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown with its stored outputs, and its pictures by name."""
    text, resources = MarkdownExporter().from_notebook_node(nbformat.read(path, as_version=4))
    pictures = {f"{path.stem}_{name}": content for name, content in resources["outputs"].items()}
    for name in resources["outputs"]:
        text = text.replace(f"]({name})", f"]({path.stem}_{name})")
    text = text.replace("](../docs/pictures/", "](../pictures/")
    heading, _, rest = text.strip().partition("\n")
    download = f'<a href="{path.name}" download>Download this notebook</a> to run it.'
    return f"{heading}\n\n{download}\n{rest}\n", pictures


def title_of(path: Path) -> str:
    """Return the title of a notebook: the first heading of its first cell."""
    return _first_cell(path).partition("\n")[0].lstrip("# ")


def notebook_list() -> str:
    """Return one section per notebook, with its title and its first paragraph."""
    sections = []
    for path in NOTEBOOKS:
        paragraph = " ".join(_first_cell(path).partition("\n")[2].strip().split("\n\n")[0].split())
        sections.append(f"### [{title_of(path)}](../notebooks/{path.name})\n\n{paragraph}\n")
    return "\n".join(sections)


def _first_cell(path: Path) -> str:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "markdown")).strip()
