"""Every experiment states the val loss that it is expected to have, and its record agrees."""

import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = sorted((ROOT / "src" / "wavemore" / "experiments").glob("*.toml"))
TOLERANCE = 0.005
"""Nats per character between the expected val loss and the recorded mean over the seeds."""
NOT_RECORDED = {"nanogpt"}


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_expected_val_loss_is_that_of_the_record(path: Path) -> None:
    experiment = tomllib.loads(path.read_text(encoding="utf-8"))
    assert experiment["question"].endswith("?")
    assert experiment["expected"]
    record_path = ROOT / "records" / f"{path.stem}.json"
    assert record_path.exists() == (path.stem not in NOT_RECORDED)
    if record_path.exists():
        record = json.loads(record_path.read_text(encoding="utf-8"))
        assert record["question"] == experiment["question"]
        assert record["mean"]["val_nats"] == pytest.approx(experiment["expected_val_nats"], abs=TOLERANCE)
