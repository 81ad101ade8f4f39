"""How a run is displayed in Jupyter and VS Code."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from wavemore.runs.config import RunConfig
from wavemore.runs.display import curve
from wavemore.runs.record import Summary
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = "<script>alert('1')</script>"


def summary(**changes: Any) -> Summary:
    values: dict[str, Any] = {
        "train_nats": 1.9,
        "val_nats": 2.0,
        "leak_free_val_nats": None,
        "parameters": 1234,
        "steps": 12,
        "best_step": 9,
        "train_seconds": 1.25,
        "finished": "2026-01-01",
        "val_line_percentiles": None,
        "environment": {},
    }
    return Summary(**(values | changes))


def test_a_finished_run_shows_its_curves_and_samples(
    trained: Run, train_until: Callable[..., None], corpus: LineCorpus
) -> None:
    train_until(trained, corpus)
    trained.finish(summary(), ["anna", "bo lia"])
    page = ElementTree.fromstring(trained._repr_html_())
    content = "".join(page.itertext())
    assert str(trained.path) in content
    assert "val 2.0000, train 1.9000 nats per character" in content
    assert "1,234 parameters; muon, 12 steps of 8; 1.2 s; best step 9" in content
    assert [entry.text for entry in page.iter("bdi")] == ["anna", "bo lia"]
    lengths = [len(set(line.attrib["points"].split())) for line in page.iter(f"{SVG}polyline")]
    assert lengths == [len(trained.metrics()), 4]


def test_an_unfinished_run_shows_how_far_it_is(trained: Run) -> None:
    content = "".join(ElementTree.fromstring(trained._repr_html_()).itertext())
    assert "stopped at step 6 of 12" in content
    assert "best val loss so far" in content
    assert "samples" not in content


def test_markup_in_names_notes_and_samples_is_escaped(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> None:
    run = Run(tmp_path / "<img src=x>")
    data = replace(config.data, name=SCRIPT)
    run.create(replace(config, note=f"{SCRIPT}\x1b[31m", data=data), corpus)
    run.finish(summary(), [SCRIPT, "a" * 1_000, "‮abc", "&amp;"])
    html = run._repr_html_()
    page = ElementTree.fromstring(html)
    assert not list(page.iter("script"))
    assert not list(page.iter("img"))
    samples = [entry.text or "" for entry in page.iter("bdi")]
    assert samples == [SCRIPT, "a" * 80 + "…", "U+202Eabc", "&amp;"]
    assert "\x1b" not in html


def test_a_folder_without_a_run_shows_the_error(tmp_path: Path) -> None:
    content = "".join(ElementTree.fromstring(Run(tmp_path / "none")._repr_html_()).itertext())
    assert "there is no run at" in content
    assert repr(Run(Path("runs/a"))) == "Run('runs/a')"


def test_curves_of_few_and_of_strange_numbers() -> None:
    def record(step: int, train: float, **others: float) -> Any:
        return {"step": step, "epoch": 0.1, "learning_rate": 0.1, "train_nats": train, "seconds": 1.0, **others}

    assert curve([record(1, 2.0)]) == ""
    assert curve([record(1, float("nan")), record(2, 2.0)]) == ""
    for records in (
        [record(1, 2.0), record(2, 2.0)],
        [record(1, 2.0), record(2, float("inf")), record(3, 1.0, val_nats=1.0)],
    ):
        svg = curve(records)
        ElementTree.fromstring(svg)
        assert "nan" not in svg
        assert "inf" not in svg


def test_it_needs_no_matplotlib(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; import wavemore as wm; "
        f"wm.Run(Path({str(tmp_path)!r}))._repr_html_(); print('matplotlib' in sys.modules)"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "False\n"
