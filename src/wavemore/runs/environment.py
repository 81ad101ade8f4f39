"""The machine and the versions that a result was measured with."""

import os
import platform
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy
import torch

from wavemore.engine.threads import balance_threads, set_threads
from wavemore.nn.precision import fast_bfloat16
from wavemore.nn.ranks import current_ranks
from wavemore.version import __version__

Threads = int | Literal["auto"]
MOST_THREADS = 4
"""The small matrices of these models gain little from more."""


def environment() -> dict[str, str | int]:
    """Versions, processor, a GPU that this process uses, threads, and the commit if wavemore runs from a checkout."""
    return {
        "wavemore": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "cpu": f"{_cpu()}, {_instructions()}",
        "cores": cores(),
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_initialized() else {}),  # type: ignore[no-untyped-call]
        "threads": torch.get_num_threads(),
        **({} if current_ranks().size == 1 else {"processes": current_ranks().size}),
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def use_threads(threads: Threads) -> None:
    """Use this number of threads; auto: up to four in long computations, while they are faster than one.

    The ranks of a training that are on one machine share its cores.
    """
    if threads == "auto":
        balance_threads(max(1, min(MOST_THREADS, cores() // current_ranks().local_size)))
    else:
        set_threads(threads)


def _cpu() -> str:
    """Return the processor's name."""
    if sys.platform == "darwin":
        with suppress(OSError, subprocess.SubprocessError):
            return _output(Path("/"), "sysctl", "-n", "machdep.cpu.brand_string")
    with suppress(OSError):  # only Linux has this file
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _instructions() -> str:
    """Return the widest instructions that torch computes with here: processors of one name can differ in them."""
    capability = torch.backends.cpu.get_cpu_capability()
    return f"{capability} with bfloat16" if fast_bfloat16() else capability


def _commit() -> str:
    """Commit of the checkout that this file is in, with a + if src has changed; empty elsewhere."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _output(root, "git", "rev-parse", "--short=12", "HEAD")
        changed = _output(root, "git", "status", "--porcelain", "--untracked-files=no", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}+" if changed else commit


def _output(folder: Path, *command: str) -> str:
    return subprocess.check_output(command, cwd=folder, text=True, stderr=subprocess.DEVNULL, timeout=10).strip()
