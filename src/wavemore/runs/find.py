"""Finding runs: by path, by name, by experiment."""

import difflib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from wavemore.errors import RunError, refuse_string
from wavemore.files import is_present, path_of
from wavemore.runs.config import read_created
from wavemore.runs.layout import FILES, REPLACEMENT
from wavemore.runs.run import Run
from wavemore.text.datasets import DATASETS, stem_of

ROOMS = (Path("runs"), Path("studies"))
SEARCH = "search.json"
"""A file in the folder of a tuning, which has its repeats as runs and, deeper, its trials."""
STUDY_DEPTH = 3
"""Folders between a study's folder and its runs: `runs/<arm>/<seed>`."""


def find_runs(folders: Sequence[str | Path] = ("runs",), *, depth: int = 1) -> list[Run]:
    """The runs in some folders, in those themselves and `depth` below, in the order in which they began.

    A damaged run comes first; the config.json of another program is not a run.
    """
    dates: dict[Path, float] = {}
    refuse_string(folders, "folders")
    for folder in map(Path, folders):
        for level in range(depth + 1):
            with suppress(OSError):  # too long a name, or a run that was just deleted
                for config in folder.glob("*/" * level + "config.json"):
                    if config.parent.name == REPLACEMENT:  # it is no run yet
                        continue
                    if (created := read_created(config)) is not None:
                        dates[config.parent] = created
    return [Run(path) for path in sorted(dates, key=lambda path: (dates[path], path))]


def find_tunings() -> list[Path]:
    """The folders of tunings in `runs/`."""
    return sorted(path.parent for path in Path("runs").glob(f"*/{SEARCH}"))


def find_run(name: str | Path = "latest", data: str = "") -> Run:
    """The run at a path or by its name in `runs/`; `latest` is the one that began last. `data` is that of `Run`.

    Raises `RunError` if there is none.
    """
    name = name if isinstance(name, str) else str(path_of(name, "name"))
    if name == "latest":
        runs = find_runs()
        if not runs:
            raise RunError("there is no run yet: `wavemore train` makes one")
        return Run(runs[-1].path, data)
    path = next((path for path in _paths(name) if is_present(path)), None)
    if path is None:
        raise RunError(f"there is no run {name!r}{_advice(name, find_runs())}; `wavemore log` lists the runs")
    _check_folder(path)
    return Run(path, data)


def is_run(name: str) -> bool:
    """Whether `find_run` finds a run of that name."""
    return name == "latest" or any(_is_run(path) for path in _paths(name))


def find_group(name: str) -> list[Run]:
    """The runs of a name: of a path to a run or a folder of runs, an experiment, or a name in `runs/`, in this order.

    Raises `RunError` if there is none.
    """
    if name in ("latest", ""):
        return [find_run(name)]
    runs = _runs_at(Path(name)) or _runs_of_experiment(name) or _runs_at(Path("runs") / name)
    if not runs:
        if not any(is_present(path) for path in _paths(name)):
            near = _advice(name, find_runs(ROOMS, depth=1 + STUDY_DEPTH))
            raise RunError(f"there is no run {name!r}{near}; `wavemore log` lists the runs")
        path = find_run(name).path  # raises for a file, and a folder without a run
        raise RunError(f"{path} holds no run; `wavemore log` lists the runs")
    return runs


def run_name(source: str) -> str:
    """Return a name for runs on some data.

    >>> run_name("lists/My names.txt"), run_name("...")
    ('My-names', 'run')
    """
    stem = "".join(character if character.isalnum() else "-" for character in stem_of(source)).strip("-")
    return stem[:60] or "run"


def new_run(name: str) -> Run:
    """A new folder `runs/<name>-<number>`, which no other process can get at the same time."""
    folder, number = Path("runs"), 1
    while True:
        path = folder / f"{name}-{number}"
        try:
            path.mkdir(parents=True)
            return Run(path)
        except FileExistsError:
            if not folder.is_dir():
                raise RunError(f"{folder} is not a folder, so it cannot hold runs: choose a `run`") from None
            number += 1
        except OSError as error:
            raise RunError(f"cannot create the run folder {path}: {error.strerror}") from None


def nearest(name: str, runs: Sequence[Run]) -> list[str]:
    """The names of up to two runs or experiments that are nearly this one."""
    known = dict.fromkeys(each for run in runs for each in (run.path.name, _experiment(run)))
    return difflib.get_close_matches(Path(name).name[:100], [each for each in known if len(each) <= 100], n=2)


def _advice(name: str, runs: Sequence[Run]) -> str:
    """What may have been meant by a name: a data set, or runs and experiments; empty for nothing."""
    if name in DATASETS:
        return f" ({name} is a data set, on which `wavemore train` trains)"
    close = nearest(name, runs)
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _check_folder(path: Path) -> None:
    """Raise `RunError` for a file, and for a folder that has nothing of a run."""
    if path.is_file():
        if is_run(str(path.parent)):
            raise RunError(f"{path} is a file of the run {path.parent}: name the run itself")
        raise RunError(f"{path} is a file, not a run; `wavemore train {path}` trains on a list or a text")
    if not any((path / name).exists() for name in (*FILES, REPLACEMENT)):
        inner = find_runs([path], depth=STUDY_DEPTH)
        raise RunError(
            f"{path} holds no run" + (f" itself, but others: name one, such as {inner[0].path}" if inner else "")
        )


def _paths(name: str) -> list[Path]:
    return [Path(name), Path("runs") / name] if name else []


def _runs_at(path: Path) -> list[Run]:
    """The run at a path, or the runs in that folder, as deep as a study has them."""
    return [Run(path)] if _is_run(path) else find_runs([path], depth=STUDY_DEPTH)


def _runs_of_experiment(name: str) -> list[Run]:
    """The runs of an experiment in `runs/` and the studies."""
    runs = find_runs(ROOMS, depth=1 + STUDY_DEPTH)
    return [run for run in runs if _experiment(run) == name]


def _experiment(run: Run) -> str:
    try:
        return run.config.experiment
    except RunError:
        return ""


def _is_run(path: Path) -> bool:
    return is_present(path / "config.json") and read_created(path / "config.json") is not None
