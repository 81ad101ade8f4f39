"""Long tasks say how far they are, to whoever listens."""

from pathlib import Path

import pytest

import wavemore as wm
from wavemore.cli import progress
from wavemore.cli.progress import busy
from wavemore.progress import listening, report
from wavemore.text.datasets import load_corpus


def test_reading_and_evaluation_are_reported_to_their_end(tmp_path: Path) -> None:
    heard: dict[str, list[float]] = {}
    (tmp_path / "list.txt").write_text("".join(f"{number:07b}\n" for number in range(100_000)))
    with listening(lambda task, fraction: heard.setdefault(task, []).append(fraction)):
        corpus = load_corpus(tmp_path / "list.txt")
        model = wm.build("bigram", len(corpus.vocabulary), wm.plan(corpus, model="bigram").model_config, seed=0)
        wm.evaluate(model, corpus.val)
    assert {"reading list.txt", "hashing the lines", "splitting the lines", "evaluation"} <= heard.keys()
    assert all(fractions == sorted(fractions) and fractions[-1] == 1 for fractions in heard.values())
    assert len(heard["reading list.txt"]) > 3


def test_only_the_inner_listener_hears() -> None:
    outer: list[str] = []
    inner: list[str] = []
    with listening(lambda task, fraction: outer.append(task)):
        report("first", 1, 2)
        with listening(lambda task, fraction: inner.append(task)):
            report("second", 1, 2)
        report("third", 1, 2)
    report("fourth", 1, 2)
    assert (outer, inner) == (["first", "third"], ["second"])


def test_a_long_task_is_shown_on_standard_error_and_a_short_one_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with busy():
        report("short", 1, 4)
        report("short", 4, 4)
        monkeypatch.setattr(progress, "LONG", 0.0)
        report("long\x1b[2J", 1, 4)
        report("long\x1b[2J", 4, 4)
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "long␛[2J: 25%, 0.0 s left\n"
