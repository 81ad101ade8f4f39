"""The tree: its size, its fresh weights, its errors and its settings."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from wavemore.errors import ModelError, UsageError
from wavemore.nn.activations import ACTIVATIONS
from wavemore.nn.config import ActivationName, NormName
from wavemore.nn.layers import Dropout, Linear
from wavemore.nn.tree import GAINS, MlpConfig, Tree, TreeConfig


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


def test_the_layers_are_in_the_order_of_the_lecture() -> None:
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
def test_the_loss_of_a_fresh_model_is_that_of_guessing(
    norm: NormName, activation: ActivationName, fuse: tuple[int, ...], hidden: int, vocabulary_size: int
) -> None:
    tree = Tree(vocabulary_size, TreeConfig(fuse=fuse, hidden=hidden, norm=norm, activation=activation))
    windows = torch.randint(vocabulary_size, (512, tree.context))
    loss = nn.functional.cross_entropy(tree.windows(windows), torch.randint(vocabulary_size, (512,)))
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


def test_windows_names_both_shapes() -> None:
    tree = Tree(27, TreeConfig(fuse=(2, 2, 2)))
    with pytest.raises(ModelError, match=r"`contexts` has shape \(4, 16\); it must be \(B, 8\)"):
        tree.windows(torch.zeros(4, 16, dtype=torch.int64))
    with pytest.raises(ModelError, match=r"has shape \(8,\)"):
        tree.windows(torch.zeros(8, dtype=torch.int64))


@pytest.mark.parametrize("norm", ["layer", "batch-per-position"])
@pytest.mark.parametrize("count", [None, 1, 3, 5])
def test_forward_predicts_at_every_position_or_at_the_last_ones(count: int | None, norm: NormName) -> None:
    tree = Tree(9, TreeConfig(fuse=(2, 2), norm=norm)).double()
    tree.windows(torch.randint(9, (16, 4)))  # running statistics
    tree.eval()
    tokens = torch.randint(9, (3, 5))
    contexts = nn.functional.pad(tokens, (3, 0)).unfold(1, 4, 1)  # (B, T, context)
    expected = torch.stack([tree.windows(contexts[:, t]) for t in range(5)], dim=1)
    torch.testing.assert_close(tree(tokens, count), expected if count is None else expected[:, -count:])


def test_dropout_acts_in_training_mode_only() -> None:
    tree = Tree(27, TreeConfig(dropout=0.5, norm="layer"))
    assert sum(isinstance(layer, Dropout) for layer in tree.layers) == 3
    windows = torch.randint(27, (16, 8))
    assert not torch.equal(tree.windows(windows), tree.windows(windows))
    tree.eval()
    assert torch.equal(tree.windows(windows), tree.windows(windows))


def test_a_few_steps_learn_a_simple_rule() -> None:
    tree = Tree(5, TreeConfig(fuse=(2, 2), embedding=8, hidden=32))
    optimizer = torch.optim.AdamW(tree.parameters(), lr=0.01)
    windows = torch.randint(5, (256, 4))
    targets = (windows[:, 0] + windows[:, 3]) % 5
    for _ in range(150):
        loss = nn.functional.cross_entropy(tree.windows(windows), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.05


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fuse": ()}, "`fuse` is empty"),
        ({"fuse": (2, 0)}, "`fuse` is 2 0"),
        ({"fuse": (2, -2, -2)}, "`fuse` is 2 -2 -2"),
        ({"fuse": (2,) * 13}, "`fuse` makes a context of 8,192 characters; at most 4,096"),
        ({"embedding": 0}, "`embedding` is 0; it must be at least 1"),
        ({"hidden": 0}, "`hidden` is 0"),
        ({"norm": "group"}, "`norm` is 'group'; it must be one of batch, layer, rms, none, batch-per-position"),
        ({"activation": "sine"}, "`activation` is 'sine'; it must be one of tanh, relu, gelu, silu"),
        ({"dropout": 1.0}, r"`dropout` is 1\.0; it must be at least 0 and below 1"),
        ({"dropout": -0.1}, r"`dropout` is -0\.1"),
        ({"dropout": math.nan}, "`dropout` is nan"),
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TreeConfig(**wrong)


def test_the_longest_context_is_allowed() -> None:
    assert TreeConfig(fuse=(2,) * 12).receptive_field == 4096


def test_a_vocabulary_without_characters_is_refused() -> None:
    with pytest.raises(UsageError, match="`vocabulary_size` is 1; it must be at least 2"):
        Tree(1, TreeConfig())


def test_an_mlp_is_a_tree_with_one_fusion() -> None:
    config = MlpConfig(context=3, embedding=10, hidden=200, norm="layer", activation="relu", dropout=0.1)
    assert config.tree == TreeConfig((3,), 10, 200, "layer", "relu", 0.1)
    assert (config.label, config.width, config.with_width(7).hidden) == ("3 10/200", 200, 7)
    with pytest.raises(UsageError, match="`context` is 4,097; it must be at most 4,096"):
        MlpConfig(context=4_097)


def test_a_config_describes_itself() -> None:
    config = TreeConfig(fuse=(2, 4), dropout=0.1)
    assert config.label == "2x4 24/128"
    assert config.describe() == "fuse 2 4, embedding 24, hidden 128, norm batch, activation tanh, dropout 0.1"
    assert "dropout" not in TreeConfig().describe()
