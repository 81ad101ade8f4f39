"""The records of a training for TensorBoard, as event files in the run folder."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from wavemore.errors import RunError, UsageError
from wavemore.runs.record import Record
from wavemore.runs.run import Run

SCALARS = ("train_nats", "val_nats", "learning_rate")


def require_tensorboard() -> None:
    """Raise `UsageError` where the package is missing."""
    try:
        _writer()
    except ImportError:
        raise UsageError("--tensorboard needs tensorboard: pip install 'wavemore[tensorboard]'") from None


class Board:
    """Writes what `metrics.jsonl` holds to `tensorboard/` in the run folder, record by record.

    It begins with the records that there are already, and tells TensorBoard to forget what older event files say:
    a run that was resumed, even from before its last record, has every step once.
    """

    def __init__(self, run: Run, records: Sequence[Record]) -> None:
        self.folder = run.events
        try:
            self._events = _writer()(str(self.folder), purge_step=0, flush_secs=5)
        except OSError as error:
            raise self._failed(error) from None
        for record in records:
            self.add(record, seconds_ago=records[-1]["seconds"] - record["seconds"])

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        try:
            self._events.close()
        except OSError as error:
            if value is None:
                raise self._failed(error) from None

    def add(self, record: Record, seconds_ago: float = 0.0) -> None:
        """Write the scalars of a record, of now or of some training time ago.

        Raises `RunError` where the disk is full.
        """
        step, when = record["step"], time.time() - seconds_ago
        try:
            for name in SCALARS:
                value = record.get(name)
                if isinstance(value, float):
                    self._events.add_scalar(name, value, step, when)
            for name, ratio in record.get("update_ratios", {}).items():
                self._events.add_scalar(f"update_ratios/{name}", ratio, step, when)
        except OSError as error:
            raise self._failed(error) from None

    def _failed(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.folder}: {error.strerror or error}; go on without --tensorboard")


def _writer() -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter
