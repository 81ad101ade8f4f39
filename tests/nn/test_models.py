"""Building a model by its name and a seed."""

from typing import Any

import pytest
import torch

from wavemore.errors import UsageError
from wavemore.nn.models import MODELS, build


@pytest.mark.parametrize("name", MODELS)
def test_a_seed_fixes_the_weights(name: str) -> None:
    config = MODELS[name][0]()
    one, same, other = (build(name, 27, config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    if name != "ngram":  # nothing is random where things are counted
        assert not all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", MODELS)
def test_building_disturbs_no_other_random_number(name: str) -> None:
    before = torch.get_rng_state()
    build(name, 27, MODELS[name][0](), seed=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match="no model 'bush': choose one of tree"):
        build("bush", 27, MODELS["tree"][0](), seed=1)


def test_settings_of_another_model_are_refused() -> None:
    config: Any = object()
    with pytest.raises(UsageError, match="'tree' takes a TreeConfig, not a object"):
        build("tree", 27, config, seed=1)
