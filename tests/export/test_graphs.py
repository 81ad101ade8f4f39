"""The modules that are exported compute what the models do, before any exporter has touched them."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from wavemore.export.graphs import has_step, one_step, whole_line
from wavemore.export.onnx_file import random_lines
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram
from wavemore.runs.run import Run

STEPPED: list[tuple[str, dict[str, Any]]] = [
    ("wavenet", {}),
    (
        "wavenet",
        {"kernel_size": 3, "dilations": (1, 3), "cycles": 2, "gate": "swiglu", "norm": "layer", "dropout": 0.1},
    ),
    ("wavenet", {"kernel_size": 1, "dilations": (1, 2), "norm": "none"}),
    ("rnn", {"layers": 2}),
    ("gru", {"layers": 2}),
    ("lstm", {"layers": 3, "dropout": 0.2}),
]


@pytest.mark.parametrize(("name", "settings"), STEPPED)
@pytest.mark.parametrize("num_labels", [0, 2])
@torch.no_grad()
def test_steps_give_the_logits_of_whole_lines(name: str, settings: dict[str, Any], num_labels: int) -> None:
    model = build(name, 9, num_labels=num_labels, **settings).eval().double()
    for parameter in model.parameters():
        parameter.add_(0.2 * torch.randn_like(parameter))
    step = one_step(model)
    assert step is not None
    tokens = random_lines(model, 4, 21, torch.Generator().manual_seed(0))
    assert set(tokens[:, 0].tolist()) == ({0, 9, 10} if num_labels else {0})
    state = torch.zeros(4, step.rows, step.channels, dtype=torch.float64)
    for position, expected in enumerate(model(tokens).unbind(1)):
        logits, state = step(tokens[:, position], state)
        torch.testing.assert_close(logits, expected)


def test_which_models_have_a_step() -> None:
    assert {name for name in MODELS if has_step(name)} == {name for name in MODELS if one_step(build(name, 9).eval())}


@pytest.mark.parametrize("across_lines", [False, True])
@pytest.mark.parametrize("order", [1, 2, 5])
@torch.no_grad()
def test_the_walk_through_an_ngram_is_its_lookups(order: int, across_lines: bool) -> None:
    model = build("ngram", 7, order=order).eval()
    assert isinstance(model, Ngram)
    lines = random_lines(model, 60, 9, torch.Generator().manual_seed(order))
    model.count(torch.cat([lines[:, 1:], lines[:, :1]], dim=1).flatten(), across_lines=across_lines)
    tokens = random_lines(model, 5, 14, torch.Generator().manual_seed(9))
    model = model.float()
    torch.testing.assert_close(whole_line(model)(tokens), model(tokens), rtol=1e-5, atol=1e-5)


def test_trained_models_are_taken_as_they_are(small_run: Callable[[str], Run]) -> None:
    for name in ("tree", "transformer"):
        model = small_run(name).model()
        assert whole_line(model) is model
        assert one_step(model) is None
