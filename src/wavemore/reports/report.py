"""`report`: a run, a study or a tuning as one HTML page."""

import os
from pathlib import Path

from wavemore.errors import RunError
from wavemore.files import path_of
from wavemore.reports.run_page import run_page
from wavemore.reports.study_page import study_page
from wavemore.reports.tune_page import tune_folder_page
from wavemore.runs.find import find_run, is_run
from wavemore.runs.run import Run


def report(run_or_study: Run | str | Path) -> str:
    """Return a page about a run, or about what is in a folder: a run, a study or a tuning.

    `HTML(report(run))` displays it. For an unfinished run, or one whose data is gone, the page shows what is available.
    Raises `RunError` for a missing or damaged run, study or tuning, `UsageError` without matplotlib.
    """
    if isinstance(run_or_study, Run):
        return run_page(run_or_study)
    folder = path_of(run_or_study, "run_or_study")
    if _has(folder, "tune.json"):
        return tune_folder_page(folder)
    return study_page(folder) if _has(folder, "study.json") else run_page(Run(folder))


def subject(name: str = "latest") -> Path:
    """Return the folder of the run, study or tuning at a path or of that name, in `runs/` or `studies/`.

    `latest` is the last run. Raises `RunError` if there is none.
    """
    if is_run(name):
        return find_run(name).path
    for file, room in (("study.json", "studies"), ("tune.json", "runs")):
        for path in (Path(name), Path(room) / name):
            if _has(path, file):
                return path
    try:
        return find_run(name).path
    except RunError as error:
        raise RunError(f"{error}; there is no finished study of that name either") from None


def _has(folder: Path, file: str) -> bool:
    return os.path.isfile(folder / file)  # noqa: PTH113 (false, not an error, if the name is too long)
