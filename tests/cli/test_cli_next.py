import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wavemore as wm


def test_the_likeliest_characters_come_first(wavemore: Any, run: Path) -> None:
    result = wavemore("next", "runs/done", "ann", "-n", "3")
    first, second, third, rest = result.out.splitlines()
    run_of = wm.find_run("runs/done")
    expected = wm.next_characters(run_of.model(), run_of.vocabulary(), "ann")
    for line, (character, p) in zip((first, second, third), expected, strict=False):
        assert line.split()[0] == (character or "⏎")
        assert f"{p:.2%}" in line
    assert first.count("█") == round(40 * expected[0].p)
    assert rest.startswith(f"{len(expected) - 3} others ")
    records = json.loads(wavemore("next", "runs/done", "ann", "--json", "-n", "99").out)
    assert [(each["character"], each["p"]) for each in records] == [tuple(each) for each in expected]
    assert sum(each["p"] for each in records) == pytest.approx(1)


def test_the_run_and_the_beginning_may_be_left_out(wavemore: Any, run: Path) -> None:
    named = wavemore("next", "done", "an")
    assert named.err == ""
    latest = wavemore("next", "an")
    assert (latest.out, latest.err) == (named.out, "wavemore: used runs/done, the latest run\n")
    assert wavemore("next").out == wavemore("next", "done").out == wavemore("next", "done", "").out


def test_what_cannot_begin_an_item(wavemore: Any, fails: Callable[..., str], run: Path) -> None:
    assert "unknown character 'q'" in fails(1, "next", "done", "q")
    assert "there is no run 'dome' (did you mean done?); " in fails(1, "next", "dome")
    assert "put it into quotation marks, as in 'an na'" in fails(2, "next", "done", "an", "na")
    assert "-n is 0" in fails(2, "next", "done", "-n", "0")
    assert "lines without labels" in fails(2, "next", "done", "--label", "de")
    assert "as in: wavemore next -- --x" in wavemore("next", "--x").err
