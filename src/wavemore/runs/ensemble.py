"""Several runs as one model, the mean of their probabilities."""

from collections.abc import Sequence

from wavemore.engine.ensemble import Ensemble
from wavemore.errors import UsageError, all_of, require
from wavemore.runs.run import Run


def check_together(runs: Sequence[Run]) -> None:
    """Raise `UsageError` for runs of which one has other characters or labels, or another kind of data."""
    first = runs[0]
    for run in runs[1:]:
        if run.config.data.format != first.config.data.format:
            raise UsageError(f"{run.path} and {first.path} cannot be averaged: one is of a list, the other of a text")
        if run.vocabulary() != first.vocabulary():
            raise UsageError(
                f"{run.path} has other characters or labels than {first.path}, so they cannot be averaged: name runs "
                "on the same data, none of them begun with another run"
            )


def load_ensemble(runs: Sequence[Run]) -> Ensemble:
    """Return the model of all runs together. Raises `UsageError` as `check_together` does."""
    runs = all_of(runs, "runs", Run, "a list of runs")
    require(len(runs) > 0, "runs", "an empty list", "one run or more")
    check_together(runs)
    return Ensemble([run.model() for run in runs])
