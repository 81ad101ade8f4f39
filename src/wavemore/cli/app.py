"""`wavemore app`: a page in the browser, on this machine, for people with a list."""

import os
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from wavemore.cli.options import IntOrAuto, Name, YesOrNo
from wavemore.cli.progress import busy, interrupts
from wavemore.cli.screen import Screen
from wavemore.errors import require


@dataclass(frozen=True, kw_only=True)
class App:
    """Open a page in the browser: give a list, and make more like it.

    Everything stays on this machine; runs are in runs/, as for all commands.

    Example:
      wavemore app
    """

    host: Name = "127.0.0.1"
    """the address to listen on; with 0.0.0.0, everybody in your network can use the page, and your processor"""
    port: IntOrAuto = "auto"
    """the port (auto: the first free one from 7860)"""
    open: YesOrNo = True
    """whether to open the page in the browser"""

    def run_command(self, arguments: Sequence[str]) -> int:
        """Serve the page until Ctrl-C."""
        from wavemore.app.server import is_local, served

        require(self.port == "auto" or 0 < self.port < 2**16, "port", self.port, "between 1 and 65,535")
        screen = Screen()
        with interrupts() as interrupted, ExitStack() as stack:
            with busy("starting the page", screen):
                port = None if self.port == "auto" else self.port
                url, desk = stack.enter_context(served(self.host, port, debug="--debug" in sys.argv))
            screen.say(f"the page is at {url}; Ctrl-C ends it")
            if not is_local(self.host):
                screen.say("everybody in your network can use it")
            if self.open and _has_windows():
                import webbrowser

                webbrowser.open(url)
            while not interrupted():
                time.sleep(0.2)
            kept = desk.close()
        for job in kept:
            screen.say(f"{job.run.path} is kept; continue it with: wavemore train --resume {job.run.path}")
        return 0


def _has_windows() -> bool:
    """Whether a browser has somewhere to open; a text browser would take the terminal."""
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
