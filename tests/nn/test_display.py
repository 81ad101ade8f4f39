"""A model in Jupyter and VS Code."""

from xml.etree import ElementTree

import pytest
import torch

from wavemore.nn.config import MlpConfig, NgramConfig, TreeConfig, WaveNetConfig
from wavemore.nn.display import drawing, model_html, table, tree_levels, wavenet_levels
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram
from wavemore.nn.tree import Tree
from wavemore.nn.wavenet import WaveNet

SVG = "{http://www.w3.org/2000/svg}"


def cells(html: str) -> list[list[str]]:
    """The rows of the table below its header."""
    rows = ElementTree.fromstring(html).iter("tr")
    return [[cell.text or "" for cell in row] for row in rows][1:]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_shows_itself_without_being_changed(name: str) -> None:
    model = build(name, 27, MODELS[name][0](), seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    html = model._repr_html_()
    rows = cells(html)
    assert rows
    assert f"<b>{type(model).__name__}</b>" in html
    assert model.config.words in html
    if name != "ngram":
        assert sum(int(row[-1].replace(",", "") or 0) for row in rows) == model.parameter_count()
        assert rows[-1][2] == ("(B, 1, 27)" if name in ("tree", "mlp") else "(B, T, 27)")
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"ngram"}))
def test_the_shapes_are_those_that_the_layers_give(name: str) -> None:
    # With dropout a WaveNet's block runs layer by layer.
    config = WaveNetConfig(dropout=0.1) if name == "wavenet" else MODELS[name][0]()
    model = build(name, 27, config, seed=0)
    told = {row[0]: row[2] for row in cells(model_html(model))}
    length, seen = model.context if isinstance(model, Tree) else 12, {}
    for path, layer in model.named_modules():
        layer.register_forward_hook(
            lambda layer, x, y, path=path: seen.update({path: (y[0] if isinstance(y, tuple) else y).shape})
        )
    model(torch.zeros(5, length, dtype=torch.int64))
    for path, shape in told.items():
        found = next((seen[key] for key in (path, f"layers.{path}") if key in seen), None)
        if found is None:  # never called by itself, as a head that is folded into another layer
            continue
        middle = "T" if not isinstance(model, Tree) else str(found[1]) if len(found) == 3 else "1"
        assert shape == f"(B, {middle}, {found[-1]})", path
    never_called = set(told) - {key.removeprefix("layers.") for key in seen}
    # A skip's weights go straight into the sum, and a convolution is called with time first.
    assert {path.split(".")[-1] for path in never_called} <= {"conv", "skip"}, never_called


@pytest.mark.parametrize(
    ("config", "rows"),
    [
        (TreeConfig(fuse=(2, 2, 2)), 4),
        (TreeConfig(fuse=(3, 2)), 3),
        (TreeConfig(fuse=(1,)), 2),
        (TreeConfig(fuse=(2,) * 8), 7),
        (TreeConfig(fuse=(100,)), 0),
    ],
)
def test_a_tree_is_drawn_as_far_as_there_is_room(config: TreeConfig, rows: int) -> None:
    html = ElementTree.fromstring(model_html(Tree(27, config)))
    assert len(list(html.iter(f"{SVG}text"))) == rows
    assert ("more" in "".join(html.itertext())) == (rows == 7)


def test_a_wavenet_is_drawn_as_far_as_there_is_room() -> None:
    html = ElementTree.fromstring(model_html(WaveNet(27, WaveNetConfig(dilations=(1, 2, 4)))))
    assert [text.text for text in html.iter(f"{SVG}text")] == ["8 characters", "dilation 1", "dilation 2", "dilation 4"]
    long = model_html(WaveNet(27, WaveNetConfig(dilations=(1, 2, 4, 8, 16, 32, 64), channels=8, skip_channels=8)))
    assert "Above these 6 stand 1 more." in long
    assert model_html(WaveNet(27, WaveNetConfig(dilations=(200,)))).count("<svg") == 0


def test_a_drawn_tree_and_a_drawn_wavenet_see_the_same() -> None:
    """What leads to the newest node: 8 + 4 + 2 + 1 of the tree, and as many of the convolutions."""
    for levels, left_out in (tree_levels((2, 2, 2)), wavenet_levels((1, 2, 4), 2)):
        assert left_out == 0
        picture = ElementTree.fromstring(drawing(levels))
        assert sum("stroke" not in circle.attrib for circle in picture.iter(f"{SVG}circle")) == 8 + 4 + 2 + 1


def test_counted_n_grams_are_shown_by_length() -> None:
    model = Ngram(3, NgramConfig(n=2))
    model.count(torch.tensor([1, 2, 1, 2, 0]))
    assert cells(model_html(model)) == [["0 characters", "1", "3"], ["1 character", "3", "4"]]
    assert "7 counted n-grams" in model_html(model)


def test_an_mlp_is_drawn_as_the_tree_that_it_is() -> None:
    html = model_html(build("mlp", 27, MlpConfig(context=3), seed=0))
    assert "fuse 3" in html
    assert "a prediction sees 3 characters" in html


def test_words_are_no_markup() -> None:
    assert "<script>" not in table(["<script>"], [["<script>"]])
