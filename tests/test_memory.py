from pathlib import Path

import pytest

from wavemore import memory
from wavemore.memory import memory_bytes


def test_the_limit_of_a_container_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    whole = memory_bytes()
    limit, missing = tmp_path / "memory.max", tmp_path / "missing"
    monkeypatch.setattr(memory, "CONTAINER_LIMITS", (limit, missing))
    limit.write_text("max\n")
    assert memory_bytes() >= whole > 0
    limit.write_text("2147483648\n")
    assert memory_bytes() == 2 * 1024**3
