"""The files of a run folder: which there are, and how they are removed or replaced without a moment of mixture."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from wavemore.errors import RunError
from wavemore.files import check_regular, move

LINES, INITIAL = "lines.safetensors", "initial.safetensors"
FIRST_FILES = (LINES, INITIAL, "vocabulary.json")
"""Written before config.json, which makes the folder a run."""

RESULTS = ("summary.json", "samples.txt", "val.safetensors", "test.safetensors", "failed.json")
"""Written at the end of a training."""

FILES = ("state.safetensors", "model.safetensors", "metrics.jsonl", *RESULTS, "config.json", *FIRST_FILES)
"""In the order of deletion: a half-deleted run is a run or, without config.json, nothing."""

SAVED = ("config.json", "vocabulary.json", LINES, "model.safetensors", "summary.json")
"""The files of a saved model, in the order in which they are removed."""

CARD = "README.md"
"""The model card of an exported one."""

BESIDE = {CARD, ".git", ".gitattributes", ".cache"}
"""What else may be in the folder of a saved model: it comes from the Hugging Face hub, or goes there."""

REPLACEMENT = ".replacement"
"""A folder in a run's folder: a training that will replace the run once it has a model."""


def is_temporary(path: Path) -> bool:
    """Whether `write_atomic` had not moved this file to its place yet: `.<name>.<process>.tmp`."""
    return path.name.endswith(".tmp") and path.name[1:].rsplit(".", 2)[0] in FILES


def remove_files(folder: Path) -> None:
    """Remove the files of a run and nothing else; the folder too if it is a replacement."""
    if folder.is_symlink() and folder.name == REPLACEMENT:  # not ours
        folder.unlink()
        return
    remove_events(folder)
    for name in FILES:
        (folder / name).unlink(missing_ok=True)
    if folder.name == REPLACEMENT:
        remove_temporary(folder)
        with suppress(OSError):  # it holds other files, or there is none
            folder.rmdir()


def remove_temporary(folder: Path) -> None:
    """Remove what a killed process had not moved to its place."""
    for entry in folder.glob(".*.tmp"):
        if is_temporary(entry) and not entry.is_dir():
            entry.unlink(missing_ok=True)


def remove_events(folder: Path) -> None:
    """Remove the events for TensorBoard."""
    path = folder / "tensorboard"
    if not path.is_symlink():
        for file in path.glob("events.out.tfevents.*"):
            file.unlink(missing_ok=True)
    with suppress(OSError):  # it holds other files, is a link, or there is none
        path.rmdir()


def replace_files(folder: Path, *, has_lines: bool, has_initial: bool) -> None:
    """Replace the run in a folder by the unfinished training in its `REPLACEMENT`.

    From the first removal to the last move the folder has no config.json, so it is no run. A replacement that was cut
    short can be done again: what is removed does not depend on what was already moved.
    """
    new = folder / REPLACEMENT
    (folder / "config.json").unlink(missing_ok=True)
    old = (*RESULTS, *(() if has_lines else (LINES,)), *(() if has_initial else (INITIAL,)))
    for name in old:
        (folder / name).unlink(missing_ok=True)
    for name in sorted(FILES, key="config.json".__eq__):  # config.json is the last
        if (new / name).exists():
            move(new / name, folder / name)
    remove_events(folder)
    remove_files(new)


@contextmanager
def locked(folder: Path, *, what: str = "training", parameter: str = "run", timeout: float = 0.5) -> Iterator[None]:
    """Hold a folder for one training, or what else it is; the lock of a killed process is released.

    Raises `RunError` if another process holds it for longer than `timeout` seconds; another `parameter` would help.
    """
    try:
        with suppress(FileNotFoundError):
            check_regular(folder / "lock")
        if (folder / REPLACEMENT).is_symlink():
            raise RunError(f"{folder / REPLACEMENT} is a symbolic link, and would be written elsewhere: remove it")
        lock = filelock.FileLock(folder / "lock").acquire(timeout=timeout)
    except filelock.Timeout:
        message = f"another {what} is writing to {folder}: wait for it, or choose another `{parameter}`"
        raise RunError(message) from None
    except OSError as error:
        raise RunError(f"cannot write to {folder}: {error.strerror}") from None
    with lock:
        yield


def is_locked(folder: Path) -> bool:
    """Whether another process, or another part of this one, trains in a folder."""
    path = folder / "lock"
    if path.is_symlink() or not path.is_file():
        return False
    try:
        with filelock.FileLock(path).acquire(timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:  # a folder of somebody else
        return False
