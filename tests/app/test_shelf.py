"""Models in use: wishes, words letter by letter, runs side by side."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import NAMES
from wavemore.app import board
from wavemore.app.answers import remembered
from wavemore.app.desk import find_named
from wavemore.app.shelf import MOST_LOADED, MOST_STREAMS, Shelf, Wishes
from wavemore.errors import RunError, WavemoreError
from wavemore.nn.models import MODELS
from wavemore.runs.describe import PLAIN_MODELS


@pytest.fixture
def shelf(trained: Path) -> Shelf:
    return Shelf()


def test_items_meet_the_wishes_and_have_marks(shelf: Shelf) -> None:
    wishes = Wishes(6, "m", "", "ar, e", "y", "", 4, 9, 0.9, True, seed=3)
    items = shelf.sample("names-1", wishes)
    assert items == shelf.sample("names-1", wishes)
    assert len({item["text"] for item in items}) == len(items) == 6
    for item in items:
        text = item["text"]
        assert text.startswith("m")
        assert "ar" in text
        assert "e" in text
        assert "y" not in text
        assert 4 <= len(text) <= 9
        assert item["new"]
        assert text not in NAMES
        assert item["nearest"] in NAMES
        assert item["distance"] >= 1
        assert 0 <= item["percentile_rank"] <= 1


def test_each_time_others_come_until_there_are_no_more(shelf: Shelf) -> None:
    made = [item["text"] for _ in range(3) for item in shelf.sample("names-1", Wishes(10))]
    assert len(set(made)) == 30
    few = Wishes(3, expression="mar[aeiou]{2}")
    found = [[item["text"] for item in shelf.sample("names-1", few)] for _ in range(4)]
    assert all(found[:1])
    assert sum(map(len, found)) > len({text for texts in found for text in texts}), "it begins anew"
    for number in range(30):
        shelf.sample("names-1", Wishes(1, daring=0.5 + number / 100))
    assert len(shelf._streams) == MOST_STREAMS
    for _ in range(2):
        with pytest.raises(WavemoreError):
            shelf.sample("names-1", Wishes(3, expression="m[q]"))


def test_known_items_are_marked_if_they_are_wished(shelf: Shelf) -> None:
    items = shelf.sample("names-1", Wishes(100, only_new=False, daring=0.5, seed=1))
    assert {item["new"] for item in items} == {True, False}
    assert all(item["new"] == (item["text"] not in NAMES) == (item["distance"] > 0) for item in items)


@pytest.mark.parametrize(
    "wishes",
    [
        {"count": 0},
        {"count": 10**9},
        {"count": "many"},
        {"beginning": "ß"},
        {"beginning": "x" * 2_000},
        {"expression": "("},
        {"daring": float("nan")},
        {"daring": 0},
        {"shortest": 9, "longest": 3},
        {"longest": 10**7},
        {"shortest": 1_001},
        {"beginning": "mar", "without": "a"},
        {"only_new": "perhaps"},
        {"kind": "fi"},
        {"seed": 2**63},
    ],
)
def test_wrong_wishes_are_one_line(wishes: dict[str, Any], shelf: Shelf) -> None:
    with pytest.raises(WavemoreError) as error:
        shelf.sample("names-1", Wishes(**wishes))
    assert "\n" not in str(error.value)


def test_items_of_one_kind(shelf: Shelf) -> None:
    assert shelf.makes("kinds-1") == ("lines", ("de", "fi"))
    assert {item["label"] for item in shelf.sample("kinds-1", Wishes(8, kind="fi"))} == {"fi"}
    assert {item["label"] for item in shelf.sample("kinds-1", Wishes(40, seed=1))} == {"de", "fi"}
    with pytest.raises(WavemoreError, match="the data has de, fi"):
        shelf.sample("kinds-1", Wishes(kind="sv"))
    assert "label" not in shelf.sample("names-1", Wishes(3))[0]


def test_a_run_of_a_text_writes_on(shelf: Shelf) -> None:
    assert shelf.makes("story-1") == ("text", ())
    beginning = "It was\na d"
    texts = list(shelf.write("story-1", beginning, 100, seed=1))
    assert [len(text) - len(beginning) for text in texts] == [40, 80, 100]
    assert texts[-1].startswith(texts[0])
    assert texts[0].startswith(beginning)
    assert texts == list(shelf.write("story-1", beginning, 100, seed=1))
    assert [letter.character for letter in shelf.letters("story-1", "dark")] == [*"dark"]
    assert shelf.following("story-1", "a dar")[0][0] == "k"
    with pytest.raises(WavemoreError, match="makes no items"):
        shelf.sample("story-1", Wishes(3))
    for name, text, length in (("names-1", "m", 9), ("story-1", "ß", 9), ("story-1", "a", 0), ("story-1", "a", 10**6)):
        with pytest.raises(WavemoreError):
            list(shelf.write(name, text, length))


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../names-1", "names-1/../names-2", "runs/names-1", "/etc", "a\0b", "*"]
)
def test_only_runs_in_the_folder_are_found(name: str, trained: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        find_named(name)


def test_a_model_is_loaded_once_and_again_when_it_has_changed(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    first = shelf.get("names-1")
    assert shelf.get("names-1") is first
    assert shelf.get("latest").run.path.name == "names-2"
    monkeypatch.setattr("wavemore.app.shelf.FRESH", -1.0)
    assert shelf.get("names-1") is first
    weights = first.run.path / "model.safetensors"
    weights.touch()
    assert shelf.get("names-1") is not first
    assert len(shelf._loaded) == 2 <= MOST_LOADED


def test_threads_do_not_disturb_each_other(shelf: Shelf) -> None:
    wishes = [Wishes(10, ending=ending, seed=seed) for seed, ending in enumerate(("", "a", "", "n") * 3)]
    alone = [shelf.sample("names-1", each) for each in wishes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda each: shelf.sample("names-1", each), wishes))
    assert json.dumps(together) == json.dumps(alone)
    with ThreadPoolExecutor(4) as pool:
        made = [
            item["text"]
            for items in pool.map(lambda _: shelf.sample("names-1", Wishes(5)), range(12))
            for item in items
        ]
    assert len(set(made)) == 60


def test_a_word_letter_by_letter(shelf: Shelf) -> None:
    found = shelf.letters("names-1", "mari")
    assert [letter.character for letter in found] == ["m", "a", "r", "i", ""]
    model = shelf.get("names-1").model
    for letter in found:
        assert 0 < letter.p <= letter.expected[0][1] <= 1
        assert len(letter.expected) == 3
    from math import log

    assert sum(-log(letter.p) for letter in found) == pytest.approx(model.score(["mari"])[0].nats, rel=1e-3)
    assert shelf.following("names-1", "mar")[0] == max(shelf.following("names-1", "mar"), key=lambda pair: pair[1])
    assert "mari" in shelf.tree("names-1", "mari").replace(" ", "")
    for word in ("maß", "m" * 61):
        with pytest.raises(WavemoreError):
            shelf.letters("names-1", word)


def test_all_runs_are_listed_and_two_are_compared(trained: Path) -> None:
    rows = board.rows()
    assert [row.name for row in rows] == board.usable() == ["names-2", "names-1", "story-1", "kinds-1"]
    assert all(row.state == "" and row.seconds > 0 for row in rows)
    assert rows[0].does == f"joins neighbouring characters step by step; {rows[0].parameters:,} numbers"
    assert PLAIN_MODELS.keys() == MODELS.keys()
    verdict = board.judge("names-1", "names-2")
    assert "8 items that neither has learned from" in verdict.sentence
    for pair in (("", "names-1"), ("names-1", "names-1"), ("names-1", "nothing"), ("names-1", "story-1")):
        with pytest.raises(WavemoreError):
            board.judge(*pair)


@pytest.mark.parametrize(
    "memory", [None, 3, "x", [], {"run": []}, {"kept": 3}, {"kept": {"a": 3}}, {"kept": {"a": [3]}}]
)
def test_what_a_browser_sends_may_be_nonsense(memory: Any) -> None:
    found = remembered(memory)
    assert found["run"] == ""
    assert all(items == [] for items in found["kept"].values())


def test_an_exported_page_lands_in_the_folder(shelf: Shelf, tmp_path: Path) -> None:
    path = shelf.export("names-1", tmp_path)
    assert path == tmp_path / "names-1.html"
    assert path.read_text(encoding="utf-8").startswith("<!")
    with pytest.raises(RunError):
        shelf.export("../names-1", tmp_path)
