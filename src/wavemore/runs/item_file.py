"""Files of items for people and other programs: a list, a table (CSV) or JSON Lines, by the ending of the name."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from wavemore.engine.evaluate import percentile_ranks
from wavemore.engine.line_source import Sample
from wavemore.errors import UsageError
from wavemore.files import is_present, replaced, special_kind
from wavemore.signs import cell, escaped
from wavemore.text.layout import broken
from wavemore.text.nearest import NearLines

ENDINGS = (".txt", ".csv", ".jsonl")

Item = Mapping[str, Any]
"""Values by the names of the columns: text, numbers, whether something is so, None where there is nothing."""


def sample_items(
    samples: Sequence[Sample], percentiles: Sequence[float] | None = None, near: NearLines | None = None
) -> list[Item]:
    """Return samples as items: with their ranks among the val lines, and the nearest known line, as far as given.

    The columns are the keys of each: text, nats, nats_per_char, percentile_rank, new, nearest, distance, label.
    """
    per_char = np.array([sample.nats / (len(sample.text) + 1) for sample in samples])
    columns: dict[str, Sequence[Any]] = {
        "text": [sample.text for sample in samples],
        "nats": [sample.nats for sample in samples],
        "nats_per_char": per_char.tolist(),
    }
    if percentiles is not None:
        columns["percentile_rank"] = percentile_ranks(percentiles, per_char).tolist()
    columns["new"] = [sample.new for sample in samples]
    if near is not None:
        found = near.nearest(columns["text"])
        columns |= {"nearest": [line for line, _ in found], "distance": [distance for _, distance in found]}
    if any(sample.label for sample in samples):
        columns["label"] = [sample.label for sample in samples]
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def check_item_file(path: Path) -> None:
    """Raise `UsageError` if items cannot be written there; call it before they are made."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path} must end in {', '.join(ENDINGS[:-1])} or .jsonl, for a list of items")
    if not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written, as there is no folder {path.parent}: create it")
    if is_present(path) and (kind := special_kind(path, follow=True)):
        raise UsageError(f"{path} cannot be written, as it is {kind}: give another file")


def write_items(path: Path, items: Iterable[Item], columns: Sequence[str], *, separator: str | None = None) -> int:
    """Write items with the given columns, of which one is "text", and return their number.

    A list (.txt) has the texts alone; if their items have several lines, the `separator` comes after each. The file
    appears when it is complete. Raises `UsageError` as `check_item_file` does, and `RunError` if the disk is full.
    """
    check_item_file(path)
    with replaced(path) as file:
        text_file = TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
        if path.suffix.lower() == ".csv":
            count = write_csv(text_file, items, columns)
        else:
            end, count = "\n" if separator is None else f"\n{separator}\n", 0
            for count, item in enumerate(items, 1):  # noqa: B007
                if path.suffix.lower() == ".txt":
                    text_file.write(broken(item["text"]) + end if separator is not None else item["text"] + end)
                else:
                    text_file.write(f"{_json({column: item[column] for column in columns})}\n")
        text_file.detach()  # writes the rest, and leaves the file open
    return count


def write_csv(file: TextIO, items: Iterable[Item], columns: Sequence[str]) -> int:
    """Write items as CSV with a header, and return their number; text is made visible, and never a formula."""
    writer, count = csv.writer(file, lineterminator="\n"), 0
    writer.writerow(columns)
    for count, item in enumerate(items, 1):  # noqa: B007
        writer.writerow([_cell(item[column]) for column in columns])
    return count


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    return "" if value is None else cell(str(value))


def _json(item: Item) -> str:
    return escaped(json.dumps(item, ensure_ascii=False))
