import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest


def test_a_row_a_run(wavemore: Any, run: Path) -> None:
    said = wavemore("log")
    head, row = said.out.splitlines()
    assert head.split() == ["run", "model", "parameters", "train", "val", "leak-free", "time", "date", "note"]
    assert row.startswith("runs/done  tree 2x2 4/8 muon  ")
    assert row.rstrip().endswith("a [bold]note[/bold] :smile:")
    assert "\x1b" not in said.out
    record = json.loads(wavemore("log", "--json").out)[0]
    assert record["run"] == "runs/done"
    assert record["status"] == record["note"] == "a [bold]note[/bold] :smile:"
    assert {"parameters", "train_nats", "val_nats", "leak_free_val_nats", "train_seconds", "created"} <= record.keys()
    assert f"{record['val_nats']:.4f}" in row


def test_no_runs_are_an_empty_list(wavemore: Any) -> None:
    assert json.loads(wavemore("log", "--json").out) == []


def test_unfinished_and_damaged_runs_are_rows_too(wavemore: Any, run: Path) -> None:
    for name in ("stopped", "damaged", "bad-end"):
        shutil.copytree(run, f"runs/{name}")
    Path("runs/stopped/summary.json").unlink()
    Path("runs/damaged/config.json").write_text("{}")
    Path("runs/bad-end/summary.json").write_text("[1")
    rows = {row["run"]: row for row in json.loads(wavemore("log", "--json").out)}
    assert rows["runs/stopped"]["status"] == "stopped at step 40 of 40, or still running"
    assert rows["runs/stopped"]["val_nats"] == pytest.approx(rows["runs/done"]["val_nats"])
    assert "config.json is damaged" in rows["runs/damaged"]["status"]
    assert "summary.json is damaged" in rows["runs/bad-end"]["status"]
    assert len(wavemore("log").out.splitlines()) == 5
    assert len(wavemore("log", "runs/done", "stopped").out.splitlines()) == 3


@pytest.mark.parametrize("width", [110, 60, 40])
def test_a_narrow_terminal_has_fewer_columns(
    wavemore: Any, run: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = re.sub("\x1b.*?m", "", wavemore("log").out).splitlines()
    assert lines[0].split()[0] == "run"
    assert "val" in lines[0].split()
    assert all(len(line) <= width for line in lines)
