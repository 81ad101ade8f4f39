"""`wavemore export`: a run as one HTML file that makes new items in any browser."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from wavemore.cli.options import File, Flag, RunName, Text
from wavemore.cli.page_file import check_page_file
from wavemore.cli.progress import busy
from wavemore.cli.run_words import say_run
from wavemore.cli.screen import Screen
from wavemore.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a run as one HTML file that makes items in any browser.

    It holds the model, needs no network, and sends nothing anywhere.

    Example:
      wavemore export runs/names-1 -o names.html --title "New names"
    """

    run: RunName = "latest"
    """a run folder, or its name in runs/"""
    output: Annotated[File, arg(aliases=["-o"])] = None
    """the file, .html (default: NAME.html); an existing page of wavemore is overwritten, other files are not"""
    title: Text = None
    """the heading of the page"""
    about: Text = None
    """the introduction of the page"""
    float32: Flag = False
    """keep the weights exactly (default: in 16 bits, which changes logits by less than 0.001)"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Write the file."""
        from wavemore.export.page import export_page
        from wavemore.files import write_atomic
        from wavemore.runs.find import find_run

        if self.output is not None and Path(self.output).suffix.lower() not in (".html", ".htm"):
            raise UsageError(
                f"--output is {self.output}; export writes one HTML file: give it a name that ends in .html"
            )
        run = find_run(self.run)
        path = Path(self.output or f"{run.path.resolve().name}.html")
        check_page_file(path, "names.html")
        screen = Screen()
        with busy(f"reading {run.path}", screen):
            page = export_page(run, title=self.title or "", about=self.about or "", float32=self.float32)
        content = page.encode("utf-8", "xmlcharrefreplace")
        write_atomic(path, content)
        screen.say(f"wrote {path} ({len(content) / 1e3:,.0f} KB): open it in a browser, or hand it on")
        say_run(run, is_named=self.run != "latest")
        return 0
