"""What the page shows is text: no list, name or word becomes markup."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavemore.app import markup
from wavemore.app.board import Row, Verdict
from wavemore.app.desk import Job, Point
from wavemore.app.lists import ListFacts
from wavemore.app.shelf import Letter
from wavemore.comparison.result import LineDifference
from wavemore.runs.run import Run

ATTACK = "</td></script><img src=x onerror=alert(1)>'\"\x1b[31m\u202e{{x}}${y}"
TAGS = {
    "p",
    "div",
    "ul",
    "li",
    "bdi",
    "dl",
    "dt",
    "dd",
    "h3",
    "small",
    "b",
    "svg",
    "path",
    "polyline",
    "text",
    "figure",
}
TAGS |= {
    "figcaption",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "button",
    "span",
    "ol",
    "pre",
    "details",
    "summary",
    "a",
}


class Tags(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += data


def job(text: str, **values: Any) -> Job:
    made = Job(Run(f"runs/{text.replace('/', '')}"), {}, 1.0, state="learning", samples=[text, text])
    made.points = [Point(1, 1.0, 3.0), Point(1, 2.0, 2.5), Point(0, 3.0, 2.0), Point(0, 4.0, 1.8)]
    for name, value in values.items():
        setattr(made, name, value)
    return made


def pages(text: str) -> list[str]:
    item = {"text": text, "nats_per_char": 2.0, "percentile_rank": 0.5, "new": True, "nearest": text, "distance": 2}
    row = Row(text, text, text, text, text, text, 3, 4.0, text, is_usable=True)
    verdict = Verdict(text, text, [LineDifference(text, 1.0, 2.0, 1.0)], [LineDifference(text, 2.0, 1.0, -1.0)])
    return [
        markup.note(text, "problem"),
        markup.facts(ListFacts(text, text, 3, 2, 9, text, (text,), (text,), (text,), header=text, part=text)),
        *(
            markup.learning(job(text, state=state, message=text), 2)
            for state in ("waiting", "done", "failed", "paused", "dropped")
        ),
        markup.learning(job(text)),
        markup.items([item], [text]),
        markup.items([item | {"label": text}], []),
        markup.downloads([item | {"label": text}], text),
        markup.written(text, text),
        markup.favourites([item], text),
        markup.letters([Letter("a", 0.5, ((text[:1], 0.25),)), Letter("", 0.0, ())], text, text),
        markup.following([("a", 0.5), (text[:1], 0.1)], text),
        markup.tree(text),
        markup.runs([row]),
        markup.verdict(verdict, text, text),
    ]


def check(page: str) -> None:
    found = Tags(page)
    assert {*found.tags} <= TAGS
    assert not any(name.startswith("on") or name in ("src", "srcset", "action") for name, _ in found.attributes)
    assert all(
        value is not None and value.startswith("data:text/") for name, value in found.attributes if name == "href"
    )
    assert not re.search("[\x00-\x08\x1b\u202e]", page)


def test_an_attack_stays_text() -> None:
    for page in pages(ATTACK):
        check(page)
    assert "onerror=alert(1)>" in Tags(markup.note(ATTACK)).text


@given(st.text(min_size=1, max_size=30))
def test_any_text_stays_text(text: str) -> None:
    for page in pages(text):
        check(page)


def test_the_curve_is_described_for_a_screen_reader() -> None:
    page = markup.learning(job("anna"))
    assert "It hesitates between 6.0 characters; at first, between 20" in page
    assert page.count("<polyline") == 2
    assert markup.curve([Point(0, 1.0, 2.0)]) == ""


def test_stars_show_what_is_kept() -> None:
    made = [{"text": text, "new": True, "percentile_rank": rank} for text, rank in (("anna", 0.9), ("bob", 0.01))]
    page = Tags(markup.items(made, ["bob"]))
    assert [value for name, value in page.attributes if name == "aria-pressed"] == ["false", "true"]
    assert "very typical 90 %" in page.text
    assert "very unusual 1 %" in page.text


def test_a_saved_table_holds_no_formula() -> None:
    made = [{"text": "=1+1", "nats_per_char": 1.5, "percentile_rank": 0.5, "new": True, "nearest": "a", "distance": 3}]
    links = [value for name, value in Tags(markup.downloads(made, "n")).attributes if name == "href" and value]
    listed, table = (base64.b64decode(link.partition("base64,")[2]).decode() for link in links)
    assert listed == "=1+1\n"
    assert [*csv.DictReader(io.StringIO(table))] == [
        {"text": "'=1+1", "nats_per_char": "1.5000", "percentile_rank": "0.5000", "new": "yes", "nearest": "a"}
        | {"distance": "3"}
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "waiting"}, "2 trainings before this one"),
        ({"teachers": 4, "teacher": 2}, "Learning, part 2 of 5"),
        ({"teachers": 4}, "part 5 of 5"),
        ({"seconds": 20.0}, "about 40 seconds left"),
        ({"wants": "finish"}, "what was learned is kept"),
        ({"state": "paused"}, "is kept"),
        ({"state": "dropped"}, "was stopped before it had begun"),
        ({"state": "failed", "message": "no room"}, "has not learned the list. No room."),
        (
            {
                "state": "failed",
                "message": "`minutes` is 0.05, which is too short for 10 steps and the val loss of this model: give at "
                "least 0.3",
            },
            "There is too little time for this list: choose a longer one.",
        ),
        ({"state": "done", "val_nats": 2.0}, "It hesitates between 7.4 characters at each place. Now"),
    ],
)
def test_a_training_is_told_in_words(values: dict[str, Any], words: str) -> None:
    assert words in markup.learning(job("anna", **values), 2)
