import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, settings

import wavemore as wm
from wavemore.cli import main
from wavemore.engine.fit import fit
from wavemore.engine.plan import plan
from wavemore.engine.process import set_threads
from wavemore.runs.config import FORMAT, Config, DataConfig
from wavemore.runs.recorder import Recorder
from wavemore.runs.run import Run
from wavemore.text.corpus import Corpus
from wavemore.text.datasets import load

ROOT = Path(__file__).resolve().parents[1]

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
    folder = tmp_path_factory.mktemp("experiments")
    lines = list(wm.load("names").train.lines)[:600]
    names = folder / "names.txt"
    names.write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["train", str(names), "--fuse", "2", "2", "--embedding", "6", "--evaluations", "1", "--json"]
    for seed in range(3):
        for name, flags in (("small", ["--hidden", "8"]), ("wide", ["--hidden", "48"])):
            run = ["--run", str(folder / "runs" / f"{name}-{seed}"), "--experiment", name, "--seed", str(seed)]
            assert main([*words, *flags, *run, "--steps", "60"]) == 0
    return folder


@pytest.fixture
def experiments(_trained_experiments: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, whose `runs/` holds the seeds 0, 1, 2 of two experiments: small, and wide, which is better.

    Their 600 names are in `names.txt` of another folder.
    """
    shutil.copytree(_trained_experiments / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


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
