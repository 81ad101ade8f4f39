"""What is measured on data with published figures."""

from itertools import product
from pathlib import Path

import pytest

import wavemore as wm
from benchmarks import published


def test_molecules_are_drawn_as_the_model_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rdkit", reason="needs RDKit: pip install 'wavemore[chemistry]'")
    monkeypatch.setattr(published, "SAMPLES", 40)
    chains = ["".join(atoms) for length in range(2, 6) for atoms in product("CNO", repeat=length)]
    data = tmp_path / "molecules.txt"
    data.write_text("\n".join(chains[::2]) + "\n", encoding="utf-8")
    wm.train(wm.load_corpus(data, format="lines"), model="ngram", run=tmp_path / "run")
    assert published.molecules(data, tmp_path / "run")["novel"] < 1  # a selection would leave out known lines
