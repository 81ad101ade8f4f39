"""The floors of the house: imports only go down, and each room keeps to its own business."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavemore

ROOT = Path(wavemore.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
FLOORS = {"text": 1, "nn": 1, "engine": 2, "lab": 3, "cli": 4}
ROOF = {"__main__"}  # `python -m wavemore`: it calls the commands and does nothing else
FREE = {"", "errors"}  # on no floor: the package itself (its version, its lazy names) and the errors


def room_of(file: str) -> str:
    """The room that a file or a module belongs to: engine/fit.py -> engine; `python -m wavemore` is a command line."""
    return file.removesuffix(".py").replace("__main__", "cli").replace("/", ".").removesuffix("__init__").split(".")[0]


def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def imports_in(tree: ast.Module) -> Iterator[str]:
    """Every module that a file imports, also inside of functions and for the type checker."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms_in(tree: ast.Module) -> set[str]:
    """The rooms of the house that a file imports from."""
    modules = (name.split(".") for name in imports_in(tree))
    return {name[1] if len(name) > 1 else "" for name in modules if name[0] == "wavemore"} - {"__version__"}


def outside_in(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imports_in(tree)}


def calls_in(tree: ast.Module) -> set[str]:
    """The functions that are called by a bare name or as a method: print, open, path.write_text, ..."""
    calls = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        call.id if isinstance(call, ast.Name) else call.attr
        for call in calls
        if isinstance(call, ast.Name | ast.Attribute)
    }


def problems(file: str, tree: ast.Module) -> list[str]:
    """What a file does that is not its room's business."""
    room = room_of(file)
    if room in FREE:
        return [] if room == "" else [f"imports {name}" for name in sorted(rooms_in(tree) | outside_in(tree))]
    if room in ROOF:
        return [f"imports {name}" for name in sorted(rooms_in(tree) - {"cli"})]
    found = []
    if room not in FLOORS:
        found.append(f"is in no room: put it into one of {', '.join(FLOORS)}")
    else:
        above = [other for other in sorted(rooms_in(tree) - FREE - {room}) if FLOORS.get(other, 9) >= FLOORS[room]]
        found += [f"imports {other}, which is not below {room}" for other in above]
    forbidden = {
        "text": {"torch"},
        "engine": {"pathlib", "os", "sys", "io", "shutil", "rich", "tyro"},
        "nn": {"numpy", "pathlib", "os", "sys"},
    }
    # Numpy's small operations and its products of few rows are faster than torch's.
    allowed = {"numpy"} if file in ("nn/unique.py", "nn/wavenet_stream.py") else set()
    found += [f"imports {name}" for name in sorted((outside_in(tree) - allowed) & forbidden.get(room, set()))]
    if "matplotlib" in outside_in(tree) and not file.startswith("lab/plots/"):
        found.append("imports matplotlib, which lab/plots alone does")
    calls = calls_in(tree)
    if room != "cli" and "print" in calls:
        found.append("prints")
    if room in ("engine", "nn") and calls & {"open", "input", "read_text", "write_text", "read_bytes", "write_bytes"}:
        found.append("touches the disk or the terminal")
    if Path(file).name == "utils.py":
        found.append("is named utils.py: say what it holds")
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_file_minds_its_rooms_business(file: str) -> None:
    assert problems(file, tree_of(file)) == []


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("nn/tree.py", "from wavemore.text.corpus import Corpus", "imports text, which is not below nn"),
        ("text/corpus.py", "from wavemore.nn import layers", "imports nn, which is not below text"),
        ("text/corpus.py", "def f():\n    import torch.nn", "imports torch"),
        ("engine/fit.py", "from wavemore import lab", "imports lab, which is not below engine"),
        ("engine/fit.py", "import wavemore.cli.train", "imports cli, which is not below engine"),
        ("lab/runs.py", "import wavemore.cli", "imports cli, which is not below lab"),
        ("engine/fit.py", "open('x')", "touches the disk or the terminal"),
        ("engine/fit.py", "import pathlib", "imports pathlib"),
        ("lab/runs.py", "print(1)", "prints"),
        ("lab/report.py", "from matplotlib.figure import Figure", "imports matplotlib, which lab/plots alone does"),
        ("cellar/x.py", "", "is in no room: put it into one of text, nn, engine, lab, cli"),
        ("lab/utils.py", "", "is named utils.py: say what it holds"),
        ("errors.py", "import wavemore.nn", "imports nn"),
    ],
)
def test_what_is_not_allowed_is_found(file: str, source: str, problem: str) -> None:
    assert problem in problems(file, ast.parse(source))


def test_every_room_is_looked_at() -> None:
    assert {room_of(file) for file in FILES} - ROOF == {*FLOORS, *FREE}
