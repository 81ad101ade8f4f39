"""Finding runs again: by path, by name, by experiment."""

import itertools
from collections.abc import Iterator
from pathlib import Path

from wavemore.errors import RunError
from wavemore.runs.entry import read
from wavemore.runs.run import Run

BELOW = 3
"""How deep the runs of a study lie in its folder, at most: `runs/<arm>/<seed>`."""


def find_runs(folders: list[Path] | None = None, *, depth: int = 1) -> list[Run]:
    """Runs in the given folders, or in `runs/` and here, oldest first: the folders themselves and `depth` below."""
    folders = folders or [Path("runs"), Path()]
    found: dict[Path, float] = {}
    for folder in folders:
        for entry in _folders(folder, depth):
            try:
                found[entry] = (entry / "config.json").stat().st_mtime_ns
            except OSError:
                continue
    return [Run(path) for path in sorted(found, key=lambda path: (found[path], path))]


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        if folder.is_dir():
            yield folder
            for entry in sorted(folder.iterdir()) if depth else ():
                yield from _folders(entry, depth - 1)
    except OSError:  # a folder that may not be read holds no run of ours
        return


def find_run(name: str = "latest") -> Run:
    """The run of that path or of that name in `runs/`; `latest` is the one that was begun last.

    Raises `RunError` where there is none.
    """
    if name == "latest":
        runs = find_runs()
        if not runs:
            raise RunError("there is no run here yet: `wavemore train` makes one")
        return runs[-1]
    for path in (Path(name), Path("runs") / name):
        if name and _is_there(path):
            return Run(path)
    raise RunError(f"there is no run {name!r}; `wavemore log` lists the runs that there are")


def is_run(name: str) -> bool:
    """Whether `find_run` finds a run of that name."""
    paths = (Path(name), Path("runs") / name)
    return name == "latest" or (name != "" and any(_is_there(path / "config.json") for path in paths))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name that is too long for a file
        return False


def new_run(name: str) -> Run:
    """A new folder `runs/<name>-<number>`, which no other process takes at the same time."""
    for number in itertools.count(1):
        path = Path("runs") / f"{name}-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            if not path.parent.is_dir():
                raise RunError(f"{path.parent} is no folder, so there is no place for runs: give a --run") from None
        except OSError as error:
            raise RunError(f"cannot make the run folder {path}: {error.strerror}") from None
        else:
            return Run(path)
    raise AssertionError("the numbers do not end")


def find_group(name: str) -> list[Run]:
    """The runs that a name means: a run or a folder of runs by its path, an experiment, a run by its name in `runs/`.

    Raises `RunError` where there is none.
    """
    if name == "latest":
        return [find_run()]
    found = runs_at(Path(name)) if name else []
    if name and not found:
        entries = map(read, _known_runs())
        found = [entry.run for entry in entries if entry.config is not None and entry.config.experiment == name]
    if name and not found and not name.startswith("."):
        found = runs_at(Path("runs") / name)
    if not found:
        path = find_run(name).path  # it raises where there is nothing of that name
        raise RunError(f"{path} holds no run; `wavemore log` lists the runs that there are")
    return found


def runs_at(path: Path) -> list[Run]:
    """The run at that path or, where it is a folder that is no run itself, the runs in it, as deep as a study's lie."""
    try:
        if (path / "config.json").exists():
            return [Run(path)]
    except OSError:  # a name that is too long for a file
        return []
    return find_runs([path], depth=BELOW)


def _known_runs() -> list[Run]:
    """Those whose experiment needs no path: in `runs/`, in this folder, and in the studies of `studies/`."""
    found = [*find_runs([Path("runs")], depth=BELOW), *find_runs(), *find_runs([Path("studies")], depth=1 + BELOW)]
    return [Run(path) for path in dict.fromkeys(run.path for run in found)]
