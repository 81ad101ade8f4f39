"""`report`: a run or a study as one page of HTML that needs nothing else."""

from pathlib import Path

from wavemore.errors import RunError
from wavemore.reports.run_page import report_run
from wavemore.reports.study_page import StudyFolder, report_study
from wavemore.runs.find import find_run, is_run
from wavemore.runs.run import Run


def report(what: Run | StudyFolder) -> str:
    """The page of a run or a study: pictures inside, no network, no scripts; `HTML(report(run))` in a notebook.

    Of a run that is not finished, or whose data has gone, there is what can be known. Raises `RunError` where there
    is no run or a damaged one, `UsageError` without matplotlib.
    """
    return report_run(what) if isinstance(what, Run) else report_study(what)


def subject(name: str = "latest") -> Run | StudyFolder:
    """The run or the study of that path, or of that name in `runs/` or `studies/`; `latest` is the last run.

    Raises `RunError` where there is neither.
    """
    if is_run(name):
        return find_run(name)
    for path in (Path(name), Path("studies") / name):
        if StudyFolder(path).exists():
            return StudyFolder(path)
    try:
        return find_run(name)
    except RunError:
        if name == "latest":
            raise
        raise RunError(f"there is no run and no finished study {name!r}; `wavemore log` lists the runs") from None
