"""How much is memorised, in the output and in the summary."""

import json
from pathlib import Path
from typing import Any

from tests.cli.conftest import TINY
from wavemore.runs.run import Run


def test_train_says_how_much_is_known(wavemore: Any, names: str, folder: Path) -> None:
    result = wavemore("train", names, "--run", "runs/a", *TINY, "--steps", "5", "--num-evals", "1")
    lines = result.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("known  "))
    summary = Run(Path("runs/a")).summary()
    assert summary is not None
    assert summary.memorised is not None
    made, real = summary.memorised.sentences
    assert lines[first : first + 3] == [
        f"known  {made}",
        f"       {real}",
        "       drawn at temperature 0.5, which suits this list",
    ]
    saved = json.loads(Path("runs/a/summary.json").read_text(encoding="utf-8"))["memorised"]
    assert saved["samples"] == 1_000


def test_a_text_has_no_items(wavemore: Any, folder: Path) -> None:
    Path("text.txt").write_text("the cat sat on the mat\n" * 60, encoding="utf-8")
    words = ["--format", "text", "--model", "ngram", "--run", "runs/text"]
    assert "known  " not in wavemore("train", "text.txt", *words).out
    assert json.loads(Path("runs/text/summary.json").read_text(encoding="utf-8"))["memorised"] is None
