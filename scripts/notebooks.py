"""Execute the notebooks and store them with their outputs: `python scripts/notebooks.py [NAME ...]`.

Each runs in an empty folder, with one thread. What is stored holds no times of execution and no paths of this machine.
Tests execute each notebook with its solution in place of the exercise, and fail if its sources have changed since it
was stored.
"""

import hashlib
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"


def main() -> None:
    """Execute and store all notebooks, or those whose names contain one of the arguments."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        if sys.argv[1:] and not any(word in path.name for word in sys.argv[1:]):
            continue
        start = time.perf_counter()
        notebook = cleaned(execute(nbformat.read(path, as_version=4)))
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        print(f"{path.name}: {time.perf_counter() - start:.1f} s", flush=True)


def execute(notebook: NotebookNode) -> NotebookNode:
    """Run all cells in an empty folder; raises `CellExecutionError` for a cell that fails."""
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=600,
            kernel_name="python3",
            coalesce_streams=True,  # printed text arrives in pieces of any size
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    return notebook


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """Remove what changes from one execution or machine to the next, and note the sources."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "wavemore": {"sources": digest(notebook)},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": tags(cell)} if tags(cell) else {})
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)  # the HTML is shown; a repr may be long
    return notebook


def digest(notebook: NotebookNode) -> str:
    """Return the SHA-256 of the sources of all cells."""
    return hashlib.sha256("\0".join(cell.source for cell in notebook.cells).encode()).hexdigest()


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    return list(cell.metadata.get("tags", []))


def with_solution(notebook: NotebookNode) -> NotebookNode:
    """Return the notebook with the code of its solution in place of its exercise."""
    solution = "".join(cell.source for cell in notebook.cells if "solution" in tags(cell))
    (code,) = re.findall(r"```python\n(.*?)```", solution, flags=re.DOTALL)
    for cell in notebook.cells:
        if "exercise" in tags(cell):
            cell.source = code
    return notebook


if __name__ == "__main__":
    main()
