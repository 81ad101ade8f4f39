"""A run folder on its way to another machine or back: its files as bytes, none of them half written at any moment."""

from collections.abc import Mapping
from math import inf
from pathlib import Path

from wavemore.files import read_file, write_atomic
from wavemore.runs.layout import FILES, FIRST_FILES, RESULTS

_ORDER = (*FIRST_FILES, "config.json", "metrics.jsonl", "model.safetensors", "state.safetensors", *RESULTS[::-1])
"""A folder that is cut short while it is written is a run, and is only finished with the last file, summary.json."""


def read_files(folder: Path) -> dict[str, bytes]:
    """Read the files of a run by name; a training may go on there, whose state is read before its records."""
    contents = {}
    for name in FILES:
        try:
            contents[name] = read_file(folder / name, inf)
        except FileNotFoundError:
            continue
    return contents


def write_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files of a run, and remove those that it no longer has; the caller holds the folder's lock.

    Only the names of a run's files are written. Raises `RunError` if the disk is full or the folder cannot be written.
    """
    for name in _ORDER:
        if name in contents:
            write_atomic(folder / name, contents[name])
    for name in FILES:
        if name not in contents:
            (folder / name).unlink(missing_ok=True)
