"""Figures: what they show, how they are labelled, and that no input makes them fail or warn."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from wavemore import plots
from wavemore.errors import UsageError
from wavemore.plots.style import MARKERS, SERIES, drawn_sign, label, series_style
from wavemore.plots.training import Histogram, Record

ODD = ["", " ", "\t", "天", "😀", "\u0301", "$", "_x", "\u200d", "\x07", "\U000f0000", "é", "\\", "{", "%", "\u05d0"]
ODD += ["\ud800"]  # half of a surrogate pair
NAN, INFINITY = float("nan"), float("inf")


def records(n: int = 100) -> list[Record]:
    """n records of five steps each, every tenth with a val loss; the lowest is at step 350."""
    return [
        {"step": 5 * i, "train_nats": 2 + 1 / i} | ({"val_nats": 2.1 + abs(i - 70) / 100} if i % 10 == 0 else {})
        for i in range(1, n + 1)
    ]


def histogram(values: Sequence[float] = (-1, 0, 0, 0.5, 2)) -> Histogram:
    counts, edges = np.histogram(values, 4)
    return counts, edges


TRIALS = [
    plots.Trial(number, kind, 2 + number / 9, number == 4, {"learning_rate": rate, "fuse": fuse, "parameters": 9})
    for number, (kind, rate, fuse) in enumerate(
        [("tree", 0.02, "2x2"), ("lstm", 0.2, "4"), ("tree", 0.1, "4"), ("lstm", 1.0, "2x2")], start=1
    )
]
FIGURES: dict[str, Callable[[], Figure]] = {
    "learning_curves": lambda: plots.learning_curves({"a": records(), "b": records(50)}),
    "update_ratios": lambda: plots.update_ratios([with_ratios(1, -2.0), with_ratios(2, -3.0)], {"SGD": -3.0}),
    "activation_histograms": lambda: plots.activation_histograms({"1 Linear": histogram(), "2 Tanh": histogram()}),
    "gradient_histograms": lambda: plots.gradient_histograms({"1 Linear": histogram()}),
    "embedding": lambda: plots.embedding(np.arange(12.0).reshape(4, 3) ** 2, ["", "a", "b", "7"]),
    "surprise": lambda: plots.surprise("ab", [1.0, 2.0, 0.5]),
    "loss_by_position": lambda: plots.loss_by_position([3.0, 2.0, 1.0], [9, 8, 2], [0.1, 0.1, 0.5]),
    "loss_by_length": lambda: plots.loss_by_length([3, 5], [1.75, 2.0], [2, 1], [0.1, 0.0]),
    "tree": lambda: plots.tree((2, 2, 2), "anna"),
    "losses_against": lambda: plots.losses_against(
        {"parameters": [plots.Point("a", 10, 2.0, 0.1)], "seconds": [plots.Point("a", 3.5, 2.0)]}
    ),
    "difference_by_position": lambda: plots.difference_by_position(
        [plots.Difference("1", -0.1, -0.2, 0.0, 9), plots.Difference("2", 0.1, None, None, 1)], a="one", b="two"
    ),
    "arms": lambda: plots.arms([plots.Arm("a", [1.9, 2.0, 2.1], 2.05, 0.2), plots.Arm("b", [2.2])]),
    "trials_over_time": lambda: plots.trials_over_time(TRIALS, winner=2),
    "slices": lambda: plots.slices(TRIALS, 2, {"learning_rate": True, "fuse": None, "parameters": False}),
    "importances": lambda: plots.importances({"learning_rate": 0.75, "fuse": 0.25}),
}


def with_ratios(step: int, value: float) -> Any:
    return {"step": step, "update_ratios": {"layers.0.weight": value, "layers.2.weight": value - 1}}


def xs_of(line: Any) -> list[float]:
    return [float(x) for x in line.get_xdata()]


def ys_of(line: Any) -> list[float]:
    return [float(y) for y in line.get_ydata()]


def labels_of(figure: Figure) -> str:
    """All text of a figure's axes, titles and legends."""
    parts = [figure.get_suptitle(), figure.get_supylabel()]
    for axes in figure.axes:
        parts += [axes.get_title(loc="left"), axes.get_xlabel(), axes.get_ylabel()]
        parts += [text.get_text() for text in axes.texts]
    for legend in [axes.get_legend() for axes in figure.axes] + list(figure.legends):
        parts += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(parts)


OTHERS = {"Arm", "Difference", "Figure", "Point", "Trial", "to_pdf", "to_png", "to_svg"}


