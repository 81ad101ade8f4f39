"""scripts/forward.py: a forward pass, layer by layer, that a debugger can step through."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = str(Path(__file__).resolve().parents[1] / "scripts" / "forward.py")


@pytest.mark.slow
def test_a_forward_pass_shows_every_shape() -> None:
    command = [sys.executable, SCRIPT, "anna", "--fuse", "4", "2"]
    out = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout
    rows = [" ".join(row.split()) for row in out.splitlines()]
    assert rows[:3] == ["contexts (5, 8)", "0 Embedding (5, 8, 24)", "1 FlattenConsecutive (5, 2, 96)"]
    assert rows[-2] == "logits (5, 27)"
    assert float(rows[-1].split()[1]) == pytest.approx(3.296, abs=0.1)


@pytest.mark.slow
def test_the_debugger_stops_before_a_layer() -> None:
    command = [sys.executable, SCRIPT, "--stop"]
    finished = subprocess.run(command, input="p tuple(x.shape)\nq\n", capture_output=True, text=True, timeout=300)
    assert "(Pdb) (9, 8)" in finished.stdout
