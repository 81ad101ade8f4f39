"""The notebooks: each is executed, and what is stored is what it shows."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.name for path in NOTEBOOKS]


def test_there_are_five() -> None:
    assert [name[0] for name in NAMES] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_shows_what_is_stored(name: str) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "notebooks.py"), "--check", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\nif that is right now: make notebooks"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_a_notebook_is_stored_as_it_should_be(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert len(text) < 500_000
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)], "executed from top to bottom, once"
    assert {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])} >= {
        "exercise",
        "check",
        "solution",
    }
    assert "**The question:" in notebook.cells[0].source
    assert sum(cell.source.count("shape") for cell in code) >= 1 or path.name[0] in "45"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=NAMES)
def test_the_files_that_a_notebook_names_are_there(path: Path) -> None:
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "markdown":
            for target in re.findall(r"\]\((?!http)([^)#]+)\)", "".join(cell["source"])):
                assert (path.parent / target).exists(), target


def test_what_is_stale_is_found(script: Any) -> None:
    notebooks = script("notebooks")
    stored = nbformat.read(NOTEBOOKS[0], as_version=4)
    fresh = nbformat.read(NOTEBOOKS[0], as_version=4)
    assert notebooks.differences(stored, fresh) == []
    shown = next(cell for cell in stored.cells if "29,687 lines" in notebooks.text_of(cell))
    shown.outputs[0].text = shown.outputs[0].text.replace("29,687", "32,033")
    assert ["29,687 lines" in words for words in notebooks.differences(stored, fresh)] == [True]
    shown.outputs = []
    assert "is stored" in notebooks.differences(stored, fresh)[0]
    fresh.cells[0].source += " more"
    assert notebooks.differences(stored, fresh) == ["the sources have changed since it was executed"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("val 1.9937 nats", "val  1.9941 nats", True),
        ("val 1.9937 nats", "val 2.1 nats", False),
        ("32,033 names", "32,032 names", True),
        ("B is better", "A is better", False),
        ("3 findings:", "2 findings:", False),
        ("nan", "1.0", False),
    ],
)
def test_words_are_compared_exactly_and_numbers_nearly(script: Any, one: str, other: str, same: bool) -> None:
    assert script("notebooks").alike(one, other) is same


def test_what_should_not_be_stored_is_found(script: Any) -> None:
    notebooks = script("notebooks")
    path = nbformat.v4.new_output("stream", name="stdout", text=f"{Path.home()}/list.txt")
    words = nbformat.v4.new_output("stream", name="stderr", text="a warning")
    cell = nbformat.v4.new_code_cell("1", outputs=[path, words])
    found = list(notebooks.problems(nbformat.v4.new_notebook(cells=[cell])))
    assert found == ["words on standard error: 'a warning'", f"a path of this machine: {Path.home()}"]


def test_an_exercise_whose_solution_is_wrong_is_found(script: Any) -> None:
    notebooks = script("notebooks")
    solution = "```python\nanswer = 1\n```"
    cells = [
        nbformat.v4.new_code_cell("answer = 0", metadata={"tags": ["exercise"]}),
        nbformat.v4.new_code_cell("print('Right!' if answer == 2 else 'not yet')", metadata={"tags": ["check"]}),
        nbformat.v4.new_markdown_cell(solution, metadata={"tags": ["solution"]}),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.raises(ValueError, match="the solution of the exercise is not right: 'not yet"):
        notebooks.execute(notebook)
    cells[2].source = solution.replace("1", "2")
    fresh = notebooks.execute(notebook)
    assert [cell.get("execution_count") for cell in fresh.cells] == [1, 2, None]
    assert "execution" not in fresh.cells[0].metadata
