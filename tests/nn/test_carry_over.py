"""A model that begins with the weights of another one, for a larger vocabulary."""

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from wavemore.errors import UsageError
from wavemore.nn.carry_over import carry_over, vocabulary_dimensions
from wavemore.nn.models import MODELS, build
from wavemore.nn.tree import TreeConfig

TRAINED = [name for name in MODELS if name != "ngram"]
EACH = pytest.mark.parametrize("name", TRAINED)
LINES = torch.tensor([[0, 1, 2, 3, 1, 2], [0, 3, 3, 1, 2, 2]])


def source(name: str) -> Any:
    """A model of the characters b, d and f, whose weights and running statistics are not its first ones."""
    model = build(name, 4, MODELS[name].config(), seed=1)
    model(LINES)  # batch statistics
    generator = torch.Generator().manual_seed(2)
    for value in model.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand(value.shape, generator=generator)
    return model.eval()


def carried(name: str, old: Any, known: str, characters: str, seed: int = 0) -> Any:
    return carry_over(name, MODELS[name].config(), old, known, characters, seed)


@EACH
def test_the_same_vocabulary_gives_the_same_model(name: str) -> None:
    old = source(name)
    new = carried(name, old, "bdf", "bdf", seed=3).eval()
    assert all(torch.equal(value, new.state_dict()[key]) for key, value in old.state_dict().items())
    assert torch.equal(new(LINES), old(LINES))
    assert new.characters == "bdf"


@EACH
def test_known_characters_keep_their_logits_in_a_larger_vocabulary(name: str) -> None:
    old, ids = source(name), torch.tensor([0, 2, 4, 6])  # the new ids of the boundary, b, d and f among abcdefg
    new = carried(name, old, "bdf", "abcdefg", seed=3).eval()
    logits = new(ids[LINES])
    assert logits.shape[-1] == 8
    torch.testing.assert_close(logits[..., ids], old(LINES))
    known = logits[..., ids].logsumexp(-1) - logits.logsumexp(-1)
    loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[LINES[:, 1:]].flatten(), reduction="none")
    before = F.cross_entropy(old(LINES)[:, :-1].flatten(0, 1), LINES[:, 1:].flatten(), reduction="none")
    torch.testing.assert_close(loss, before - known[:, :-1].flatten())


@EACH
def test_new_characters_are_different_from_each_other_and_depend_on_the_seed(name: str) -> None:
    old = source(name)
    one, same, other = (carried(name, old, "bdf", "abcdf", seed=seed) for seed in (1, 1, 2))
    states = [model.state_dict() for model in (one, same, other)]
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])
    for key, dimensions in vocabulary_dimensions(name, MODELS[name].config()).items():
        value = states[0][key]
        for dimension in dimensions:
            a, c = value.movedim(dimension, 0)[[1, 3]]
            assert value.ndim == 1 or not torch.equal(a, c)


@EACH
def test_a_character_of_the_source_that_the_new_vocabulary_lacks_is_left_out(name: str) -> None:
    old, kept = source(name), torch.tensor([0, 1, 3])
    new = carried(name, old, "bdf", "bf").eval()
    lines = torch.tensor([[0, 1, 2, 2]])
    torch.testing.assert_close(new(lines), old(kept[lines])[..., kept])


def test_a_size_that_is_by_chance_that_of_the_vocabulary_is_not_taken_for_it() -> None:
    config = TreeConfig(fuse=(2,), embedding=4, hidden=4)
    old = build("tree", 4, config, seed=1).eval()
    new = carry_over("tree", config, old, "bdf", "abdf")
    assert torch.equal(new.get_parameter("layers.2.weight"), old.get_parameter("layers.2.weight"))


def test_a_new_output_is_unlikely() -> None:
    old = source("lstm")
    new = carried("lstm", old, "bdf", "abdf").eval()
    assert new.get_parameter("head.bias")[1] == old.get_parameter("head.bias").min()


def test_what_cannot_be_carried_over() -> None:
    ngram = build("ngram", 4, MODELS["ngram"].config(), seed=1)
    with pytest.raises(UsageError, match="an ngram is counted and has no weights to carry over"):
        carried("ngram", ngram, "bdf", "bdf")
    with pytest.raises(UsageError, match="no character of the data is known to the model"):
        carried("lstm", source("lstm"), "bdf", "xyz")


def test_every_norm_and_position_is_carried_over() -> None:
    for norm in ("batch", "layer", "rms", "none", "batch-per-position"):
        config = replace(MODELS["tree"].config(), norm=norm)
        old = build("tree", 4, config, seed=1)
        old(LINES)
        new = carry_over("tree", config, old.eval(), "bdf", "bdf").eval()
        assert torch.equal(new(LINES), old(LINES))
