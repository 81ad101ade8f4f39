"""What VS Code and the container are told: it is JSON, and whatever it names is there."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wavemore.cli import main

ROOT = Path(__file__).resolve().parents[1]
LAUNCH = json.loads((ROOT / ".vscode" / "launch.json").read_text(encoding="utf-8"))
TASKS = json.loads((ROOT / ".vscode" / "tasks.json").read_text(encoding="utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def read(name: str) -> Any:
    return json.loads((ROOT / name).read_text(encoding="utf-8"))


def require_target(command: str) -> None:
    make, target = command.split()
    assert make == "make"
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), f"the Makefile has no target {target}"


@pytest.mark.parametrize("task", TASKS["tasks"], ids=lambda task: task["label"])
def test_a_task_is_a_target_of_the_makefile(task: dict[str, Any]) -> None:
    require_target(task["command"])


def test_the_tasks_that_people_need_are_there() -> None:
    assert {"demo", "test", "check", "docs"} <= {task["label"] for task in TASKS["tasks"]}


@pytest.mark.parametrize("launch", LAUNCH["configurations"], ids=lambda launch: launch["name"])
def test_what_is_launched_runs(
    launch: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    known = {"${workspaceFolder}": str(ROOT)} | {f"${{input:{i['id']}}}": i["default"] for i in LAUNCH["inputs"]}

    def filled(word: str) -> str:
        for name, value in known.items():
            word = word.replace(name, value)
        assert "${" not in word, word
        return word

    monkeypatch.chdir(tmp_path)
    if launch["args"][0] == "sample":  # of the run that was trained before
        assert main(["train", "--steps", "20", "--hidden", "16", "--evaluations", "1"]) == 0
    words = [filled(word) for word in launch["args"] if word != "--stop"]  # nobody sits at the debugger
    words = [word if word != "1" or "--epochs" not in words else "0.02" for word in words]
    program = ["-m", launch["module"]] if "module" in launch else [filled(launch["program"])]
    done = subprocess.run([sys.executable, *program, *words], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 15


def test_a_forward_pass_shows_every_shape() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "forward.py"), "anna", "--fuse", "4", "2"]
    shown = subprocess.run(words, capture_output=True, text=True, timeout=300, check=True).stdout
    rows = [" ".join(row.split()) for row in shown.splitlines()]
    assert rows[:3] == ["contexts (5, 8)", "0 Embedding (5, 8, 24)", "1 FlattenConsecutive (5, 2, 96)"]
    assert rows[-2] == "logits (5, 27)"
    assert float(rows[-1].split()[1]) == pytest.approx(3.296, abs=0.1)


def test_the_debugger_stops_before_a_layer() -> None:
    words = [sys.executable, str(ROOT / "scripts" / "forward.py"), "--stop"]
    done = subprocess.run(words, input="p tuple(x.shape)\nq\n", capture_output=True, text=True, timeout=300)
    assert "(Pdb) (9, 8)" in done.stdout


def test_settings_name_what_is_there() -> None:
    settings = read(".vscode/settings.json")
    assert settings["python.testing.pytestEnabled"] is True
    for folder in settings["python.testing.pytestArgs"]:
        assert (ROOT / folder).is_dir()
    interpreter = settings["python.defaultInterpreterPath"].removeprefix("${workspaceFolder}/")
    assert interpreter in MAKEFILE.replace("$(BIN)", ".venv/bin")
    formatters = {settings["[python]"]["editor.defaultFormatter"], settings["notebook.defaultFormatter"]}
    assert formatters <= set(read(".vscode/extensions.json")["recommendations"])


def test_the_container_runs_the_demo() -> None:
    container = read(".devcontainer/devcontainer.json")
    assert container["postCreateCommand"] == "make demo"
    require_target(container["postCreateCommand"])
    extensions = container["customizations"]["vscode"]["extensions"]
    assert set(extensions) == set(read(".vscode/extensions.json")["recommendations"])
