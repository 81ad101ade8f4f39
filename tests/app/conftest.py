from pathlib import Path

import pytest

import wavemore as wm

NAMES = [f"{a}{b}{c}" for a in ("mar", "jo", "el", "an", "st") for b in ("i", "an", "el", "") for c in "aeny"]


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    rows = "".join(f"{name},{'fi' if name[-1] in 'ae' else 'de'}\n" for name in NAMES)
    (folder / "kinds.csv").write_text(f"name,country\n{rows}", encoding="utf-8")
    (folder / "story.txt").write_text("It was\na dark and stormy night, and it rained.\n" * 80, encoding="utf-8")
    kinds = wm.load_corpus(folder / "kinds.csv", label_column="country")
    plan = wm.plan(kinds, model="gru", embedding=8, hidden=24, steps=60, num_evals=1, batch_size=64)
    wm.train(kinds, plan, run=folder / "runs" / "kinds-1")
    story = wm.load_corpus(folder / "story.txt", format="text")
    wm.train(story, model="ngram", order=4, run=folder / "runs" / "story-1")
    corpus = wm.load_corpus(folder / "names.txt")
    for number, fuse in enumerate(((2, 2), (2,)), 1):
        plan = wm.plan(corpus, model="tree", fuse=fuse, embedding=8, hidden=24, steps=60, num_evals=1, batch_size=64)
        wm.train(corpus, plan, run=folder / "runs" / f"names-{number}")
    return folder


@pytest.fixture
def trained(_trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the current one, with runs: kinds-1 of items with labels, story-1 of a text, and names-1 and -2.

    These are trees over four characters and over two.
    """
    monkeypatch.chdir(_trained)
    return _trained


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
