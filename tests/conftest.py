import importlib.util
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, settings

import wavemore as wm
from wavemore.engine.plan import plan
from wavemore.engine.threads import set_threads
from wavemore.runs.config import RunConfig
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config, finish, train
from wavemore.text.datasets import load_corpus
from wavemore.text.line_corpus import LineCorpus

ROOT = Path(__file__).resolve().parents[1]

collect_ignore = (
    [f"cli/test_cli_{name}.py" for name in ("from", "minutes", "process", "study", "teachers", "terminal")]
    if sys.platform == "win32"  # it has neither these signals nor these terminals
    else []
)

# A busy machine is no reason for a test to fail.
settings.register_profile("no-clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no-clock")


@pytest.fixture(autouse=True)
def _repeatable() -> None:
    set_threads(1)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of data that is not in the repository, beside the checkout."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "names.txt").is_file():
        pytest.skip(f"needs names.txt in {folder}")
    return folder


@pytest.fixture(scope="session")
def script() -> Callable[[str], ModuleType]:
    """A module of scripts/, by its name."""

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def _trained_experiments(tmp_path_factory: pytest.TempPathFactory) -> Path:
    set_threads(1)
    folder = tmp_path_factory.mktemp("experiments")
    lines = list(wm.load_corpus("names").train.lines)[:600]
    names = folder / "names.txt"
    names.write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = load_corpus(names)
    for seed in range(3):
        for name, hidden in (("small", 8), ("wide", 48)):
            chosen = plan(corpus, fuse=(2, 2), embedding=6, hidden=hidden, num_evals=1, steps=60, seed=seed)
            run = Run(folder / "runs" / f"{name}-{seed}")
            run.create(config_of(chosen, data_config(corpus, str(names)), experiment=name), corpus)
            recorder, model = Recorder(run, None), run.new_model()
            for _ in train(run, model, corpus, recorder):
                pass
            finish(run, model, corpus, recorder)
    return folder


@pytest.fixture
def experiments(_trained_experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder whose `runs/` holds the seeds 0, 1, 2 of two experiments on 600 names; wide is better."""
    shutil.copytree(_trained_experiments / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


SETTINGS: dict[str, Any] = {
    "fuse": (2, 2),
    "embedding": 4,
    "hidden": 8,
    "steps": 12,
    "batch_size": 8,
    "num_evals": 4,
}


@pytest.fixture(scope="session")
def names_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "names.txt"
    path.write_text(
        "".join(f"{first}{last}\n" for first in ("an", "bo", "el", "ju") for last in ("na", "b", "lia", "y"))
    )
    return path


@pytest.fixture(scope="session")
def corpus(names_file: Path) -> LineCorpus:
    return load_corpus(names_file)


@pytest.fixture(scope="session")
def config(corpus: LineCorpus) -> RunConfig:
    set_threads(1)
    return config_of(plan(corpus, **SETTINGS), data_config(corpus, corpus.source), command=("wavemore", "train"))


def train_until(run: Run, corpus: LineCorpus, step: int = 12) -> None:
    """Train, or resume, as the command does."""
    recorder = Recorder(run, run.checkpoint())
    for record in train(run, run.new_model(), corpus, recorder):
        if record.step == step:
            recorder.save(record)
            return


@pytest.fixture(name="train_until")
def _train_until() -> Callable[..., None]:
    return train_until


@pytest.fixture
def trained(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> Run:
    """A run that was stopped at step 6 of 12, after its second evaluation."""
    run = Run(tmp_path / "run")
    run.create(config, corpus)
    train_until(run, corpus, step=6)
    return run


@pytest.fixture
def other(tmp_path: Path, config: RunConfig, corpus: LineCorpus) -> Run:
    """The same model on the same lines, trained with another seed."""
    run = Run(tmp_path / "other")
    run.create(replace(config, recipe=replace(config.recipe, seed=1)), corpus)
    train_until(run, corpus, step=6)
    return run
