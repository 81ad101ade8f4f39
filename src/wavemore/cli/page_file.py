"""Where a command may write a file: not over one of somebody else."""

import shlex
from math import inf
from pathlib import Path

from wavemore.errors import RunError, UsageError


def check_page_file(path: Path, example: str) -> None:
    """Raise `UsageError` if a page cannot or should not be written there, before it is made."""
    from wavemore.html import is_page

    _check_folder(path, example)
    if path.exists() and not is_page(path):
        raise UsageError(f"{path} exists and is not a page of wavemore; choose another -o, or move it")


def check_model_file(path: Path, example: str) -> None:
    """Raise `UsageError` if an ONNX file or a program cannot or should not be written there, before it is made."""
    from wavemore.files import check_regular

    _check_folder(path, example)
    if not path.exists():
        return
    try:
        check_regular(path, inf, follow=True)
        is_ours = b"wavemore" in path.read_bytes()  # the name of what it says about the model
    except (OSError, RunError):
        is_ours = False
    if not is_ours:
        raise UsageError(f"{path} exists and was not exported by wavemore; choose another -o, or move it")


def _check_folder(path: Path, example: str) -> None:
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as -o {shlex.quote(str(path / example))}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}; create it, or choose another -o")
