"""Where a number was measured: a result without its machine and versions cannot be repeated."""

import os
import platform
import subprocess
from pathlib import Path

import numpy
import torch

from wavemore.version import __version__


def environment() -> dict[str, str | int]:
    """Versions, processor, threads, and the commit where wavemore runs from a checkout.

    >>> sorted(environment())
    ['commit', 'cores', 'cpu', 'numpy', 'platform', 'python', 'threads', 'torch', 'wavemore']
    """
    return {
        "wavemore": __version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": numpy.__version__,
        "platform": platform.platform(),
        "cpu": _cpu(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
    }


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass  # no such file outside Linux
    return platform.processor() or platform.machine()


def _commit() -> str:
    """Commit of the checkout that this file is in, with a + where src has changed; empty elsewhere."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    try:
        commit = _git(root, "rev-parse", "--short=12", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", "src")
    except (OSError, subprocess.SubprocessError):
        return ""
    return f"{commit}+" if changed else commit


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()
