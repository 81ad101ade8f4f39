import pytest

from wavemore.engine import memory
from wavemore.engine.memory import check_fits
from wavemore.errors import UsageError
from wavemore.nn.tree import TreeConfig


def test_a_model_larger_than_the_machine_is_refused() -> None:
    with pytest.raises(UsageError, match="does not fit into memory"):
        check_fits("tree", 27, TreeConfig(fuse=(1,) * 1_000, hidden=2**16))


def test_the_limit_is_seven_copies_of_the_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 7 * 4 * 76_579  # bytes of the default tree in training
    monkeypatch.setattr(memory, "memory_bytes", lambda: size)
    check_fits("tree", 27, TreeConfig())
    monkeypatch.setattr(memory, "memory_bytes", lambda: size - 1)
    with pytest.raises(UsageError, match="does not fit into memory"):
        check_fits("tree", 27, TreeConfig())
