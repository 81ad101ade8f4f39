"""Where a command may write a page: not over a file of somebody else."""

import shlex
from pathlib import Path

from wavemore.errors import UsageError


def check_page_file(path: Path, example: str) -> None:
    """Raise `UsageError` if a page cannot or should not be written there, before it is made."""
    from wavemore.html import is_page

    if path.is_dir():
        raise UsageError(f"{path} is a folder; name a file, such as -o {shlex.quote(str(path / example))}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}; create it, or choose another -o")
    if path.exists() and not is_page(path):
        raise UsageError(f"{path} exists and is not a page of wavemore; choose another -o, or move it")