def test_every_figure_is_tested_here() -> None:
    assert set(FIGURES) == set(plots.__all__) - OTHERS


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_returned_and_nothing_else_happens(name: str) -> None:
    before = matplotlib.rcParams.copy()
    figure = FIGURES[name]()
    assert isinstance(figure, Figure)
    assert figure.canvas.manager is None  # it belongs to no window
    assert "matplotlib.pyplot" not in sys.modules
    assert matplotlib.rcParams.copy() == before
    png, size = figure._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG")
    assert size["width"] > size["height"] / 2 > 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("learning_curves", ["step", "loss (nats per character)", "a: train, averaged", "b: val"]),
        ("update_ratios", ["step", "log10 of std(update) / std(weight)", "layers.2.weight", "-3: healthy for SGD"]),
        ("activation_histograms", ["1 Linear", "activation", "std"]),
        ("gradient_histograms", ["gradient (nats per unit)"]),
        ("embedding", ["% of the variance", "vowels", "other letters", "digits", "⏎"]),
        ("surprise", ["surprise (nats)", "1.0", "0.5", "Surprise of each character: ab"]),
        ("loss_by_position", ["position in the line", "loss (nats per character)", "lines"]),
        ("loss_by_length", ["characters in the line", "loss (nats per character)", "lines"]),
        ("tree", ["8 characters, fused 2 x 2 x 2", "anna", "····", "next character"]),
        ("losses_against", ["parameters", "seconds", "val loss (nats per character)", "1  a"]),
        ("difference_by_position", ["B - A (nats per character)", "position in the line", "targets", "two better"]),
        (
            "trials_over_time",
            ["trial", "val loss (nats per character)", "tree", "lstm, pruned", "best so far", "winner"],
        ),
        ("slices", ["learning rate", "fuse", "parameters", "val loss", "Loss against each setting"]),
        ("importances", ["75%", "25%", "Which settings mattered"]),
        ("arms", ["test loss (nats per character)", "95 % interval", "published", "2.0000 ± 0.1000", "2.2000"]),
    ],
)
def test_a_figure_is_labelled_with_units(name: str, expected: list[str]) -> None:
    labels = labels_of(FIGURES[name]())
    assert [text for text in expected if text not in labels] == []


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_rows_give_the_same_bytes(name: str) -> None:
    figure = FIGURES[name]()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "text.usetex": True, "svg.hashsalt": "x"}):
        again = FIGURES[name]()
        assert plots.to_svg(figure) == plots.to_svg(again)
    svg = plots.to_svg(figure)
    assert ElementTree.fromstring(svg.decode()).tag.endswith("svg")
    assert b"dc:date" not in svg


def test_an_svg_for_any_page_has_colours_for_light_and_dark_pages() -> None:
    svg = plots.to_svg(FIGURES["learning_curves"](), page="any").decode()
    ElementTree.fromstring(svg)
    assert "prefers-color-scheme: dark" in svg
    body = svg.split("</style>", 1)[1]
    assert SERIES[0] not in body
    assert "var(--c" in body


def test_learning_curves_show_the_records_and_their_means() -> None:
    axes = plots.learning_curves({"a": records()}, window=50).axes[0]
    raw, averaged, val, best = axes.get_lines()
    assert (xs_of(raw)[:2], ys_of(raw)[:2]) == ([5, 10], [3, 2.5])
    expected = [np.mean([2 + 1 / i for i in range(begin, begin + 50)]) for begin in (1, 51)]
    assert np.allclose(ys_of(averaged), expected)
    assert xs_of(averaged) == [125, 375]
    assert len(xs_of(val)) == 10
    assert (xs_of(best), ys_of(best)) == ([350], [2.1])
    assert "best val 2.1000\nafter step 350" in labels_of(axes.figure)  # type: ignore[arg-type]


def test_means_are_weighted_by_the_steps_of_a_record() -> None:
    uneven: list[Any] = [{"step": step, "train_nats": nats} for step, nats in ((1, 5.0), (10, 1.0))]
    averaged = plots.learning_curves({"a": uneven}, window=2).axes[0].get_lines()[1]
    assert ys_of(averaged) == pytest.approx([(5.0 + 9 * 1.0) / 10])


def test_bars_of_surprise_have_the_height_of_their_nats() -> None:
    axes = plots.surprise("a b", [1.0, 2.5, 0.25, 4.0]).axes[0]
    assert [bar.get_height() for bar in axes.patches] == [1.0, 2.5, 0.25, 4.0]  # type: ignore[attr-defined]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "␣", "b", "⏎"]


def test_a_long_line_is_wrapped_and_cut() -> None:
    figure = plots.surprise("ab" * 300, [1.0] * 601)
    assert len(figure.axes) == 10
    assert "281 more are not shown" in labels_of(figure)


def test_a_wide_interval_does_not_flatten_the_means() -> None:
    above, below = plots.loss_by_length([1, 3], [1.5, 2.0], [20, 2], [0.1, 50.0]).axes
    line = above.get_lines()[0]
    assert (xs_of(line), ys_of(line)) == ([1, 3], [1.5, 2])
    assert [bar.get_height() for bar in below.patches] == [20, 2]  # type: ignore[attr-defined]
    low, high = above.get_ylim()
    assert 1 < low < 1.5 < 2 < high < 2.5


