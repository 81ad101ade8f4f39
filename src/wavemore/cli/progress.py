"""The progress of a training on the terminal, and the signals that stop it."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from wavemore.cli.screen import Screen, seconds

if TYPE_CHECKING:
    from wavemore.engine.step_record import StepRecord

Show = Callable[["StepRecord"], None]


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
def display(screen: Screen, steps: int, seconds_before: float) -> Iterator[Show]:
    """Show each record: as a moving bar on a terminal, otherwise as one line per evaluation."""
    start = time.monotonic()

    def time_left(record: "StepRecord") -> str:  # evaluations included
        return seconds((time.monotonic() - start) / record.steps_here * (steps - record.step))

    if screen.live:
        with _bar(screen, steps, time_left) as show:
            yield show
        return

    def show_line(record: "StepRecord") -> None:
        if record.val_nats is not None:
            screen.say(
                f"step {record.step:>{len(f'{steps:,}')},} of {steps:,}  train {record.train_nats:.4f}  "
                f"{_distill(record)}val {record.val_nats:.4f}{' *' if record.is_best else '  '}  "
                f"{record.chars_per_second:,.0f} chars/s  {seconds(seconds_before + record.seconds)} so far, "
                f"{time_left(record)} left"
            )

    yield show_line


@contextmanager
def _bar(screen: Screen, steps: int, time_left: Callable[["StepRecord"], str]) -> Iterator[Show]:
    from rich.progress import BarColumn, Progress, TextColumn

    wide = screen.width >= 100
    columns = [
        TextColumn("{task.completed:,}/{task.total:,}", markup=False),
        BarColumn(bar_width=24 if wide else 8),
        TextColumn("{task.fields[numbers]}", markup=False),
    ]
    with Progress(*columns, console=screen.console, refresh_per_second=8) as bar:
        task = bar.add_task("train", total=steps, numbers="")
        val = "…"

        def show(record: "StepRecord") -> None:
            nonlocal val
            if record.val_nats is not None:
                val = f"{record.val_nats:.4f}"
            numbers = f"train {record.train_nats:.4f}  {_distill(record) if wide else ''}val {val}"
            if wide:
                numbers += f"  {record.chars_per_second:,.0f} chars/s"
            bar.update(task, completed=record.step, numbers=f"{numbers}  {time_left(record)} left")

        yield show


def _distill(record: "StepRecord") -> str:
    """Return the loss of a student against its targets, which is what its steps reduce."""
    return "" if record.distill_nats is None else f"distill {record.distill_nats:.4f}  "
