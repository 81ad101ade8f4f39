"""Optuna's storage in the folder of a tuning: JSON lines of the format of its JournalFileBackend, and nothing else.

Optuna's own backend follows links, leaves a lock behind when it is killed, and cannot read a file whose last line was
cut short. Here the caller holds the folder's lock, the file is read as all files of a run are, and what belongs
together is written at once.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from wavemore.errors import RunError, UsageError
from wavemore.files import read_file

try:
    import optuna
except ImportError:
    raise UsageError("tuning needs Optuna: pip install 'wavemore[tune]'") from None

from optuna.storages.journal import BaseJournalBackend, JournalStorage

__all__ = ["Journal", "damaged", "open_study", "optuna"]

NAME = "wavemore"
MAX_BYTES = 1 << 27
"""Of the file: a trial takes some 10,000."""

optuna.logging.set_verbosity(optuna.logging.ERROR)


class Journal(BaseJournalBackend):
    """A file of JSON lines, one per change. Raises `RunError` for a file that is damaged or no regular file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._logs: list[dict[str, Any]] = []
        self._waiting: list[dict[str, Any]] | None = None
        content = b""
        try:
            with suppress(FileNotFoundError, NotADirectoryError):
                content = read_file(path, MAX_BYTES)
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}; choose another `folder`") from None
        whole, _, self._torn = content.rpartition(b"\n")
        if self._torn.strip(b"\0") and not self._torn.startswith(b"{"):
            raise damaged(path, ValueError("its end is no line of a journal"))  # perhaps a database, which must stay
        decode = msgspec.json.Decoder(dict[str, Any]).decode
        for line in whole.splitlines():
            try:
                self._logs.append(decode(line))
            except (msgspec.MsgspecError, RecursionError) as error:
                raise damaged(path, error) from None

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Return the changes from a number on."""
        return iter(self._logs[log_number_from:])

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write changes, or keep them until the end of `at_once`."""
        self._logs += (json.loads(json.dumps(log)) for log in logs)
        if self._waiting is not None:
            self._waiting += logs
        else:
            self._write(logs)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Write all changes of the block together, so that a process that is killed leaves all of them or none."""
        self._waiting = []
        try:
            yield
            self._write(self._waiting)
        finally:
            self._waiting = None

    def _write(self, logs: list[dict[str, Any]]) -> None:
        if not logs:
            return
        content = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs).encode()
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0)
        try:
            if self._torn:  # by a process that was killed, or by a full disk
                os.truncate(self.path, self.path.stat().st_size - len(self._torn))
                self._torn = b""
            descriptor = os.open(self.path, flags, 0o666)
            try:
                written = os.write(descriptor, content)
                self._torn = content[:written].rpartition(b"\n")[2] if written < len(content) else b""
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise RunError(f"cannot write {self.path}: {error.strerror or error}") from None
        if written < len(content):
            raise RunError(f"cannot write {self.path}: the disk is full")


def open_study(journal: Journal) -> "optuna.Study":
    """Open the study of a journal, or begin it. Raises `RunError` for a journal that is damaged."""
    try:
        storage = JournalStorage(journal)
        study = optuna.create_study(storage=storage, study_name=NAME, direction="minimize", load_if_exists=True)
        _ = [trial.params for trial in study.get_trials(deepcopy=False)]
    except RunError:
        raise
    except Exception as error:  # noqa: BLE001 (replaying what a stranger has written can fail in any way)
        raise damaged(journal.path, error) from None
    return study


def damaged(path: Path, error: Exception) -> RunError:
    """Return an error about a journal that cannot be read."""
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return RunError(f"{path} is damaged or was changed ({reason}): choose another `folder`, or delete this one")
