"""Figures as files; what is in them is `wavemore.plots`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from wavemore.errors import UsageError
from wavemore.files import write_atomic

if TYPE_CHECKING:
    from wavemore.plots import Figure

SUFFIXES = (".png", ".svg", ".pdf")


def figure_path(file: str) -> Path:
    """The path of a figure that is to be written, looked at before any work is done for it.

    Raises `UsageError` for a suffix that is none of .png, .svg and .pdf, a folder that is not there, and where there
    is no matplotlib.

    >>> figure_path("log.gif")
    Traceback (most recent call last):
    wavemore.errors.UsageError: log.gif is no figure that can be drawn: take a name that ends with .png, .svg or .pdf
    """
    path = Path(file)
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{file} is no figure that can be drawn: take a name that ends with .png, .svg or .pdf")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {path.parent} for the figure {path.name}: make it, or take another")
    import wavemore.plots  # noqa: F401 (it says so where there is no matplotlib)

    return path


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a figure in the form that its suffix asks for.

    Raises `RunError` where it cannot be written.
    """
    from wavemore.plots import to_pdf, to_png, to_svg

    forms: dict[str, Callable[[Figure], bytes]] = {".png": to_png, ".svg": to_svg, ".pdf": to_pdf}
    write_atomic(path, forms[path.suffix.lower()](figure))
