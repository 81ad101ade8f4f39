"""Figures as files."""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from wavemore.errors import UsageError
from wavemore.files import write_atomic
from wavemore.plots.figure import to_pdf, to_png, to_svg

FORMATS: dict[str, Callable[[Figure], bytes]] = {".png": to_png, ".svg": to_svg, ".pdf": to_pdf}


def figure_path(file: str) -> Path:
    """Return the path of a figure that will be written, checked before the work for it begins.

    Raises `UsageError` for a suffix other than .png, .svg and .pdf, and for a missing folder.

    >>> figure_path("log.gif")
    Traceback (most recent call last):
    wavemore.errors.UsageError: cannot write a figure as log.gif: use a name that ends in .png, .svg or .pdf
    """
    path = Path(file)
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"cannot write a figure as {file}: use a name that ends in .png, .svg or .pdf")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for the figure {path.name}: create it, or name another")
    return path


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix.

    Raises `RunError` if it cannot be written.
    """
    write_atomic(path, FORMATS[path.suffix.lower()](figure))
