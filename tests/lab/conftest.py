from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.lab.config import FORMAT, Config, DataConfig
from wavemore.lab.recorder import Recorder
from wavemore.lab.runs import Run
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load

SETTINGS = {"fuse": (2, 2), "embedding": 4, "hidden": 8, "steps": 12, "batch_size": 8, "evaluations": 4}


@pytest.fixture(scope="session")
def names_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "names.txt"
    path.write_text(
        "".join(f"{first}{last}\n" for first in ("an", "bo", "el", "ju") for last in ("na", "b", "lia", "y"))
    )
    return path


@pytest.fixture(scope="session")
def corpus(names_file: Path) -> Corpus:
    return load(names_file)


@pytest.fixture(scope="session")
def config(corpus: Corpus) -> Config:
    chosen = plan(corpus, settings=SETTINGS)
    data = DataConfig(
        source=corpus.source,
        name=corpus.name,
        sha256=corpus.sha256,
        encoding=corpus.encoding,
        split=corpus.split,
        split_seed=corpus.split_seed,
        longest=corpus.report.longest,
    )
    return Config(
        format=FORMAT,
        wavemore="0.1.0",
        command=("wavemore", "train"),
        created="2026-01-01T00:00:00+00:00",
        data=data,
        model="tree",
        settings=chosen.tree,
        recipe=chosen.recipe,
        device="cpu",
        threads=1,
    )


def go_on(run: Run, corpus: Corpus, until: int = 12) -> None:
    """Train, or go on training, as the command does."""
    checkpoint = run.checkpoint()
    recorder = Recorder(run, checkpoint)
    for progress in fit(run.new_model(), corpus, run.config.recipe, resume=checkpoint):
        recorder.add(progress)
        if progress.step == until:
            recorder.save()
            return


@pytest.fixture(name="go_on")
def _go_on() -> Callable[..., None]:
    return go_on


@pytest.fixture
def trained(tmp_path: Path, config: Config, corpus: Corpus) -> Run:
    """A run that was stopped after its second evaluation, at step 6 of 12."""
    run = Run(tmp_path / "run")
    run.create(config, corpus)
    go_on(run, corpus, until=6)
    return run


@pytest.fixture
def other(tmp_path: Path, config: Config, corpus: Corpus) -> Run:
    """The same model on the same lines, trained with another seed."""
    run = Run(tmp_path / "other")
    run.create(replace(config, recipe=replace(config.recipe, seed=1)), corpus)
    go_on(run, corpus, until=6)
    return run
