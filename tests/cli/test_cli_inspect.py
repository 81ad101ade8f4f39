import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

TINY = ("--fuse", "2", "2", "--hidden", "8", "--embedding", "4")


def strict(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_words(wavemore: Any, run: Path) -> None:
    result = wavemore("inspect", "done")
    assert result.code == 0
    assert result.out.startswith("runs/done: ")
    assert result.err == ""
    rows = result.out.splitlines()
    header = ["layer", "shape", "size", "params", "mean", "std", "saturated", "grad std", "log10 update/weight"]
    assert re.split("  +", rows[3].strip()) == header
    assert rows[4].startswith("0 Embedding ")
    assert "(B, T/2, H)" in rows[6]
    assert "T/4   then: " in result.out
    assert wavemore("inspect", "done").out == result.out


def test_json(wavemore: Any, run: Path) -> None:
    record = strict(wavemore("inspect", "--json").out)
    assert [layer["shape_letters"] for layer in record["layers"]][:3] == ["(B, T, E)", "(B, T/2, 2E)", "(B, T/2, H)"]
    assert record["layers"][2]["update_ratio"] < 0
    assert record["receptive_field"] == 4
    assert record["losses"]["val_nats"] > 0
    for finding in record["findings"]:
        assert set(finding) == {"kind", "where", "message"}


def test_an_untrained_model(wavemore: Any, names: str) -> None:
    result = wavemore("inspect", "--model", "tree", *TINY, names)
    assert result.code == 0
    assert result.out.startswith("untrained tree on names: ")
    record = strict(wavemore("inspect", "--model", "tree", "--context", "16", "--norm", "none", names, "--json").out)
    assert record["context"] == 16
    assert record["fuse"] == [2, 2, 2, 2]
    assert record["layers"][2]["update_ratio"] is not None
    assert [finding["kind"] for finding in record["findings"]] == ["long context"]


def test_a_narrow_terminal(run: Path) -> None:
    pytest.importorskip("pty")
    script = (
        "import os, pty, sys; os.environ['COLUMNS'] = '80'; "
        f"pty.spawn([{sys.executable!r}, '-m', 'wavemore', 'inspect'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    rows = [row.rstrip() for row in done.stdout.splitlines()]
    assert "layer" in "".join(rows)
    table = [row for row in rows if "BatchNorm1d" in row and "(B" in row]
    assert table
    assert max(map(len, table)) <= 80


def test_findings_are_no_failure(wavemore: Any, names: str) -> None:
    assert wavemore("train", names, *TINY, "--run", "mine", "--steps", "3", "--threads", "1").code == 0
    result = wavemore("inspect", "mine")
    assert result.code == 0
    assert "problem" in result.out


def test_figures(wavemore: Any, run: Path, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    result = wavemore("inspect", "--plot", "figures")
    written = ["activations", "gradients", "update-ratios", "learning-curve", "tree"]
    for name in written:
        assert f"wrote figures/{name}.png" in result.out
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert strict(wavemore("inspect", "--plot", "figures", "--json").out)["layers"]
    (folder / "file").write_text("")
    assert "cannot create the folder file" in wavemore("inspect", "--plot", "file").err


def test_used_wrongly(fails: Callable[..., str], names: str, run: Path) -> None:
    assert "leave --hidden out, or add --model for an untrained model" in fails(2, "inspect", "--hidden", "8")
    assert "leave --split-seed out" in fails(2, "inspect", "done", "--split-seed", "3")
    assert "there is no run 'nothing'" in fails(1, "inspect", "nothing")
    assert "--context is 8, but --fuse covers 2 x 2" in fails(
        2, "inspect", "--model", "tree", "--fuse", "2", "2", "--context", "8"
    )
    assert "nowhere.txt" in fails(1, "inspect", "--model", "tree", "nowhere.txt")


def test_no_run_yet(fails: Callable[..., str], folder: Path) -> None:
    assert "for an untrained model: wavemore inspect --model tree" in fails(1, "inspect")
