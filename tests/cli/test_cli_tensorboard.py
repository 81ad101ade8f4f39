"""`train --tensorboard`: the records of metrics.jsonl, read back by TensorBoard's own reader."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-untyped]
    EventAccumulator,
)

from wavemore.runs.run import Run

TRAIN = ("train", "names.txt", "--run", "r", "--hidden", "8", "--embedding", "4", "--fuse", "2", "2", "--threads", "1")
STEPS = ("--steps", "40", "--num-evals", "4")


def scalars(run: Path) -> dict[str, list[tuple[int, float]]]:
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def recorded(run: Path, key: str) -> list[tuple[int, float]]:
    """The values of metrics.jsonl as the 32-bit numbers that TensorBoard stores."""
    records = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [(record["step"], float(np.float32(record[key]))) for record in records if key in record]


def same(run: Path) -> bool:
    found = scalars(run)
    assert all(found[key] == recorded(run, key) for key in ("train_nats", "val_nats", "learning_rate"))
    ratios = [tag for tag in found if tag.startswith("update_ratios/")]
    assert set(found) - set(ratios) == {"train_nats", "val_nats", "learning_rate"}
    return True


def test_the_events_are_the_records(names: str, wavemore: Callable[..., Any]) -> None:
    result = wavemore(*TRAIN, *STEPS, "--tensorboard")
    assert (result.code, result.err) == (0, "")
    assert "board   tensorboard --logdir r\n" in result.out
    found = scalars(Path("r"))
    assert same(Path("r"))
    assert len(found["val_nats"]) == 4
    last = Run(Path("r")).metrics()[-1]["update_ratios"]
    assert {f"update_ratios/{name}" for name in last} <= set(found)
    name, ratio = next(iter(last.items()))
    assert found[f"update_ratios/{name}"][-1] == (40, float(np.float32(ratio)))


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill the next training after this step: nothing is closed, nothing is saved."""
    from wavemore.runs.recorder import Recorder

    add = Recorder.add

    def until(self: Recorder, progress: Any) -> None:
        add(self, progress)
        if progress.step == step:
            raise KeyboardInterrupt

    monkeypatch.setattr(Recorder, "add", until)


@pytest.mark.parametrize("before", [(), ("--tensorboard",)], ids=["without", "with"])
def test_a_resumed_run_has_every_step_once(
    names: str, wavemore: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...]
) -> None:
    with monkeypatch.context() as patched:
        stop_at(25, patched)
        assert wavemore(*TRAIN, *STEPS, *before).code == 130
    assert wavemore("train", "--resume", "r", "--tensorboard").code == 0
    assert same(Path("r"))


def test_overwrite_removes_the_events_and_leaves_other_files(names: str, wavemore: Callable[..., Any]) -> None:
    assert wavemore(*TRAIN, *STEPS, "--tensorboard").code == 0
    assert wavemore(*TRAIN, "--steps", "5", "--overwrite").code == 0
    assert not Path("r/tensorboard").exists()
    assert wavemore(*TRAIN, *STEPS, "--overwrite", "--tensorboard").code == 0
    assert same(Path("r"))
    mine = Path("r/tensorboard/mine.txt")
    mine.write_text("mine")
    assert wavemore(*TRAIN, "--steps", "5", "--overwrite").code == 0
    assert list(Path("r/tensorboard").iterdir()) == [mine]


def test_a_folder_that_is_not_empty(names: str, fails: Callable[..., str]) -> None:
    Path("r").mkdir()
    Path("r/tensorboard").write_text("")
    line = fails(1, *TRAIN, *STEPS, "--tensorboard")
    assert "r is neither a run nor an empty folder" in line


def test_without_the_package_nothing_is_trained(names: str) -> None:
    code = f"""
import sys
sys.modules["tensorboard"] = None
from wavemore.cli import main
sys.exit(main({[*TRAIN, *STEPS, "--tensorboard"]}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr == "wavemore: --tensorboard needs the package of that name: pip install 'wavemore[tensorboard]'\n"
    )
    assert not Path("r").exists()


@pytest.mark.slow
def test_without_the_flag_it_is_not_imported(names: str) -> None:
    code = f"""
import sys
from wavemore.cli import main
assert main({[*TRAIN, "--steps", "2"]}) == 0
assert "tensorboard" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
