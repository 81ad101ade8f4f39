from pathlib import Path

import pytest

from wavemore.errors import RunError, UsageError
from wavemore.plots import Difference, difference_by_position
from wavemore.plots.save import figure_path, write_figure

DIFFERENCES = [
    Difference("1", -0.1, -0.2, 0.05, 100),
    Difference("9 to 12", -0.3, None, None, 7),
    Difference("end of line", 0.1, 0.05, 0.2, 100),
]


def test_a_figure_is_written_in_the_format_of_its_suffix_with_the_same_bytes_each_time(tmp_path: Path) -> None:
    for suffix, start in ((".png", b"\x89PNG"), (".SVG", b"<?xml"), (".pdf", b"%PDF")):
        contents = []
        for _ in range(2):
            path = figure_path(str(tmp_path / f"figure{suffix}"))
            write_figure(difference_by_position(DIFFERENCES, overall=-0.1), path)
            contents.append(path.read_bytes())
        assert contents[0].startswith(start)
        assert contents[0] == contents[1]


def test_a_bad_path_is_an_error_before_the_work_begins(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot write a figure as x\.gif: .* \.png, \.svg or \.pdf"):
        figure_path("x.gif")
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere for the figure x\.png"):
        figure_path(str(tmp_path / "nowhere" / "x.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*folder\.png"):
        write_figure(difference_by_position(DIFFERENCES), tmp_path / "folder.png")


def test_a_difference_is_drawn_with_its_interval() -> None:
    axes, below = difference_by_position(DIFFERENCES, a="A (x$y$)", overall=-0.05).axes
    low, high = axes.get_ylim()
    assert low < -0.3 < 0.2 < high
    assert [label.get_text() for label in below.get_xticklabels()] == ["1", "9-12", "end"]
    assert any("A (x$y$) better" in text.get_text() for text in axes.texts)
