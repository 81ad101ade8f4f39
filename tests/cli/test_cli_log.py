import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest


def test_one_row_per_run(wavemore: Any, run: Path) -> None:
    result = wavemore("log", "--runs")
    head, row = result.out.splitlines()
    assert head.split() == ["run", "model", "seed", "parameters", "train", "val", "leak-free", "time", "date", "note"]
    assert row.startswith("runs/done  tree 2x2 4/8 muon  ")
    assert row.rstrip().endswith("a [bold]note[/bold] :smile:")
    assert "\x1b" not in result.out
    record = json.loads(wavemore("log", "--runs", "--json").out)[0]
    assert record["run"] == "runs/done"
    assert record["status"] == record["note"] == "a [bold]note[/bold] :smile:"
    assert {"parameters", "train_nats", "val_nats", "leak_free_val_nats", "train_seconds", "created"} <= record.keys()
    assert f"{record['val_nats']:.4f}" in row


def test_a_single_run_is_a_row(wavemore: Any, run: Path) -> None:
    head, row = wavemore("log").out.splitlines()
    columns = ["name", "model", "data", "parameters", "seeds", "train", "val", "leak-free", "time", "date", "note"]
    assert head.split() == columns
    assert row.startswith("runs/done  tree 2x2 4/8 muon  names ")
    assert row.rstrip().endswith("a [bold]note[/bold] :smile:")
    (record,) = json.loads(wavemore("log", "--json").out)
    assert (record["name"], record["runs"], record["seeds"]) == ("runs/done", ["runs/done"], [0])
    assert (record["val_nats_std"], record["delta"], record["left_out"]) == (None, None, [])
    assert f"{record['val_nats']:.4f}" in row


def test_one_row_per_experiment(wavemore: Any, experiments: Path) -> None:
    head, small, wide = wavemore("log").out.splitlines()
    assert {"delta", "changed"} <= set(head.split())
    assert small.startswith("small  tree 2x2 6/8 muon   names ")
    assert small.count(" ± ") == wide.count(" ± ") == 3
    assert wide.rstrip().endswith("hidden 8 → 48")
    first, second = json.loads(wavemore("log", "--json", "--sort", "val").out)
    assert (first["name"], second["name"]) == ("wide", "small")
    assert second["delta"] == pytest.approx(second["val_nats"] - first["val_nats"])
    assert second["delta_significant"] is True
    assert len(wavemore("log", "--runs").out.splitlines()) == 7
    best = [row["val_nats"] for row in json.loads(wavemore("log", "--runs", "--sort", "val", "--json").out)]
    assert best == sorted(best)
    assert len(wavemore("log", "small").out.splitlines()) == 2
    assert len(wavemore("log", "--runs", "small", "wide-0", "runs/wide-0").out.splitlines()) == 5


def test_runs_of_a_study_folder_are_shown_by_its_path(wavemore: Any, experiments: Path) -> None:
    for name in ("small", "wide"):
        for seed in range(3):
            Path(f"study/arms/{name}").mkdir(parents=True, exist_ok=True)
            shutil.move(f"runs/{name}-{seed}", f"study/arms/{name}/{seed}")
    assert len(wavemore("log", "study").out.splitlines()) == 3
    assert len(wavemore("log", "study/arms/wide").out.splitlines()) == 2
    Path("studies").mkdir()
    shutil.move("study", "studies/mine")
    assert len(wavemore("log", "wide", "--runs").out.splitlines()) == 4


def test_a_note_and_a_name_for_existing_runs(wavemore: Any, fails: Any, experiments: Path) -> None:
    result = wavemore("log", "small", "--name", "of 8 channels", "--note", "the first try")
    assert "of 8 channels  tree 2x2 6/8 muon " in result.out
    assert result.out.rstrip().endswith("the first try")
    assert len(wavemore("log", "of 8 channels", "--runs").out.splitlines()) == 4
    assert wavemore("evaluate", "runs/small-0").code == 0
    assert wavemore("log", "runs/small-0", "--note", "").code == 0
    assert [row["note"] for row in json.loads(wavemore("log", "--runs", "of 8 channels", "--json").out)] == [
        "",
        "the first try",
        "the first try",
    ]
    assert "name the runs that you mean" in fails(2, "log", "--name", "x")
    assert "there is no run 'nothing'" in fails(1, "log", "nothing", "--name", "x")


