import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import HealthCheck, settings

import wavemore as wm
from wavemore.cli import main
from wavemore.engine.threads import set_threads

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
