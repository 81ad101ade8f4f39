"""The notebooks: each runs, accepts its own solution, and is stored with the outputs of its sources."""

import json
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.name for path in NOTEBOOKS]


def test_there_are_five() -> None:
    assert [name[0] for name in NAMES] == ["1", "2", "3", "4", "5"]


@pytest.mark.slow
@pytest.mark.notebooks
@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_runs_and_accepts_its_solution(path: Path, script: Any) -> None:
    notebooks = script("notebooks")
    executed = notebooks.execute(notebooks.with_solution(nbformat.read(path, as_version=4)))
    (check,) = [cell for cell in executed.cells if "check" in notebooks.tags(cell)]
    assert "".join(output.get("text", "") for output in check.outputs).startswith("Right")
    errors = [output for cell in executed.cells for output in cell.get("outputs", []) if output.get("name") == "stderr"]
    assert errors == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_stored_as_it_should_be(path: Path, script: Any) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert notebook.metadata["wavemore"]["sources"] == script("notebooks").digest(notebook), "run `make notebooks`"
    assert len(text) < 500_000
    assert str(Path.home()) not in text
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)], "executed from top to bottom, once"
    all_tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    assert all_tags >= {"exercise", "check", "solution"}
    assert "**The question:" in notebook.cells[0].source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_the_links_of_a_notebook_lead_somewhere(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\((?!http)([^)#]+)\)", "".join(cell["source"])):
                assert (path.parent / target).exists(), target