def test_the_embedding_is_drawn_in_the_plane_of_most_variance() -> None:
    rng = np.random.default_rng(0)
    turned = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    flat = np.concatenate([rng.normal(size=(30, 2)) * [9, 2], np.zeros((30, 3))], axis=1)
    axes = plots.embedding(flat @ turned, [chr(97 + i) for i in range(26)] + list("1234")).axes[0]
    drawn = np.array([text.get_position() for text in axes.texts])
    centred = flat - flat.mean(axis=0)
    distances = np.linalg.norm(drawn[:, None] - drawn[None], axis=2)
    assert np.allclose(distances, np.linalg.norm(centred[:, None] - centred[None], axis=2))
    assert drawn[:, 0].std() > drawn[:, 1].std()


@pytest.mark.parametrize("fuse", [(1,), (3,), (8,), (2, 2, 2), (2, 3), (3, 2), (1, 2, 1), (2,) * 9])
def test_a_tree_has_every_edge(fuse: tuple[int, ...]) -> None:
    axes = plots.tree(fuse, "some words").axes[0]
    [edges] = axes.collections
    nodes = [int(np.prod(fuse[level:])) for level in range(len(fuse))]
    assert len(edges.get_segments()) == sum(nodes)  # type: ignore[attr-defined]


@pytest.mark.parametrize("fuse", [(), (0,), (2, -1)])
def test_fusions_below_one_are_an_error(fuse: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="`fuse` is"):
        plots.tree(fuse)


def test_arms_show_seeds_means_and_intervals() -> None:
    axes = plots.arms([plots.Arm("a", [1.0, 2.0, 3.0], published=2.5, half_width=2.484)]).axes[0]
    lines = {line.get_marker(): xs_of(line) for line in axes.get_lines()}
    assert lines["o"] == [1.0, 2.0, 3.0]
    assert lines["D"] == [2.0]
    assert lines["X"] == [2.5]
    [interval] = [bar for bar in axes.collections if bar.get_paths()]
    [(low, _), (high, _)] = interval.get_paths()[0].vertices.tolist()  # type: ignore[union-attr]
    assert (high - low) / 2 == pytest.approx(2.484)


def test_points_are_numbered_by_loss_alike_in_both_axes() -> None:
    parameters = [plots.Point("big", 1_000, 2.0), plots.Point("small", 10, 2.2), plots.Point("mid", 100, 2.1)]
    seconds = [plots.Point("small", 1, 2.2), plots.Point("big", 5, 2.0)]
    figure = plots.losses_against({"parameters": parameters, "seconds": seconds})
    texts = [[text.get_text() for text in axes.texts] for axes in figure.axes]
    assert texts == [["1", "3", "2", "1  big\n2  mid\n3  small"], ["3", "1", "1  big\n3  small"]]


EMPTY: list[Callable[[], Figure]] = [
    lambda: plots.learning_curves({}),
    lambda: plots.learning_curves({"a": []}),
    lambda: plots.learning_curves({"a": records(1)}),
    lambda: plots.learning_curves({"a": [{"step": 1, "train_nats": NAN}]}),
    lambda: plots.update_ratios(records(3)),
    lambda: plots.update_ratios([with_ratios(1, NAN), with_ratios(2, -INFINITY)]),
    lambda: plots.update_ratios([with_ratios(1, -3.0)]),
    lambda: plots.activation_histograms({}),
    lambda: plots.activation_histograms({"dead": (np.zeros(3), np.arange(4.0))}),
    lambda: plots.gradient_histograms({"one": (np.array([5]), np.array([0.0, 0.0]))}),
    lambda: plots.gradient_histograms({"broken": (np.array([1.0]), np.array([NAN, NAN]))}),
    lambda: plots.embedding(np.zeros((0, 3)), []),
    lambda: plots.embedding(np.zeros((1, 3)), ["a"]),
    lambda: plots.embedding(np.ones((4, 1)), list("abcd")),
    lambda: plots.embedding(np.full((2, 2), NAN), list("ab")),
    lambda: plots.surprise("", [1.0]),
    lambda: plots.surprise("", []),
    lambda: plots.surprise("ab", [INFINITY, NAN]),
    lambda: plots.loss_by_position([], [], []),
    lambda: plots.loss_by_position([2.0], [1], [0.0]),
    lambda: plots.loss_by_position([2.0, NAN], [2, 1], [NAN, 0.1]),
    lambda: plots.loss_by_length([], [], [], []),
    lambda: plots.loss_by_length([3], [NAN], [1], [NAN]),
    lambda: plots.losses_against({"seconds": []}),
    lambda: plots.losses_against({"seconds": [plots.Point("a", 0, 2.0), plots.Point("b", 1, NAN)], "parameters": []}),
    lambda: plots.losses_against({"seconds": [plots.Point("a", 3, 2.0, NAN), plots.Point("a", 3, 2.0)]}),
    lambda: plots.losses_against({"seconds": [plots.Point(f"{i}", i, 2.0) for i in range(1, 60)]}),
    lambda: plots.difference_by_position([]),
    lambda: plots.arms([]),
    lambda: plots.arms([plots.Arm("none", []), plots.Arm("broken", [NAN], published=2.0)]),
    lambda: plots.arms([plots.Arm("same", [2.0, 2.0], half_width=0.0)]),
    lambda: plots.arms([plots.Arm("broken", [2.0, 2.1], half_width=NAN)]),
    lambda: plots.tree((100_000,)),
    lambda: plots.trials_over_time([], 1),
    lambda: plots.trials_over_time([plots.Trial(1, "tree", NAN, False, {})], 1),
    lambda: plots.trials_over_time([plots.Trial(1, "tree", 2.0, True, {})], 1),
    lambda: plots.slices([], 1, {}),
    lambda: plots.slices([plots.Trial(1, "tree", 2.0, False, {"a": 0.0})], 1, {"a": True, "b": None, "c": False}),
    lambda: plots.slices([plots.Trial(n, "tree", 2.0, False, {"a": n}) for n in (-1, 10**9)], 1, {"a": True}),
    lambda: plots.importances({}),
]


