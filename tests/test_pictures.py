import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "pictures"


@pytest.mark.parametrize(
    "name", ["tree.svg", "unique.svg", "block.svg", "field.svg", "lists.svg", "sizes.svg", "data.svg"]
)
def test_pictures_are_what_their_script_draws(name: str) -> None:
    spec = importlib.util.spec_from_file_location("draw", FOLDER / "draw.py")
    assert spec is not None
    assert spec.loader is not None
    draw = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(draw)
    drawn = draw.PICTURES[name]()
    assert (FOLDER / name).read_text(encoding="utf-8") == drawn, "run `python docs/pictures/draw.py`"
    assert ElementTree.fromstring(drawn).tag.endswith("svg")
