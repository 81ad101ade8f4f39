"""The public names, and what `import wavemore` and `--help` do not import."""

import subprocess
import sys

import pytest

import wavemore
from wavemore.errors import WavemoreError

HEAVY = {"torch", "numpy", "safetensors", "matplotlib", "scipy"}


def imported_by(code: str) -> set[str]:
    """The top-level modules that a new interpreter has imported after running `code`."""
    code += "\nimport sys; print('\\n' + ' '.join({name.split('.')[0] for name in sys.modules}))"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(process.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", wavemore.__all__)
def test_every_public_name_resolves_to_itself(name: str) -> None:
    export = getattr(wavemore, name)
    assert name in ("LECTURE", "__version__") or export.__name__.rpartition(".")[2] == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="fitt"):
        _ = wavemore.fitt  # type: ignore[attr-defined]


def test_importing_imports_nothing_heavy() -> None:
    loaded = imported_by("import wavemore; wavemore.__version__; dir(wavemore)")
    assert "wavemore" in loaded
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["--version"]])
def test_help_imports_no_torch(arguments: list[str]) -> None:
    code = f"""
import sys
from importlib.metadata import entry_points
[entry] = entry_points(group="console_scripts", name="wavemore")
sys.argv = ["wavemore", *{arguments}]
try:
    entry.load()()
except SystemExit as end:
    assert end.code == 0
"""
    loaded = imported_by(code)
    assert "wavemore" in loaded
    assert "torch" not in loaded


def test_settings_and_errors_need_no_torch() -> None:
    loaded = imported_by("from wavemore import LECTURE, Recipe, Sampling, WavemoreError")
    assert "torch" not in loaded


def test_every_error_has_an_exit_code_and_one_parent() -> None:
    kinds = [WavemoreError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.exit_code for kind in kinds} == {1, 2}
    assert len(kinds) > 5
