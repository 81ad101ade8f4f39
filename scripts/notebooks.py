"""Executes the notebooks and stores them with what they show: `python scripts/notebooks.py`; `--check` stores nothing.

Each runs in an empty folder, with one thread, so that nothing of this machine gets into it. What is stored holds no
times of execution. `--check` fails when what is stored is not what the sources give: words must be the same, numbers
nearly so (another processor rounds otherwise), and of a cell tagged `varies` (times; lines drawn from a trained model)
only the kinds of its outputs.

A notebook ends with an exercise: a cell tagged `exercise`, one tagged `check` that judges it, and one tagged
`solution`, whose code is put in the place of the exercise to see that the check then says "Right".
"""

import argparse
import hashlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from copy import deepcopy
from html import unescape
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LARGEST = 500_000
"""Bytes of a stored notebook."""
NEAR = 0.02
"""What two numbers may differ by, as a share of the larger one; below 1, as they are."""
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


def main() -> int:
    """Execute the notebooks whose names hold one of the words, or all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="only notebooks whose names hold one of these")
    parser.add_argument("--check", action="store_true", help="store nothing; fail where what is stored is stale")
    arguments = parser.parse_args()
    paths = [path for path in sorted(FOLDER.glob("*.ipynb")) if not arguments.words or has(path.name, arguments.words)]
    if not paths:
        parser.error(f"no notebook in {FOLDER} has a name with {' or '.join(arguments.words)}")
    wrong = 0
    for path in paths:
        stored = nbformat.read(path, as_version=4)
        began = time.perf_counter()
        try:
            fresh = execute(stored)
        except (CellExecutionError, ValueError) as error:
            found = [str(error)]
        else:
            found = list(problems(fresh))
            found += differences(stored, fresh) if arguments.check else []
        print(f"{path.name}: {time.perf_counter() - began:.1f} s", flush=True)
        for problem in found:
            print(f"  {problem}")
        wrong += bool(found)
        if not found and not arguments.check:
            nbformat.validate(fresh)
            path.write_text(nbformat.writes(fresh) + "\n", encoding="utf-8")
    return int(wrong > 0)


def has(name: str, words: list[str]) -> bool:
    """Whether one of the words is in a name."""
    return any(word in name for word in words)


def execute(notebook: NotebookNode, cell_seconds: int = 600) -> NotebookNode:
    """Run all cells of a copy, and after them its exercise as it is solved; returns the copy without the latter.

    Raises `CellExecutionError` for a cell that fails, and `ValueError` where the solution is not right.
    """
    fresh = deepcopy(notebook)
    count = len(fresh.cells)
    fresh.cells += solved(notebook)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            fresh,
            timeout=cell_seconds,
            kernel_name="python3",
            coalesce_streams=True,  # what is printed comes in pieces, as chance has it
            extra_arguments=["--log-level=ERROR"],
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=os.environ | {"OMP_NUM_THREADS": "1"})
    for cell in fresh.cells[count:]:
        if "check" in tags(cell) and not text_of(cell).startswith("Right"):
            raise ValueError(f"the solution of the exercise is not right: {text_of(cell)!r}")
    fresh.cells = fresh.cells[:count]
    return cleaned(fresh)


def solved(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that put the solution in the place of the exercise and judge it."""
    written = "".join(cell.source for cell in tagged(notebook, "solution"))
    (code,) = re.findall(r"```python\n(.*?)```", written, flags=re.DOTALL)
    (check,) = tagged(notebook, "check")
    return [nbformat.v4.new_code_cell(code), nbformat.v4.new_code_cell(check.source, metadata={"tags": ["check"]})]


def cleaned(notebook: NotebookNode) -> NotebookNode:
    """The notebook without what changes from one execution to the next, and from one machine to another."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python", "pygments_lexer": "ipython3"},
            "wavemore": {"executed": digest(notebook)},
        }
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({"tags": tags(cell)} if tags(cell) else {})
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data.pop("text/plain", None)  # what it is for is shown; a repr may be long
    return notebook


def problems(notebook: NotebookNode) -> Iterator[str]:
    """What should not be in a stored notebook."""
    size = len(nbformat.writes(notebook).encode())
    if size > LARGEST:
        yield f"{size:,} bytes are too many: at most {LARGEST:,}"
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                yield f"an error: {output.ename}: {output.evalue}"
            if output.get("name") == "stderr":
                yield f"words on standard error: {output.text!r}"
        places = [str(Path.home()), str(Path(__file__).resolve().parents[1]), sys.prefix, tempfile.gettempdir()]
        yield from (f"a path of this machine: {place}" for place in places if f"{place}/" in text_of(cell))


def differences(stored: NotebookNode, fresh: NotebookNode) -> list[str]:
    """Where what is stored is not what the sources give."""
    if stored.metadata.get("wavemore", {}).get("executed") != digest(fresh):
        return ["the sources have changed since it was executed"]
    found = []
    for number, (old, new) in enumerate(zip(stored.cells, fresh.cells, strict=True), start=1):
        if kinds_of(old) != kinds_of(new):
            found.append(f"cell {number} shows {kinds_of(new)}, and {kinds_of(old)} is stored")
        elif "varies" not in tags(new) and not alike(text_of(old), text_of(new)):
            found.append(f"cell {number} shows other things than are stored:\n{text_of(new)}\nstored:\n{text_of(old)}")
    return found


def alike(one: str, other: str) -> bool:
    """Whether two texts have the same words and nearly the same numbers.

    >>> alike("val 1.9937 nats", "val  1.9941 nats"), alike("val 1.9937", "val 2.1"), alike("better", "worse")
    (True, False, False)
    """
    words = [NUMBER.sub("0", text).split() for text in (one, other)]
    numbers = [[float(found.replace(",", "")) for found in NUMBER.findall(text)] for text in (one, other)]
    return words[0] == words[1] and all(
        abs(a - b) <= NEAR * max(1.0, abs(a), abs(b)) for a, b in zip(*numbers, strict=True)
    )


def digest(notebook: NotebookNode) -> str:
    """SHA-256 of the sources of all cells."""
    return hashlib.sha256("\0".join(cell.source for cell in notebook.cells).encode()).hexdigest()


def tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    """The cells with a tag."""
    return [cell for cell in notebook.cells if tag in tags(cell)]


def kinds_of(cell: NotebookNode) -> list[str]:
    """What kinds of outputs a cell has: text, image/png, ..."""
    return [kind for output in cell.get("outputs", []) for kind in sorted(output.get("data", {"text": ""}))]


def text_of(cell: NotebookNode) -> str:
    """What a cell shows, in words: a table without its tags, nothing of pictures."""
    shown = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        shown.append(output.get("text", ""))
        shown.append(unescape(re.sub(r"<style.*?</style>|<[^>]*>", " ", data.get("text/html", ""), flags=re.S)))
        shown.append(data.get("text/plain", "") if "image/png" not in data else "")
    return "\n".join(filter(None, shown))


if __name__ == "__main__":
    raise SystemExit(main())
