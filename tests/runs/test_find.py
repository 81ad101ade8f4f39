import shutil
from dataclasses import replace
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
    dates = {
        "runs/b": "2026-01-01T12:00:00+00:00",
        "c": "2027-01-01T12:00:00+00:00",
        "runs/later": "2026-01-01T12:00:00.020+00:00",
        "runs/a": "2026-01-01T13:00:00.010+01:00",
    }
    for name, created in dates.items():
        Run(Path(name)).create(replace(config, created=created), corpus)
    Path("runs/empty").mkdir()
    assert [str(run.path) for run in find_runs()] == ["runs/b", "runs/a", "runs/later"]
    assert find_run().path == Path("runs/later")
    assert find_run("a").path == find_run("runs/a").path == Path("runs/a")
    assert is_run("a")
    assert is_run("c")
    assert find_run("c").path == Path("c")
    assert not is_run("runs/empty")
    assert not is_run("")
    assert not is_run("x" * 5000)
    for name in ("nothing", "", "x" * 5000):
        with pytest.raises(RunError, match="there is no run"):
            find_run(name)


@pytest.mark.parametrize("content", ["{}", '{"model_type": "gpt2", "created": "2099-01-01"}'])
def test_the_config_of_another_program_is_no_run(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Run(Path("runs/mine")).create(config, corpus)
    for folder in (Path("runs/hf"), Path("hf")):
        folder.mkdir()
        (folder / "config.json").write_text(content)
        assert not is_run(str(folder))
        with pytest.raises(RunError, match=f"{folder}/config.json was not written by wavemore"):
            _ = Run(folder).config
    assert [run.path.name for run in find_runs()] == [run.path.name for run in find_group("runs")] == ["mine"]
    assert find_run().path == Path("runs/mine")


@pytest.mark.parametrize("created", ["", "yesterday", "0001-01-01", "9999-12-31T23:59:59-23:59", "2026-01-01"])
def test_any_date_and_a_damaged_config_can_be_sorted(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus, monkeypatch: pytest.MonkeyPatch, created: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a", "damaged"):
        Run(Path("runs") / name).create(replace(config, created=created), corpus)
    Path("runs/damaged/config.json").write_text('{"wavemore": "0.1')
    assert sorted(run.path.name for run in find_runs()) == ["a", "damaged"]


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


def test_what_is_no_run_is_named_with_what_may_be_meant(
    tmp_path: Path, config: RunConfig, corpus: LineCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("names-1", "names-2", "words-1"):
        Run(Path("runs") / name).create(replace(config, experiment="baseline"), corpus)
    Path("list.txt").write_text("anna\n")
    Path("empty").mkdir()
    for name, message in (
        ("name-1", r"there is no run 'name-1' \(did you mean names-[12] or names-[12]\?\); `wavemore log` lists"),
        ("runs/words1", r"there is no run 'runs/words1' \(did you mean words-1\?\)"),
        ("names", r"\(names is a data set, on which `wavemore train` trains\)"),
        ("quite-another", r"there is no run 'quite-another'; `wavemore log` lists the runs"),
        ("list.txt", r"list.txt is a file, not a run; `wavemore train list.txt` trains on a list or a text"),
        ("runs/names-1/config.json", r"config.json is a file of the run runs/names-1: name the run itself"),
        ("empty", r"empty holds no run$"),
        ("runs", r"runs holds no run itself, but others: name one, such as runs/names-1"),
    ):
        with pytest.raises(RunError, match=message):
            find_run(name)
    for name, message in (
        ("basline", r"there is no run 'basline' \(did you mean baseline\?\)"),
        ("list.txt", r"list.txt is a file, not a run"),
        ("empty", r"empty holds no run"),
    ):
        with pytest.raises(RunError, match=message):
            find_group(name)
