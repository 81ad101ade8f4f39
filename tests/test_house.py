"""The house: imports only go down, modules form no circle, and each room keeps to its purpose."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import wavemore

ROOT = Path(wavemore.__file__).parent
FILES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))
FLOORS = {
    "plots": 1,
    "text": 2,
    "nn": 2,
    "engine": 3,
    "runs": 4,
    "comparison": 5,
    "inspection": 5,
    "export": 6,
    "studies": 7,
    "reports": 8,
    "app": 8,
    "cli": 9,
}
GROUND = {"errors", "files", "html", "markdown", "memory", "progress", "signs", "version"}
"""Modules beside the rooms: any room may import them, and they import nothing of wavemore but each other."""
ENTRANCES = {"__init__": {"version"}, "__main__": {"cli"}}
"""Modules at the top, and what they may import."""
FORBIDDEN = {
    "text": {"torch"},
    "plots": {"torch"},
    "nn": {"numpy", "pathlib", "os", "sys"},
    "engine": {"pathlib", "os", "sys", "io", "shutil", "rich", "tyro"},
}
"""Libraries that a room does without."""
NUMPY_KERNELS = ("nn/kernels", "nn/wavenet_decoder.py")
"""Parts of nn that may use numpy, whose small operations take less time than torch's."""
DISK = {"open", "input", "read_text", "write_text", "read_bytes", "write_bytes"}


def tree_of(file: str) -> ast.Module:
    return ast.parse((ROOT / file).read_text(encoding="utf-8"))


def module_of(file: str) -> str:
    """engine/fit.py -> engine.fit; engine/__init__.py -> engine."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports_in(tree: ast.Module) -> Iterator[str]:
    """Every name that a file imports, also inside functions and for the type checker."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def inside(tree: ast.Module) -> set[str]:
    """What a file imports of wavemore, without the prefix: "engine.fit", "engine.fit.fit", ..."""
    return {name.removeprefix("wavemore.") for name in imports_in(tree) if name.startswith("wavemore.")}


def outside(tree: ast.Module) -> set[str]:
    return {name.split(".")[0] for name in imports_in(tree)} - {"wavemore"}


def calls_in(tree: ast.Module) -> set[str]:
    """The functions that are called by a bare name or as a method: print, open, path.write_text, ..."""
    functions = (node.func for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {
        function.id if isinstance(function, ast.Name) else function.attr
        for function in functions
        if isinstance(function, ast.Name | ast.Attribute)
    }


def problems(file: str, tree: ast.Module) -> list[str]:
    """What a file does that is not the business of its room."""
    room = file.split("/")[0].removesuffix(".py")
    rooms = {name.split(".")[0] for name in inside(tree)} - {room}
    if room in ENTRANCES:
        return [f"imports {name}" for name in sorted(rooms - ENTRANCES[room])]
    if room in GROUND:
        return [f"imports {name}" for name in sorted(rooms - GROUND)]
    if room not in FLOORS:
        return [f"is in no room: put it into one of {', '.join(FLOORS)}"]
    found = [
        f"imports {other}, which is not below {room}"
        for other in sorted(rooms - GROUND)
        if FLOORS.get(other, 99) >= FLOORS[room]
    ]
    allowed = {"numpy"} if file.startswith(NUMPY_KERNELS) else set()
    found += [f"imports {name}" for name in sorted((outside(tree) & FORBIDDEN.get(room, set())) - allowed)]
    if "matplotlib" in outside(tree) and room != "plots":
        found.append("imports matplotlib, which only plots does")
    calls = calls_in(tree)
    if room != "cli" and "print" in calls:
        found.append("prints")
    if room in ("engine", "nn") and calls & DISK:
        found.append("touches the disk or the terminal")
    if Path(file).name == "utils.py":
        found.append("is named utils.py: name it after its content")
    return found


@pytest.mark.parametrize("file", FILES)
def test_a_file_keeps_to_its_room(file: str) -> None:
    assert problems(file, tree_of(file)) == []


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("nn/tree.py", "from wavemore.text.corpus import Corpus", "imports text, which is not below nn"),
        ("text/corpus.py", "from wavemore.nn import layers", "imports nn, which is not below text"),
        ("text/corpus.py", "def f():\n    import torch.nn", "imports torch"),
        ("engine/fit.py", "from wavemore import runs", "imports runs, which is not below engine"),
        ("engine/fit.py", "import wavemore.cli.train", "imports cli, which is not below engine"),
        ("inspection/probe.py", "import wavemore.comparison", "imports comparison, which is not below inspection"),
        ("engine/fit.py", "open('x')", "touches the disk or the terminal"),
        ("engine/fit.py", "import pathlib", "imports pathlib"),
        ("runs/run.py", "print(1)", "prints"),
        ("reports/report.py", "from matplotlib.figure import Figure", "imports matplotlib, which only plots does"),
        ("cellar/x.py", "", f"is in no room: put it into one of {', '.join(FLOORS)}"),
        ("runs/utils.py", "", "is named utils.py: name it after its content"),
        ("errors.py", "import wavemore.nn", "imports nn"),
    ],
)
def test_a_forbidden_act_is_found(file: str, source: str, problem: str) -> None:
    assert problem in problems(file, ast.parse(source))


def graph() -> dict[str, set[str]]:
    """The modules of wavemore and the modules that each imports."""
    modules = {module_of(file) for file in FILES}
    return {module_of(file): (inside(tree_of(file)) & modules) - {module_of(file)} for file in FILES}


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one module (Tarjan, 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    components: list[list[str]] = []

    def visit(module: str) -> None:
        index[module] = low[module] = len(index)
        stack.append(module)
        for other in sorted(edges[module]):
            if other not in index:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], index[other])
        if low[module] == index[module]:
            component = [stack.pop()]
            while component[-1] != module:
                component.append(stack.pop())
            if len(component) > 1:
                components.append(sorted(component))

    for module in sorted(edges):
        if module not in index:
            visit(module)
    return components


def test_modules_form_no_circle() -> None:
    assert circles(graph()) == []


def test_a_circle_is_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_every_room_is_there_and_none_is_too_large() -> None:
    lines: dict[str, int] = {}
    for file in FILES:
        room = file.split("/")[0].removesuffix(".py")
        lines[room] = lines.get(room, 0) + len((ROOT / file).read_text(encoding="utf-8").splitlines())
    assert lines.keys() == {*FLOORS, *GROUND, *ENTRANCES}
    total = sum(lines.values())
    assert {room: count for room, count in lines.items() if count > total / 5} == {}
    assert total <= 36_000


@pytest.mark.parametrize("file", FILES)
def test_files_and_functions_are_short(file: str) -> None:
    assert len((ROOT / file).read_text(encoding="utf-8").splitlines()) <= 350
    functions = (node for node in ast.walk(tree_of(file)) if isinstance(node, ast.FunctionDef))
    long = {node.name: node.end_lineno - node.lineno + 1 for node in functions if node.end_lineno is not None}
    assert {name: count for name, count in long.items() if count > 60} == {}


def test_the_kinds_of_data_are_told_apart_in_text_alone() -> None:
    kinds = ("LineCorpus", "TextCorpus", "LinePart", "TextPart")
    calls = {
        file: [
            ast.unparse(node)
            for node in ast.walk(tree_of(file))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        ]
        for file in FILES
        if not file.startswith("text/")
    }
    assert {
        f: c for f, found in calls.items() if (c := [call for call in found if any(k in call for k in kinds)])
    } == {}
