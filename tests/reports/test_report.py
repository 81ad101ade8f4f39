"""Pages: self-contained, escaped, and of what there is."""

import base64
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from math import log
from pathlib import Path
from xml.etree import ElementTree

import pytest

from wavemore.engine.evaluate import evaluate, score
from wavemore.engine.plan import plan
from wavemore.errors import RunError
from wavemore.reports.report import report, subject
from wavemore.reports.study_page import StudyFolder, html_of
from wavemore.reports.tags import page, paragraph, table, text
from wavemore.runs.config import Config
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import finish, train
from wavemore.text.corpus import Corpus

VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """A page taken apart; every tag that is opened is closed in order."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.words = ""
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
            self.words += data

    @property
    def pictures(self) -> list[bytes]:
        found = [facts["src"] or "" for tag, facts in self.tags if tag == "img"]
        assert all(source.startswith("data:image/svg+xml;base64,") for source in found)
        return [base64.b64decode(source.partition(",")[2]) for source in found]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, config: Config, corpus: Corpus) -> Run:
    run = Run(tmp_path_factory.mktemp("runs") / "done")
    run.create(replace(config, note="<script>alert(1)</script> & more"), corpus)
    model, recorder = run.new_model(), Recorder(run, None)
    for _ in train(run, model, corpus, recorder):
        pass
    finish(run, model, corpus, recorder)
    return run


@pytest.fixture(scope="module")
def made(finished: Run) -> str:
    return report(finished)


SECTIONS = [
    "Learning",
    "Where the loss is",
    "Surprise, letter by letter",
    "What it makes",
    "The model",
    "Layer by layer",
    "Settings",
    "Do it again",
]


def test_a_page_needs_nothing_but_itself(made: str) -> None:
    found = Page(made)
    assert not {tag for tag, _ in found.tags} & {"script", "link", "iframe", "object"}
    for _, facts in found.tags:
        assert not any(name.startswith("on") for name in facts)
        assert (facts.get("href") or "#").startswith("#")
    assert "default-src 'none'" in made
    assert re.findall(r"https?://\S+", re.sub(r'src="data:[^"]*"', "", made)) == []
    assert "url(" not in made
    for svg in found.pictures:
        ElementTree.fromstring(svg.decode())
        outside = re.findall(rb'(?:href|src)="(?!#)[^"]*"', svg)
        assert outside == []


def test_every_section_is_there_and_linked(made: str) -> None:
    found = Page(made)
    assert found.headings == SECTIONS
    anchors = {facts["id"] for tag, facts in found.tags if tag == "section"}
    assert {(facts["href"] or "")[1:] for tag, facts in found.tags if tag == "a"} == anchors
    assert len(found.pictures) == 8
    assert all(facts["alt"] for tag, facts in found.tags if tag == "img")


def test_the_numbers_are_those_of_the_run(made: str, finished: Run, corpus: Corpus) -> None:
    summary, model = finished.summary(), finished.model()
    assert summary is not None
    words = Page(made).words
    assert f"val loss{evaluate(model, corpus.val).nats:.4f} nats per character" in words
    assert f"{summary.val_nats / log(2):.3f} bits per character" in words
    assert f"parameters{model.parameter_count():,}" in words
    least_usual = max(score(model, corpus.vocabulary, list(corpus.val.lines)), key=lambda one: one.nats_per_char)
    assert f"{least_usual.nats_per_char:.3f} nats per character" in words
    cells = "".join(f"{c}{nats:.1f}" for c, nats in zip([*least_usual.text, "⏎"], least_usual.char_nats, strict=True))
    assert cells in words


def test_data_is_no_markup(made: str) -> None:
    assert "<script" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in made
    assert text('<b title="x">') == "&lt;b title=&quot;x&quot;&gt;"
    content = page("</title><b>", [paragraph("<i>")], [("<h>", [table(["<th>"], [[text("<td>")]])])])
    assert {tag for tag, _ in Page(content).tags} & {"b", "i", "h"} == set()


def test_a_page_is_the_same_each_time(made: str, finished: Run) -> None:
    assert report(finished) == made


def test_a_run_that_was_stopped_says_so(trained: Run) -> None:
    found = Page(report(trained))
    assert "Not finished: stopped at step 6 of 12" in found.words
    assert f"wavemore train --resume --run {trained.path}" in found.words
    assert "val loss, best so far" in found.words
    assert found.headings == SECTIONS


def test_a_run_without_a_first_record_has_its_settings(tmp_path: Path, config: Config, corpus: Corpus) -> None:
    run = Run(tmp_path / "begun")
    run.create(config, corpus)
    words = Page(report(run)).words
    assert "There are no records yet" in words
    assert "so it has no model yet" in words
    assert "weight decay" in words


def test_data_that_has_gone_takes_nothing_else_away(
    trained: Run, names_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(self: Run) -> Corpus:
        raise RunError(f"{names_file} is gone")

    monkeypatch.setattr(Run, "data", gone)
    found = Page(report(trained))
    assert f"Not shown: {names_file} is gone" in found.words
    assert len(found.pictures) == 4  # the curves, the updates, the tree, the embedding
    assert "drawn at temperature 1" in found.words


RECORD = {
    "format": 1,
    "name": "flat",
    "question": "Is <flat> better?",
    "expected": "No.",
    "source": "",
    "measure": [],
    "data": {"name": "n", "split": "lecture", "train_lines": 9, "val_lines": 2,
             "leak_free_val_targets": 5, "val_targets": 9},
    "seeds": [0, 1],
    "tune_seeds": [100],
    "arms": [
        {
            "name": name,
            "group": "",
            "against": against,
            "published": {"val": 2.0, "train": None},
            "epochs": 1.5,
            "tries": [],
            "tuned": {},
            "runs": [
                {"seed": seed, "val_nats": base + seed / 100, "leak_free_val_nats": base, "train_nats": base,
                 "seconds": 1.0, "parameters": 1234, "steps": 7}
                for seed in (0, 1)
            ],
        }
        for name, against, base in (("flat | eight", None, 2.1), ("tree", "flat | eight", 1.9))
    ],
    "environment": {"cpu": "c", "torch": "2", "commit": ""},
    "jobs": 2,
    "training_seconds": 4.0,
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> StudyFolder:
    (tmp_path / "study.json").write_text(json.dumps(RECORD))
    return StudyFolder(tmp_path)


def test_a_study_has_its_question_answer_table_and_picture(study: StudyFolder) -> None:
    made = report(study)
    found = Page(made)
    assert "<h1>Is &lt;flat&gt; better?</h1>" in made
    assert found.headings[:2] == ["Answer", "Results"]
    assert "tree is better than flat | eight by 0.2000 nats" in found.words
    assert '<td class="left">flat | eight</td><td>1,234</td>' in made
    assert len(found.pictures) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"question": 1}', json.dumps({**RECORD, "arms": [{}]}), "\xff"])
def test_a_damaged_record_is_told(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.json").write_bytes(content.encode("latin-1"))
    with pytest.raises(RunError, match=r"study\.json is damaged or was changed"):
        report(StudyFolder(tmp_path))


def test_markdown_of_others_stays_words() -> None:
    assert list(html_of("a <img src=x> **b**")) == ["<p>a &lt;img src=x&gt; <b>b</b></p>\n"]


def test_a_subject_is_a_run_or_a_study(
    finished: Run, study: StudyFolder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, trained: Run
) -> None:
    assert isinstance(subject(str(finished.path)), Run)
    assert subject(str(study.path)) == study
    monkeypatch.chdir(tmp_path)
    Path("studies").mkdir()
    Path("studies/flat").mkdir()
    Path("studies/flat/study.json").write_text("{}")
    assert subject("flat") == StudyFolder(Path("studies/flat"))
    with pytest.raises(RunError, match="there is no run and no finished study 'nothing'"):
        subject("nothing")
    with pytest.raises(RunError):
        subject("x" * 5_000)


def test_odd_characters_are_seen(
    tmp_path: Path, config: Config, go_on: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [f"{first} \u202e{last}<&" for first in ("天", "😀", "e\u0301", "\u200d\x07") for last in "abcde"]
    corpus = Corpus.from_lines(lines)
    chosen = plan(corpus, settings={"fuse": (2, 2), "embedding": 4, "hidden": 8, "steps": 12, "batch_size": 8})
    run = Run(tmp_path / "odd")
    run.create(replace(config, settings=chosen.tree, recipe=chosen.recipe), corpus)
    go_on(run, corpus)
    monkeypatch.setattr(Run, "data", lambda self: corpus)
    found = Page(report(run))
    words = found.words
    assert found.headings == SECTIONS
    assert "U+202E" in words
    assert "␣" in words
    assert "\u202e" not in words
    assert "drawn at temperature 1" in words
