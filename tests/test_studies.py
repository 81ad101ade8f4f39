"""The pages of the studies are made from their records."""

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import wavemore as wm
from wavemore.studies.file import read_study

ROOT = Path(__file__).resolve().parents[1]
NAMES = sorted(path.stem for path in (ROOT / "records" / "studies").glob("*.json"))


def test_every_shipped_study_has_a_record() -> None:
    shipped = Path(wm.__file__).parent / "studies"
    assert sorted(path.stem for path in shipped.glob("*.toml")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_page_is_made_from_the_record(name: str, script: Any) -> None:
    studies = script("studies")
    record = studies.records()[name]
    text = (ROOT / "docs" / "studies" / f"{name}.md").read_text(encoding="utf-8")
    assert text == studies.written(record), "run `python scripts/studies.py`"
    for picture in re.findall(r"\]\((.*?\.svg)\)", text):
        ElementTree.parse(ROOT / "docs" / "studies" / picture)


@pytest.mark.parametrize("name", NAMES)
def test_the_record_is_of_the_shipped_study(name: str, script: Any) -> None:
    record, study = script("studies").records()[name], read_study(name)
    assert record["question"] == study.file.question
    assert record["expected"] == study.file.expected
    assert [arm["name"] for arm in record["arms"]] == [arm.name for arm in study.arms]
    assert len(record["seeds"]) >= 3
    assert re.fullmatch(r"[0-9a-f]{12}", record["environment"]["commit"])
    for run in (run for arm in record["arms"] for run in arm["runs"]):
        assert re.fullmatch(r"[0-9a-f]{12}", run["commit"]), "nothing uncommitted"
    for arm, planned in zip(record["arms"], study.arms, strict=True):
        assert arm["settings"].items() >= {**planned.settings, **arm["tuned"]}.items() or all(
            list(arm["settings"][key]) == list(value)
            for key, value in planned.settings.items()
            if isinstance(value, tuple)
        )
        assert [run["seed"] for run in arm["runs"]] == record["seeds"]


def test_the_lectures_log_is_reproduced(script: Any) -> None:
    for arm in script("studies").records()["lecture"]["arms"]:
        vals = [run["val_nats"] for run in arm["runs"]]
        assert abs(sum(vals) / len(vals) - arm["published"]["val"]) <= 0.015, arm["name"]


def test_the_index_is_not_stale(script: Any) -> None:
    studies = script("studies")
    text = (ROOT / "docs" / "studies" / "README.md").read_text(encoding="utf-8")
    assert text == studies.index(text, studies.records())
    assert studies.BEGIN in text
