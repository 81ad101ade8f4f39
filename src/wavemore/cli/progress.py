"""What is seen of a training while it runs, and what stops it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from wavemore.cli.screen import Screen, seconds

if TYPE_CHECKING:
    from wavemore.engine.fit import Progress


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """The first Ctrl-C (or termination) is noted, so that no step is cut in half; the second one stops at once.

    What it yields says which signal has come, 0 for none.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere signals cannot be caught
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup does
                before[number] = signal.signal(number, note)
    try:
        yield lambda: noted[0] if noted else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def display(screen: Screen, steps: int, seconds_before: float) -> Iterator[Callable[["Progress"], None]]:
    """A moving bar on a terminal, a line an evaluation elsewhere."""
    began = time.monotonic()

    def left(progress: "Progress") -> str:  # evaluations included
        return seconds((time.monotonic() - began) / progress.steps_here * (steps - progress.step))

    def taught(progress: "Progress") -> str:  # what a student's steps make lower
        return "" if progress.taught_nats is None else f"taught {progress.taught_nats:.4f}  "

    if not screen.live:

        def line(progress: "Progress") -> None:
            if progress.val_nats is not None:
                screen.say(
                    f"step {progress.step:>{len(f'{steps:,}')},} of {steps:,}  train {progress.train_nats:.4f}  "
                    f"{taught(progress)}val {progress.val_nats:.4f}{' *' if progress.is_best else '  '}  "
                    f"{progress.chars_per_second:,.0f} chars/s  {seconds(seconds_before + progress.seconds)} so far, "
                    f"{left(progress)} left"
                )

        yield line
        return
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Bars

    wide = screen.width >= 100
    columns = [
        TextColumn("{task.completed:,}/{task.total:,}", markup=False),
        BarColumn(bar_width=24 if wide else 8),
        TextColumn("{task.fields[said]}", markup=False),
    ]
    with Bars(*columns, console=screen.console, refresh_per_second=8) as bar:
        task = bar.add_task("train", total=steps, said="")
        val = "…"

        def move(progress: "Progress") -> None:
            nonlocal val
            if progress.val_nats is not None:
                val = f"{progress.val_nats:.4f}"
            said = f"train {progress.train_nats:.4f}  {taught(progress) if wide else ''}val {val}"
            if wide:
                said += f"  {progress.chars_per_second:,.0f} chars/s"
            bar.update(task, completed=progress.step, said=f"{said}  {left(progress)} left")

        yield move
