"""The time of the whole command, from a cold start to samples."""

import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import torch

from benchmarks.measurement import Measurement, seconds_of
from wavemore.text.line_corpus import LineCorpus


def cold_start(corpus: LineCorpus, repeats: int) -> Measurement:
    """Time `wavemore train` on the bundled names as a process; the baseline is a Python that only imports torch."""
    empty, whole = [], []
    for _ in range(repeats):
        empty.append(_process("-c", "import torch"))
        with tempfile.TemporaryDirectory() as folder:
            run = str(Path(folder) / "run")
            whole.append(_process("-m", "wavemore", "train", "--run", run, "--threads", str(torch.get_num_threads())))
    return Measurement(
        key="cold_start_seconds",
        what="`wavemore train`: from the command to samples",
        threads=torch.get_num_threads(),
        baseline=median(empty),
        measured=median(whole),
        unit="s",
        ratio=None,
        detail="whole process, bundled names, no flags; the baseline is `python -c 'import torch'`",
    )


def _process(*arguments: str) -> float:
    return seconds_of(lambda: subprocess.run([sys.executable, *arguments], check=True, capture_output=True))