@pytest.mark.parametrize("draw", EMPTY)
def test_little_or_no_data_gives_a_figure_too(draw: Callable[[], Figure]) -> None:
    assert plots.to_png(draw(), dpi=50).startswith(b"\x89PNG")


def test_rows_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ValueError, match="3 numbers"):
        plots.surprise("ab", [1.0])
    with pytest.raises(ValueError, match="do not fit together"):
        plots.embedding(np.zeros((2, 3)), ["a"])
    with pytest.raises(ValueError, match="do not fit together"):
        plots.loss_by_length([1], [1.0, 2.0], [1], [0.0])
    with pytest.raises(ValueError, match="edges"):
        plots.activation_histograms({"a": (np.ones(3), np.ones(3))})


def test_odd_characters_are_drawn_without_a_warning() -> None:
    text = "".join(ODD)
    plots.to_svg(plots.embedding(np.random.default_rng(0).normal(size=(len(ODD), 3)), ODD))
    plots.to_svg(plots.surprise(text, [1.0] * len(text)))
    plots.to_svg(plots.tree((2, 2, 2, 2), text))
    plots.to_svg(plots.learning_curves(dict.fromkeys(ODD, records(10))))
    plots.to_svg(plots.losses_against({"$x_": [plots.Point(name, 2.0 + i, 2.0) for i, name in enumerate(ODD)]}))
    plots.to_svg(plots.arms([plots.Arm(name, [1.0]) for name in ODD], title="a $ and a $"))
    plots.to_svg(plots.activation_histograms(dict.fromkeys(ODD, histogram())))


@given(st.text(max_size=30))
def test_a_label_has_one_line_and_only_characters_that_the_fonts_have(name: str) -> None:
    shown = label(name)
    assert "\n" not in shown
    assert all(character == " " or drawn_sign(character) in (character, f"◌{character}") for character in shown)


@settings(max_examples=8)
@given(st.text(min_size=1, max_size=12), st.data())
def test_any_line_is_drawn_without_a_warning(text: str, data: st.DataObject) -> None:
    nats = data.draw(st.lists(st.floats(0, 1e6), min_size=len(text) + 1, max_size=len(text) + 1))
    assert plots.to_svg(plots.surprise(text, nats, title=text)).startswith(b"<?xml")


def test_series_differ_by_more_than_their_colour() -> None:
    styles = [series_style(index) for index in range(35)]
    assert len(set(map(str, styles))) == 35
    assert len({marker for _, _, marker in styles[: len(MARKERS)]}) == len(MARKERS)


def test_without_matplotlib_the_error_says_what_to_install() -> None:
    code = """
import sys
sys.modules["matplotlib"] = None
from wavemore.errors import UsageError
try:
    import wavemore.plots
except UsageError as error:
    print(error)
"""
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "figures need matplotlib: pip install 'wavemore[plot]'\n"


def test_update_ratios_of_equal_blocks_are_averaged() -> None:
    from wavemore.plots.training import _mean_over_blocks

    series = {f"blocks.{n}.skip": [(1.0, -1.0 * n), (2.0, -1.0 * n)] for n in (1, 2, 3)} | {"head.1": [(1.0, -1.0)]}
    assert _mean_over_blocks(series) == {"blocks.*.skip (3)": [(1, -2.0), (2, -2.0)], "head.1": [(1, -1.0)]}
