"""Building models by name and seed."""

import subprocess
import sys
from dataclasses import fields, replace
from typing import Any

import pytest
import torch

from wavemore.errors import UsageError
from wavemore.nn.models import MODELS, build, parameter_count
from wavemore.nn.tree import TreeConfig

EACH = pytest.mark.parametrize("name", MODELS)


@EACH
def test_a_seed_determines_the_weights(name: str) -> None:
    config = MODELS[name].config()
    one, same, other = (build(name, 27, config, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(one[key], same[key]) for key in one)
    if name != "ngram":  # counting is not random
        assert not all(torch.equal(one[key], other[key]) for key in one)


@EACH
def test_building_and_counting_leave_the_random_state_as_it_is(name: str) -> None:
    before = torch.get_rng_state()
    model = build(name, 27, MODELS[name].config(), seed=1)
    assert parameter_count(name, 27, MODELS[name].config()) == model.parameter_count()
    assert torch.equal(torch.get_rng_state(), before)


@EACH
def test_a_config_is_described_in_one_line(name: str) -> None:
    config = MODELS[name].config()
    assert "\n" not in config.describe()
    assert 0 < len(config.label) <= len(config.describe()) < 120
    if config.width:
        wider = config.with_width(config.width + 1)
        assert wider.width == config.width + 1
        assert parameter_count(name, 27, wider) > parameter_count(name, 27, config)
    else:
        with pytest.raises(UsageError, match="no width to change"):
            config.with_width(7)


def test_an_unknown_name_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match="`model` is 'bush'; it must be one of tree, wavenet"):
        build("bush", 27, TreeConfig(), seed=1)


def test_settings_of_another_model_are_refused() -> None:
    config: Any = object()
    with pytest.raises(UsageError, match="'tree' takes a TreeConfig, not a object"):
        build("tree", 27, config, seed=1)


@EACH
def test_every_size_has_a_limit_up_to_which_parameters_can_be_counted(name: str) -> None:
    config = MODELS[name].config()
    settings = [setting.name for setting in fields(config) if isinstance(getattr(config, setting.name), int)]
    for setting in settings:
        for value in (0, -(10**9), 2**16 + 1, 10**12, 10**4000):
            with pytest.raises(UsageError, match=f"`({setting}|receptive_field)` is .*; it must be at (least|most)"):
                replace(config, **{setting: value})
    if config.width and name != "transformer":
        assert parameter_count(name, 2**20, config.with_width(2**16)) > 2**36


@pytest.mark.parametrize("fuse", [(1,) * 100_000, (10**4000,) * 1_000, (4096,) * 1_000, (64, 65)])
def test_fusions_have_a_limit(fuse: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="`fuse`"):
        TreeConfig(fuse)


@pytest.mark.skipif(torch.__version__ < "2.10", reason="torch 2.9 imports sympy by itself")
def test_counting_does_not_import_torchs_compiler() -> None:
    code = """
import sys
from wavemore.nn.models import MODELS, parameter_count
for name, entry in MODELS.items():
    parameter_count(name, 27, entry.config())
assert not {"torch._dynamo", "sympy"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)
