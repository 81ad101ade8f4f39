import pytest

from wavemore.errors import UsageError
from wavemore.runs.memory_check import check_fits
from wavemore.nn.config import TreeConfig


@pytest.mark.parametrize("settings", [{"hidden": 10**6}, {"embedding": 10**12}, {"hidden": 10**40}])
def test_a_model_larger_than_the_machine_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"do not fit into memory: take smaller ones"):
        check_fits(27, TreeConfig(**settings))  # type: ignore[arg-type]


def test_the_models_that_people_train_fit() -> None:
    check_fits(27, TreeConfig(fuse=(2, 2, 2, 2), hidden=512, embedding=64))
