"""Equal budgets: the widest model within a number of parameters, the steps within a time."""

import pytest

from wavemore.errors import UsageError
from wavemore.nn.tree import TreeConfig
from wavemore.studies.budget import largest_config


def test_the_widest_model_within_a_limit() -> None:
    widest = largest_config(TreeConfig(), lambda tree: tree.hidden**2, limit=100)
    assert widest == TreeConfig(hidden=10)


def test_no_model_is_small_enough() -> None:
    with pytest.raises(UsageError, match="even the smallest model"):
        largest_config(TreeConfig(), lambda tree: 1_000 + tree.hidden, limit=100)
