"""The progress of a training and of other long tasks on the terminal, and the signals that stop a training."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from wavemore.cli.screen import Screen, print_error, seconds
from wavemore.progress import listening
from wavemore.signs import visible

if TYPE_CHECKING:
    from rich.status import Status

    from wavemore.engine.step_record import StepRecord

Show = Callable[["StepRecord"], None]


LONG = 2.0
"""Seconds after which a task shows how far it is."""


@contextmanager
def busy(name: str = "", screen: Screen | None = None) -> Iterator[None]:
    """Show on a terminal what is computed in the block and, of each long task in it, how far it is and its time left.

    Without a terminal, a long task is shown on standard error after 2, 4, 8, ... seconds. By default the terminal is
    that of standard error.
    """
    tasks = _Tasks(name, screen)
    try:
        if name and screen is not None and screen.live:
            tasks.show(name)
        with listening(tasks.listen):
            yield
    finally:
        tasks.clear()


class _Tasks:
    """Listens to long tasks, and shows the latest one."""

    def __init__(self, name: str, screen: Screen | None) -> None:
        self.name, self.screen = name, screen
        self.status: Status | None = None
        self.task, self.fraction, self.start, self.due = "", 1.0, 0.0, 0.0

    def listen(self, task: str, fraction: float) -> None:
        now = time.monotonic()
        if task != self.task or fraction < self.fraction:
            self.task, self.start, self.due = task, now, now + LONG
        self.fraction = fraction
        if fraction >= 1:
            if self.name and self.status is not None:
                self.show(self.name)
            else:
                self.clear()
        elif now >= self.due and fraction > 0:
            time_left = (now - self.start) * (1 - fraction) / fraction
            self.show(f"{task}: {fraction:.0%}, {seconds(time_left)} left")
            self.due = now + (0.2 if self.status else now - self.start)

    def show(self, words: str) -> None:
        from rich.text import Text

        if self.screen is None:
            self.screen = Screen(stderr=True)
        if not self.screen.live:
            print_error(words)
        elif self.status is None:
            self.status = self.screen.console.status(Text(visible(words)))
            self.status.start()
        else:
            self.status.update(Text(visible(words)))

    def clear(self) -> None:
        if self.status is not None:
            self.status.stop()
            self.status = None


@contextmanager
def interrupts() -> Iterator[Callable[[], int]]:
    """Note the first Ctrl-C (or SIGTERM), so that no step is cut in half; the second one stops at once.

    The function that this yields returns the number of the signal, 0 for none.
    """
    numbers: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if numbers:
            raise KeyboardInterrupt
        numbers.append(number)

    previous = {}
    if threading.current_thread() is threading.main_thread():  # other threads cannot catch signals
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores them
                previous[number] = signal.signal(number, note)
    try:
        yield lambda: numbers[0] if numbers else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def display(screen: Screen, seconds_before: float) -> Iterator[Show]:
    """Show each record: as a moving bar on a terminal, otherwise as one line per evaluation."""
    start = time.monotonic()

    def time_left(record: "StepRecord") -> str:  # evaluations included
        return seconds((time.monotonic() - start) / record.steps_here * (record.steps - record.step))

    if screen.live:
        with _bar(screen, time_left) as show:
            yield show
        return

    def show_line(record: "StepRecord") -> None:
        if record.val_nats is not None:
            screen.say(
                f"step {record.step:>{len(f'{record.steps:,}')},} of {record.steps:,}  train {record.train_nats:.4f}  "
                f"{_distill(record)}val {record.val_nats:.4f}{' *' if record.is_best else '  '}  "
                f"{record.chars_per_second:,.0f} chars/s  {seconds(seconds_before + record.seconds)} so far, "
                f"{time_left(record)} left"
            )

    yield show_line


@contextmanager
def _bar(screen: Screen, time_left: Callable[["StepRecord"], str]) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TextColumn

    wide = screen.width >= 100
    columns = [
        TextColumn("{task.completed:,}/{task.fields[steps]}", markup=False),
        BarColumn(bar_width=24 if wide else 8),
        TextColumn("{task.fields[numbers]}", markup=False),
    ]
    with Progress(*columns, console=screen.console, refresh_per_second=8) as bar:
        task = bar.add_task("train", total=None, steps="…", numbers="")
        val = "…"

        def show(record: "StepRecord") -> None:
            nonlocal val
            if record.val_nats is not None:
                val = f"{record.val_nats:.4f}"
            numbers = f"train {record.train_nats:.4f}  {_distill(record) if wide else ''}val {val}"
            if wide:
                numbers += f"  {record.chars_per_second:,.0f} chars/s"
            bar.update(
                task,
                total=record.steps,
                steps=f"{record.steps:,}",
                completed=record.step,
                numbers=f"{numbers}  {time_left(record)} left",
            )

        def show_task(name: str, fraction: float) -> None:
            bar.update(task, numbers=f"{name} {fraction:.0%}")

        with listening(show_task):
            yield show


def _distill(record: "StepRecord") -> str:
    """Return the loss of a student against its targets, which is what its steps reduce."""
    return "" if record.distill_nats is None else f"distill {record.distill_nats:.4f}  "
