from pathlib import Path

import pytest

import wavemore as wm

NAMES = [f"{a}{b}{c}" for a in ("mar", "jo", "el", "an", "st") for b in ("i", "an", "el", "") for c in "aeny"]


@pytest.fixture(scope="session")
def _trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "names.txt").write_text("\n".join(NAMES) + "\n", encoding="utf-8")
    corpus = wm.load_corpus(folder / "names.txt")
    for number, fuse in enumerate(((2, 2), (2,)), 1):
        plan = wm.plan(corpus, model="tree", fuse=fuse, embedding=8, hidden=24, steps=60, num_evals=1, batch_size=64)
        wm.train(corpus, plan, run=folder / "runs" / f"names-{number}")
    return folder


@pytest.fixture
def trained(_trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the runs names-1, a tree over four characters, and names-2, over two; it is the current one."""
    monkeypatch.chdir(_trained)
    return _trained


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
