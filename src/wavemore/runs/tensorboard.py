"""The records of a training for TensorBoard, as event files in the run folder."""

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from wavemore.errors import RunError, UsageError
from wavemore.runs.record import Record
from wavemore.runs.run import Run
from wavemore.signs import visible

SCALARS = ("train_nats", "val_nats", "learning_rate")


def require_tensorboard() -> None:
    """Raise `UsageError` if the package is missing."""
    try:
        _writer_class()
    except ImportError:
        raise UsageError("`tensorboard` needs the package of that name: pip install 'wavemore[tensorboard]'") from None


class Board(AbstractContextManager["Board"]):
    """Writes the content of `metrics.jsonl` to `tensorboard/` in the run folder, record by record.

    It begins with the records so far and tells TensorBoard to forget older event files, so that a resumed run shows
    every step once. A replacement writes nothing before it takes its place: the writer's files cannot be moved.
    """

    def __init__(self, run: Run, records: Sequence[Record]) -> None:
        """`records` grows during the training."""
        self.run, self.folder, self.records = run, run.home / "tensorboard", records
        if self.folder.is_symlink():
            raise RunError(f"{self.folder} is a symbolic link, and would be written elsewhere: remove it")
        self._events: Any = None
        self._written = 0
        self.update()

    def __exit__(self, *exception: object) -> None:
        try:
            if self._events is not None:
                self._events.close()
        except OSError as error:
            raise self._failed(error) from None

    def update(self) -> None:
        """Write the records that are new.

        Raises `RunError` if the disk is full.
        """
        if self.run.is_replacement:
            return
        try:
            if self._events is None:
                self._events = _writer_class()(str(self.folder), purge_step=0, flush_secs=5)
            for record in self.records[self._written :]:
                self._add(record, time.time() + record["seconds"] - self.records[-1]["seconds"])
        except OSError as error:
            raise self._failed(error) from None
        self._written = len(self.records)

    def _add(self, record: Record, at: float) -> None:
        scalars: dict[str, Any] = {name: record[name] for name in SCALARS if name in record}  # type: ignore[literal-required]
        scalars |= {f"update_ratios/{visible(name)}": ratio for name, ratio in record.get("update_ratios", {}).items()}
        for name, value in scalars.items():
            self._events.add_scalar(name, value, record["step"], at)

    def _failed(self, error: OSError) -> RunError:
        return RunError(f"cannot write {self.folder}: {error.strerror or error}; continue without `tensorboard`")


def _writer_class() -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter
