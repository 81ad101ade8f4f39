"""The tree: its size, its start, what it refuses, and its settings."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from wavemore.errors import ModelError, UsageError
from wavemore.nn.config import ActivationName, NormName
from wavemore.nn.layers import ACTIVATIONS, Dropout, Linear
from wavemore.nn.tree import GAINS, Tree, TreeConfig


@pytest.mark.parametrize(
    ("fuse", "embedding", "hidden", "parameters"),
    [
        ((3,), 10, 200, 12_097),
        ((8,), 10, 200, 22_097),
        ((2, 2, 2), 10, 68, 22_397),
        ((2, 2, 2), 24, 128, 76_579),
    ],
)
def test_the_lectures_models_have_the_lectures_sizes(
    fuse: tuple[int, ...], embedding: int, hidden: int, parameters: int
) -> None:
    tree = Tree(27, TreeConfig(fuse=fuse, embedding=embedding, hidden=hidden))
    assert tree.parameter_count() == parameters


def test_the_layers_stand_in_the_lectures_order() -> None:
    tree = Tree(27, TreeConfig(fuse=(2, 2), dropout=0.1))
    block = ["FlattenConsecutive", "Linear", "BatchNorm1d", "Tanh", "Dropout"]
    assert [type(layer).__name__ for layer in tree.layers] == ["Embedding", *block, *block, "Linear"]
    assert list(tree.state_dict())[:3] == ["layers.0.weight", "layers.2.weight", "layers.3.weight"]


@pytest.mark.parametrize("norm", ["batch", "layer", "rms", "none"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    ("fuse", "hidden", "vocabulary_size"),
    [((1,), 16, 27), ((3,), 200, 27), ((2, 2, 2), 128, 65), ((2, 2, 2, 2, 2), 32, 3)],
)
def test_a_fresh_model_has_no_opinion(
    norm: NormName, activation: ActivationName, fuse: tuple[int, ...], hidden: int, vocabulary_size: int
) -> None:
    tree = Tree(vocabulary_size, TreeConfig(fuse=fuse, hidden=hidden, norm=norm, activation=activation))
    windows = torch.randint(vocabulary_size, (512, tree.context))
    loss = nn.functional.cross_entropy(tree(windows), torch.randint(vocabulary_size, (512,)))
    assert loss.item() == pytest.approx(math.log(vocabulary_size), abs=0.05)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu"])
def test_gains_keep_unit_variance(activation: str) -> None:
    z = torch.linspace(-12, 12, 100_001, dtype=torch.float64)
    density = torch.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    kept = torch.trapezoid(ACTIVATIONS[activation]()(z) ** 2 * density, z)
    assert GAINS[activation] == pytest.approx(1 / math.sqrt(kept.item()), abs=1e-3)


@pytest.mark.parametrize(("norm", "bias"), [("batch", False), ("layer", False), ("rms", True), ("none", True)])
def test_a_linear_has_a_bias_unless_the_norm_has_one(norm: NormName, bias: bool) -> None:
    mix, *_, head = [layer for layer in Tree(27, TreeConfig(norm=norm)).layers if isinstance(layer, Linear)]
    assert (mix.bias is not None) == bias
    assert head.bias is not None


def test_forward_names_both_lengths() -> None:
    tree = Tree(27, TreeConfig(fuse=(2, 2, 2)))
    with pytest.raises(ModelError, match=r"contexts of 8 tokens, .* given \(4, 16\)"):
        tree(torch.zeros(4, 16, dtype=torch.int64))
    with pytest.raises(ModelError, match=r"given \(8,\)"):
        tree(torch.zeros(8, dtype=torch.int64))


def test_dropout_is_heard_in_training_mode_only() -> None:
    tree = Tree(27, TreeConfig(dropout=0.5, norm="layer"))
    assert sum(isinstance(layer, Dropout) for layer in tree.layers) == 3
    windows = torch.randint(27, (16, 8))
    assert not torch.equal(tree(windows), tree(windows))
    tree.eval()
    assert torch.equal(tree(windows), tree(windows))


def test_a_few_steps_learn_a_rule() -> None:
    tree = Tree(5, TreeConfig(fuse=(2, 2), embedding=8, hidden=32))
    optimizer = torch.optim.AdamW(tree.parameters(), lr=0.01)
    windows = torch.randint(5, (256, 4))
    targets = (windows[:, 0] + windows[:, 3]) % 5
    for _ in range(150):
        loss = nn.functional.cross_entropy(tree(windows), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fuse": ()}, "fuse is empty"),
        ({"fuse": (2, 0)}, "not 2 0"),
        ({"fuse": (2, -2, -2)}, "not 2 -2 -2"),
        ({"fuse": (2,) * 13}, "context of 8192 positions; the longest is 4096"),
        ({"embedding": 0}, "not 0 and 128"),
        ({"hidden": 0}, "not 24 and 0"),
        ({"norm": "group"}, "norm is one of batch, layer, rms, none, batch-per-position, not 'group'"),
        ({"activation": "sine"}, "activation is one of tanh, relu, gelu, silu, not 'sine'"),
        ({"dropout": 1.0}, r"below 1, not 1\.0"),
        ({"dropout": -0.1}, r"not -0\.1"),
        ({"dropout": math.nan}, "not nan"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TreeConfig(**wrong)


def test_the_longest_context_is_allowed() -> None:
    assert TreeConfig(fuse=(2,) * 12).context == 4096


def test_a_vocabulary_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="not 1 tokens"):
        Tree(1, TreeConfig())


def test_settings_are_read_without_torch() -> None:
    program = "import sys, wavemore.nn.config; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
