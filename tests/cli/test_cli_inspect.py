import json
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
    said = wavemore("inspect")
    assert said.code == 0
    assert said.out.startswith("runs/done: ")
    assert said.err == ""
    rows = said.out.splitlines()
    assert rows[3].split() == ["layer", "shape", "numbers", "params", "mean", "std", "flat", "grad", "update"]
    assert rows[4].startswith("0 Embedding ")
    assert "(B, T/2, H)" in rows[6]
    assert "T/4   then: " in said.out
    assert wavemore("inspect", "done").out == said.out


def test_json(wavemore: Any, run: Path) -> None:
    record = strict(wavemore("inspect", "--json").out)
    assert [layer["letters"] for layer in record["layers"]][:3] == ["(B, T, E)", "(B, T/2, 2E)", "(B, T/2, H)"]
    assert record["layers"][2]["update_ratio"] < 0
    assert record["receptive_field"] == 4
    assert record["losses"]["val"] > 0
    for finding in record["findings"]:
        assert set(finding) == {"kind", "where", "words"}


def test_a_fresh_model(wavemore: Any, names: str) -> None:
    said = wavemore("inspect", "--model", "tree", *TINY, names)
    assert said.code == 0
    assert said.out.startswith("fresh tree on names: ")
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


def test_findings_are_told_and_are_no_failure(wavemore: Any, names: str) -> None:
    assert wavemore("train", names, *TINY, "--run", "mine", "--steps", "3", "--threads", "1").code == 0
    said = wavemore("inspect", "mine")
    assert said.code == 0
    assert "finding" in said.out
    assert "blind to the context\n  val has " in said.out


def test_figures(wavemore: Any, run: Path, folder: Path) -> None:
    pytest.importorskip("matplotlib")
    said = wavemore("inspect", "--plot", "figures")
    written = ["activations", "gradients", "update-ratios", "learning-curve", "tree"]
    for name in written:
        assert f"wrote figures/{name}.png" in said.out
        assert (folder / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert strict(wavemore("inspect", "--plot", "figures", "--json").out)["layers"]
    (folder / "file").write_text("")
    assert "cannot make the folder file" in wavemore("inspect", "--plot", "file").err


def test_figures_without_matplotlib(fails: Callable[..., str], run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install 'wavemore[plot]'" in fails(2, "inspect", "--plot", "figures")


def test_used_wrongly(fails: Callable[..., str], names: str, run: Path) -> None:
    assert "leave --hidden out, or look at a fresh --model tree" in fails(2, "inspect", "--hidden", "8")
    assert "leave --split-seed out" in fails(2, "inspect", "done", "--split-seed", "3")
    assert "there is no run 'nothing'" in fails(1, "inspect", "nothing")
    assert "--model is one of" in fails(2, "inspect", "--model", "bush")
    assert "4 characters, not --context 8" in fails(
        2, "inspect", "--model", "tree", "--fuse", "2", "2", "--context", "8"
    )
    assert "nowhere.txt" in fails(1, "inspect", "--model", "tree", "nowhere.txt")


def test_no_run_yet(fails: Callable[..., str], folder: Path) -> None:
    assert "to look at a fresh model: wavemore inspect --model tree" in fails(1, "inspect")
