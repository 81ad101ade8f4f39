"""`wavemore report`: a run or a study on one page that opens anywhere."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from wavemore.cli.options import RunName
from wavemore.cli.screen import Screen
from wavemore.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write a page about a run: numbers, curves, layers, findings, lines, samples, all in one file.

    Example: wavemore report runs/names-1 -o report.html
    """

    run: RunName = "latest"
    """A run folder, or its name in runs/; or the folder of a study, or its name in studies/."""
    out: Annotated[str, arg(aliases=["-o"], metavar="FILE", help_behavior_hint="(default: <its name>.html)")] = ""
    """The page. An older page of ours is replaced, any other file is left alone."""

    def run_command(self) -> int:
        """Write the page."""
        from wavemore.files import write_atomic
        from wavemore.reports.report import report, subject

        what = subject(self.run)
        path = Path(self.out or f"{what.path.resolve().name}.html")
        _check_free(path)
        screen = Screen()
        with screen.busy(f"looking into {what.path}"):
            content = report(what).encode("utf-8", "xmlcharrefreplace")
        write_atomic(path, content)
        screen.say(f"{path} ({len(content) / 1e6:.1f} MB): open it in a browser")
        return 0


def _check_free(path: Path) -> None:
    """Raise `UsageError` where a page cannot or should not be written, before anything is made."""
    from wavemore.reports.tags import is_page

    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a file, for example -o {shlex.quote(str(path / 'report.html'))}")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent}: make it, or take another -o")
    if not os.access(path.parent, os.W_OK):
        raise UsageError(f"nothing can be written in {path.parent}: take another -o")
    if path.exists() and not is_page(path):
        raise UsageError(f"{path} is there already and is no page of `wavemore report`: take another -o, or move it")
