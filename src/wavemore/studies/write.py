"""A study's page and its pictures, on disk."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wavemore.files import write_atomic
from wavemore.studies.page import groups, page, values

if TYPE_CHECKING:
    from wavemore.plots import Figure


def figures(record: Mapping[str, Any]) -> dict[str, "Figure"]:
    """The figures of a study by name: one a group of arms, each seed a dot, with mean and interval."""
    from wavemore.plots import Arm, arms

    found = {}
    for number, group in enumerate(groups(record), start=1):
        rows = [
            Arm(arm["name"], values(arm, "val_nats"), arm["published"]["val"] if arm["published"] else None)
            for arm in record["arms"]
            if arm["group"] == group and values(arm, "val_nats")
        ]
        if rows:
            found[f"{record['name']}-{number}"] = arms(rows)
    return found


def pictures(record: Mapping[str, Any]) -> dict[str, bytes]:
    """The same as SVG, by file name; they follow light and dark pages."""
    from wavemore.plots import to_svg

    return {f"{name}.svg": to_svg(figure, page="any") for name, figure in figures(record).items()}


def write_page(record: Mapping[str, Any], path: Path) -> None:
    """Write the page to `path` and its pictures beside it; without matplotlib there are none, and the page says so."""
    from wavemore.errors import UsageError

    try:
        drawn = pictures(record)
    except UsageError as error:
        write_atomic(path, f"{page(record)}\nNo pictures: {error}\n".encode())
        return
    for name, content in drawn.items():
        write_atomic(path.parent / name, content)
    write_atomic(path, page(record, list(drawn)).encode())
