import os
import shutil
from pathlib import Path

import pytest

from wavemore.errors import RunError
from wavemore.runs.config import RunConfig
from wavemore.runs.find import find_group, find_run, find_runs, is_run, new_run
from wavemore.runs.run import Run
from wavemore.text.line_corpus import LineCorpus


def test_runs_are_found_in_the_order_in_which_they_began(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RunError, match=r"there is no run yet: `wavemore train` makes one"):
        find_run()
    for number, name in enumerate(["runs/b", "runs/a", "c"]):
        Run(Path(name)).create(config, corpus)
        os.utime(Path(name) / "config.json", (number, number))
    Path("runs/empty").mkdir()
    assert [str(run.path) for run in find_runs()] == ["runs/b", "runs/a", "c"]
    assert find_run().path == Path("c")
    assert find_run("a").path == find_run("runs/a").path == Path("runs/a")
    assert is_run("a")
    assert is_run("c")
    assert not is_run("runs/empty")
    assert not is_run("")
    assert not is_run("x" * 5000)
    for name in ("nothing", "", "x" * 5000):
        with pytest.raises(RunError, match="there is no run"):
            find_run(name)


def test_new_runs_have_distinct_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [new_run("list").path.name for _ in range(3)] == ["list-1", "list-2", "list-3"]
    shutil.rmtree("runs")
    Path("runs").write_text("mine")
    with pytest.raises(RunError, match="cannot create the run folder runs/list-1: Not a directory"):
        new_run("list")
    Path("runs").unlink()
    Path("runs").symlink_to("nowhere")
    with pytest.raises(RunError, match="runs is not a folder"):
        new_run("list")


def test_a_name_means_a_path_then_an_experiment_then_a_run(experiments: Path) -> None:
    assert [run.path.name for run in find_group("small")] == ["small-0", "small-1", "small-2"]
    assert find_group("runs/small-1")[0].path == find_group("small-1")[0].path == Path("runs/small-1")
    assert len(find_group("runs")) == 6
    assert len(find_group("latest")) == 1
    Run(Path("runs/small-1")).relabel(experiment="wide-0")
    assert find_group("wide-0")[0].path == Path("runs/small-1")
    assert find_group("runs/wide-0")[0].path == Path("runs/wide-0")
    assert len(find_group(".")) == 6
    for name in ("", "nothing", "x" * 5_000):
        with pytest.raises(RunError, match="there is no run"):
            find_group(name)
