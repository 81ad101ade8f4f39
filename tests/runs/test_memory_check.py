import pytest

from wavemore.errors import UsageError
from wavemore.nn.tree import TreeConfig
from wavemore.runs import memory_check
from wavemore.runs.memory_check import check_fits


@pytest.mark.parametrize("settings", [{"hidden": 10**6}, {"embedding": 10**12}, {"hidden": 10**40}])
def test_a_model_larger_than_the_machine_is_refused(settings: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"does not fit into memory|is too large for any machine"):
        check_fits("tree", 27, TreeConfig(**settings))  # type: ignore[arg-type]


def test_the_limit_is_seven_copies_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 7 * 4 * 76_579  # bytes of the default tree in training
    monkeypatch.setattr(memory_check, "_memory_bytes", lambda: size)
    check_fits("tree", 27, TreeConfig())
    monkeypatch.setattr(memory_check, "_memory_bytes", lambda: size - 1)
    with pytest.raises(UsageError, match="does not fit into memory"):
        check_fits("tree", 27, TreeConfig())
