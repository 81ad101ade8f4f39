"""Models in Jupyter and VS Code."""

from xml.etree import ElementTree

import pytest
import torch
from torch import nn

from wavemore.nn.display import draw, tree_rows, wavenet_rows
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.tree import MlpConfig, Tree, TreeConfig
from wavemore.nn.wavenet import WaveNet, WaveNetConfig

SVG = "{http://www.w3.org/2000/svg}"


def cells(html: str) -> list[list[str]]:
    """The rows of the table below its header."""
    rows = ElementTree.fromstring(html).iter("tr")
    return [[cell.text or "" for cell in row] for row in rows][1:]


@pytest.mark.parametrize("name", MODELS)
def test_every_model_displays_itself_and_stays_unchanged(name: str) -> None:
    model = build(name, 27, MODELS[name].config(), seed=0)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    html = model._repr_html_()
    rows = cells(html)
    assert rows
    assert f"<b>{type(model).__name__}</b>" in html
    assert model.config.describe() in html
    if name != "ngram":
        assert sum(int(row[-1].replace(",", "") or 0) for row in rows) == model.parameter_count()
        assert rows[-1][2] == ("(B, 1, 27)" if name in ("tree", "mlp") else "(B, T, 27)")
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"ngram"}))
def test_the_displayed_shapes_are_those_of_the_outputs(name: str) -> None:
    model = build(name, 27, MODELS[name].config(), seed=0)
    displayed = {row[0]: row[2] for row in cells(model._repr_html_())}
    shapes = {}

    def note(path: str, y: torch.Tensor | tuple[torch.Tensor, ...]) -> None:
        shapes[path.removeprefix("layers.")] = (y[0] if isinstance(y, tuple) else y).shape

    for path, layer in model.named_modules():
        layer.register_forward_hook(lambda layer, x, y, path=path: note(path, y))
    run = model.windows if isinstance(model, Tree) else model
    run(torch.zeros(5, model.context if isinstance(model, Tree) else 12, dtype=torch.int64))
    for path, shape in displayed.items():
        length = f"{shapes[path][1]}" if isinstance(model, Tree) else "T"
        assert shape == f"(B, {length}, {shapes[path][-1]})", path


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
def test_a_tree_is_drawn_up_to_64_characters(config: TreeConfig, rows: int) -> None:
    html = ElementTree.fromstring(Tree(27, config)._repr_html_())
    assert len(list(html.iter(f"{SVG}text"))) == rows
    assert ("2 more above these 6." in "".join(html.itertext())) == (rows == 7)


def test_a_wavenet_is_drawn_up_to_64_characters() -> None:
    html = ElementTree.fromstring(WaveNet(27, WaveNetConfig(dilations=(1, 2, 4)))._repr_html_())
    assert [text.text for text in html.iter(f"{SVG}text")] == ["8 characters", "dilation 1", "dilation 2", "dilation 4"]
    long = WaveNet(27, WaveNetConfig(dilations=(1, 2, 4, 8, 16, 32, 64), channels=8, skip_channels=8))._repr_html_()
    assert "1 more above these 6." in long
    assert WaveNet(27, WaveNetConfig(dilations=(200,)))._repr_html_().count("<svg") == 0


def test_a_tree_and_a_wavenet_of_the_same_pattern_see_the_same_nodes() -> None:
    """The nodes that the prediction depends on: 8 + 4 + 2 + 1."""
    for rows, omitted in (tree_rows((2, 2, 2)), wavenet_rows((1, 2, 4), 2)):
        assert omitted == 0
        picture = ElementTree.fromstring(draw(rows))
        assert sum("stroke" not in circle.attrib for circle in picture.iter(f"{SVG}circle")) == 8 + 4 + 2 + 1


@pytest.mark.parametrize("fuse", [(2,), (2, 2, 2), (2,) * 6])
def test_a_drawing_fits_420_pixels(fuse: tuple[int, ...]) -> None:
    rows, _ = tree_rows(fuse)
    picture = ElementTree.fromstring(draw(rows))
    assert float(picture.attrib["width"]) <= 420


def test_counted_n_grams_are_displayed_by_length() -> None:
    model = Ngram(3, NgramConfig(order=2))
    model.count(torch.tensor([1, 2, 1, 2, 0]))
    assert cells(model._repr_html_()) == [["0", "1", "3"], ["1", "3", "4"]]
    assert "7 counted n-grams" in model._repr_html_()


def test_an_mlp_is_drawn_as_a_tree_of_one_fusion() -> None:
    html = build("mlp", 27, MlpConfig(context=3), seed=0)._repr_html_()
    assert "fuse 3" in html
    assert "a prediction sees 3 characters" in html


def test_names_are_not_markup() -> None:
    class Bold(nn.Linear):
        def extra_repr(self) -> str:
            return "<b>"

    model = Tree(27, TreeConfig())
    model.layers.append(Bold(27, 27))
    assert "Bold(&lt;b&gt;)" in model._repr_html_()
