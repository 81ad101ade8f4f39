"""The lines that a run was trained, validated and tested on: its folder has only hashes of them."""

import numpy as np

from wavemore.errors import UsageError, require_kind
from wavemore.runs.run import Run
from wavemore.text.lines import Lines


def known_lines(run: Run) -> Lines:
    """Read all lines of a run's data again: those of train, then val, then test.

    Raises `RunError` if the data is no longer there or has changed, and `UsageError` for a run of continuous text.
    """
    require_kind(run, "run", Run, "a run, such as `find_run()` returns")
    if run.config.data.format == "text":
        raise UsageError(f"{run.path} was trained on continuous text, which has no items that could be near to others")
    corpus = run.corpus()
    parts = [part.as_lines(corpus.vocabulary).lines for part in (corpus.train, corpus.val, corpus.test)]
    ids = np.concatenate([lines.encode(corpus.vocabulary) for lines in parts])
    return Lines(ids, np.concatenate([lines.lengths for lines in parts]), corpus.vocabulary.codes)
