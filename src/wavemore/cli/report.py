"""`wavemore report`: a run, a study or a tuning as one HTML file."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from wavemore.cli.options import File, MovedData, RunName
from wavemore.cli.page_file import check_page_file
from wavemore.cli.progress import busy
from wavemore.cli.screen import Screen, print_error


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write a run, study or tuning as one HTML file that opens anywhere.

    Numbers, curves, layers, findings, lines and samples.

    Example:
      wavemore report runs/names-1 -o report.html
    """

    run: RunName = "latest"
    """a run folder or its name in runs/, or the folder or name of a study or a tuning"""
    data: MovedData = None
    """where the data of the run is now, if it was moved"""
    output: Annotated[File, arg(aliases=["-o"])] = None
    """the file (default: NAME.html); an existing wavemore report is overwritten, any other file is not"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Write the file."""
        from wavemore.files import write_atomic
        from wavemore.reports.report import report, subject
        from wavemore.runs.run import Run

        folder = subject(self.run)
        path = Path(self.output or f"{folder.resolve().name}.html")
        check_page_file(path, "report.html")
        screen = Screen()
        with busy(f"reading {folder}", screen):
            content = report(Run(folder, self.data) if self.data else folder).encode("utf-8", "xmlcharrefreplace")
        write_atomic(path, content)
        screen.say(f"wrote {path} ({len(content) / 1e6:.1f} MB): open it in a browser")
        if self.run == "latest":
            print_error(f"wavemore: used {folder}, the latest run")
        return 0
