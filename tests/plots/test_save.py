import sys
from pathlib import Path

import pytest

from wavemore.errors import RunError, UsageError
from wavemore.plots import Difference, Point, difference_by_position, losses_against_costs
from wavemore.plots.save import figure_path, write_figure

DIFFERENCES = [
    Difference("1", -0.1, -0.2, 0.05, 100),
    Difference("9 to 12", -0.3, None, None, 7),
    Difference("end of line", 0.1, 0.05, 0.2, 100),
]


def test_a_figure_is_written_as_its_suffix_says_and_always_the_same(tmp_path: Path) -> None:
    for suffix, begins in ((".png", b"\x89PNG"), (".SVG", b"<?xml"), (".pdf", b"%PDF")):
        contents = []
        for _ in range(2):
            path = figure_path(str(tmp_path / f"figure{suffix}"))
            write_figure(difference_by_position(DIFFERENCES, whole=-0.1), path)
            contents.append(path.read_bytes())
        assert contents[0].startswith(begins)
        assert contents[0] == contents[1]


def test_what_cannot_be_drawn_is_said_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"x\.gif is no figure .* \.png, \.svg or \.pdf"):
        figure_path("x.gif")
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere for the figure x\.png"):
        figure_path(str(tmp_path / "nowhere" / "x.png"))
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(RunError, match=r"cannot write .*folder\.png"):
        write_figure(difference_by_position(DIFFERENCES), tmp_path / "folder.png")
    for name in [name for name in sys.modules if name.startswith("wavemore.plots")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UsageError, match=r"figures need matplotlib: pip install 'wavemore\[plot\]'"):
        figure_path("x.png")


def test_both_costs_have_axes_of_their_own() -> None:
    points = [Point("a", 100, 2.1, 0.01), Point("b", 1_000, 2.0, None)]
    upper, lower = losses_against_costs(points, [Point("a", 1, 2.1), Point("b", 3, 2.0)]).axes
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("parameters", "seconds of training")
    assert [text.get_text() for text in upper.texts] == ["a", "b"]
    assert len(losses_against_costs([], []).axes) == 2


def test_a_difference_is_drawn_with_its_interval() -> None:
    axes, below = difference_by_position(DIFFERENCES, a="A (x$y$)", whole=-0.05).axes
    low, high = axes.get_ylim()
    assert low < -0.3 < 0.2 < high
    assert [label.get_text() for label in below.get_xticklabels()] == ["1", "9-12", "end"]
    assert any("A (x$y$) better" in text.get_text() for text in axes.texts)
    assert difference_by_position([]).axes