def test_other_formats(wavemore: Any, fails: Any, experiments: Path) -> None:
    table = list(csv.DictReader(wavemore("log", "--csv").out.splitlines()))
    records = json.loads(wavemore("log", "--json").out)
    assert [float(row["val_nats"]) for row in table] == [row["val_nats"] for row in records]
    markdown = wavemore("log", "--markdown").out.splitlines()
    assert len(markdown) == 4
    assert all(line.startswith("|") and line.endswith("|") for line in markdown)
    assert "give one of them" in fails(2, "log", "--json", "--csv")
    assert "leave --runs out" in fails(2, "log", "--runs", "--csv")
    assert "\x1b" not in wavemore("log", "small", "--note", "a\x1b[31m", "--markdown").out


def test_a_figure_of_the_losses(wavemore: Any, fails: Any, experiments: Path) -> None:
    assert wavemore("log", "--plot", "log.svg").out.endswith("\n\nwrote log.svg\n")
    assert Path("log.svg").read_bytes().startswith(b"<?xml")
    assert len(json.loads(wavemore("log", "--plot", "log.png", "--json").out)) == 2
    assert Path("log.png").read_bytes().startswith(b"\x89PNG")
    assert "cannot write a figure as log.gif" in fails(2, "log", "--plot", "log.gif")
    config = Path("runs/wide-0/config.json")
    config.write_text(config.read_text().replace('"split_method": "distinct"', '"split_method": "lecture"'))
    message = fails(2, "log", "--plot", "log.pdf")
    assert "--plot is for one data set and one split, not for names and names lecture split" in message
    assert not Path("log.pdf").exists()


def test_no_runs_are_an_empty_list(wavemore: Any) -> None:
    assert json.loads(wavemore("log", "--json").out) == []


def test_unfinished_and_damaged_runs_are_rows_too(wavemore: Any, run: Path) -> None:
    for name in ("stopped", "damaged", "bad-end"):
        shutil.copytree(run, f"runs/{name}")
    Path("runs/stopped/summary.json").unlink()
    Path("runs/damaged/config.json").write_text("[1")
    Path("runs/bad-end/summary.json").write_text("[1")
    rows = {row["run"]: row for row in json.loads(wavemore("log", "--runs", "--json").out)}
    assert rows["runs/stopped"]["status"] == "stopped at step 40 of 40"
    assert rows["runs/stopped"]["val_nats"] == pytest.approx(rows["runs/done"]["val_nats"])
    assert "config.json is damaged" in rows["runs/damaged"]["status"]
    assert "summary.json is damaged" in rows["runs/bad-end"]["status"]
    assert len(wavemore("log", "--runs").out.splitlines()) == 5
    assert len(wavemore("log", "--runs", "runs/done", "stopped").out.splitlines()) == 3
    *damaged, group = json.loads(wavemore("log", "--json").out)
    assert (group["runs"], group["left_out"]) == (["runs/done"], ["runs/bad-end", "runs/stopped"])
    assert "without runs/bad-end: runs/bad-end/summary.json is damaged" in group["status"]
    assert "without runs/stopped: stopped at step 40 of 40" in group["status"]
    assert [row["name"] for row in damaged] == ["runs/damaged"]


@pytest.mark.parametrize("width", [110, 60, 40])
def test_a_narrow_terminal_has_fewer_columns(
    wavemore: Any, run: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for words, first in (["log"], "name"), (["log", "--runs"], "run"):
        lines = re.sub("\x1b.*?m", "", wavemore(*words).out).splitlines()
        assert lines[0].split()[0] == first
        assert "val" in lines[0].split()
        assert all(len(line) <= width for line in lines)
