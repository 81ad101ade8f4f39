"""What `import wavemore` gives, and what it does not drag in."""

import subprocess
import sys
from types import ModuleType

import pytest

import wavemore
from wavemore.errors import WavemoreError

EXPORTS = [
    "Checkpoint",
    "Comparison",
    "Corpus",
    "Evaluation",
    "Finding",
    "Inspection",
    "LECTURE",
    "Plan",
    "Progress",
    "Recipe",
    "Run",
    "Sample",
    "Sampling",
    "Score",
    "TextStream",
    "Tree",
    "TreeConfig",
    "Vocabulary",
    "WavemoreError",
    "Written",
    "build",
    "compare",
    "evaluate",
    "find_run",
    "find_runs",
    "fit",
    "generate",
    "inspect",
    "inspect_model",
    "inspect_run",
    "load",
    "load_text",
    "plan",
    "plots",
    "report",
    "score",
    "score_texts",
    "soft_targets",
    "write",
]
HEAVY = {"torch", "numpy", "safetensors", "matplotlib", "scipy"}


def imported_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running `code`."""
    code += "\nimport sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_exports_are_these() -> None:
    assert sorted(wavemore.__all__) == EXPORTS
    assert set(EXPORTS) <= set(dir(wavemore))


@pytest.mark.parametrize("name", EXPORTS)
def test_every_export_resolves(name: str) -> None:
    found = getattr(wavemore, name)
    assert name == "LECTURE" or found.__name__.rpartition(".")[2] == name
    if isinstance(found, ModuleType):
        assert found.__name__.startswith("wavemore.")
        return
    assert type(found).__module__.startswith("wavemore.") or found.__module__.startswith("wavemore.")


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = wavemore.fitt


def test_importing_imports_nothing_heavy() -> None:
    loaded = imported_by("import wavemore; wavemore.__version__; dir(wavemore)")
    assert "wavemore" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["sample", "--help"], ["--version"]])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = f"""
from importlib.metadata import entry_points
[entry] = entry_points(group="console_scripts", name="wavemore")
try:
    entry.load()({arguments})
except SystemExit as stop:
    assert not stop.code, stop.code
"""
    loaded = imported_by(code)
    assert "wavemore" in loaded
    assert "torch" not in loaded


def test_settings_and_errors_need_no_torch() -> None:
    loaded = imported_by("from wavemore import LECTURE, Recipe, Sampling, TreeConfig, WavemoreError")
    assert "torch" not in loaded


def test_every_error_has_an_exit_code_and_one_parent() -> None:
    kinds = [WavemoreError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} == {1, 2}
    assert len(kinds) > 5
