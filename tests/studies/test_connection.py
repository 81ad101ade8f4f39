"""Which workers would give other results, and where the data of a training is on another machine."""

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from distributed.scheduler import KilledWorker

from wavemore.errors import DataError, RunError
from wavemore.runs.config import RunConfig
from wavemore.studies.connection import _no_answer, differing, explained
from wavemore.studies.job import Result
from wavemore.studies.remote import Facts, _local_data, facts, files_of, with_places
from wavemore.studies.tuning.trainings import KILLED, outcome

HERE = Facts("1 (aa)", "3.13", "2.13.0", "2.3.1", machine="x86_64 AVX2")


def test_the_facts_of_one_machine_are_the_same_twice() -> None:
    assert facts().differences(facts()) == ""
    assert differing(facts(), {"tcp://a:1": facts()}) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"torch": "2.9.0"}, "1 of 2 workers would give other results: b has torch 2.9.0 instead of 2.13.0; install"),
        (
            {"wavemore": "1 (bb)", "numpy": "1"},
            r"b has wavemore 1 \(bb\) instead of 1 \(aa\), numpy 1 instead of 2.3.1",
        ),
        ({"threads": 4}, r"b has 4 threads in one process \(start it with --nthreads 1\)"),
    ],
)
def test_a_worker_that_differs_is_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RunError, match=words):
        differing(HERE, {"a": HERE, "b": replace(HERE, **change)})


def test_a_worker_without_wavemore_is_named() -> None:
    with pytest.raises(RunError, match=r"a has no wavemore that can train \(No module named 'wavemore'"):
        differing(HERE, {"a": ModuleNotFoundError("No module named 'wavemore'")})


def test_another_processor_is_only_mentioned() -> None:
    [line] = differing(HERE, {"a": HERE, "b": replace(HERE, machine="x86_64 AVX512")})
    assert line.startswith("b computes with x86_64 AVX512, and this machine with x86_64 AVX2")


def test_an_error_of_a_task_stays_what_it_is_unless_its_workers_were_killed() -> None:
    error = KeyError("x")
    assert explained(error, "tcp://a:1") is error
    future: Future[Result | None] = Future()
    future.set_exception(explained(KilledWorker("x", None, 3), "tcp://a:1"))  # type: ignore[arg-type]
    with pytest.raises(RunError, match="a training has ended 4 workers of tcp://a:1, perhaps because memory ran out"):
        future.result()
    assert outcome(future) == {"failed": KILLED, "seconds": 0.0}, "tuning goes on without that trial"


@pytest.mark.parametrize(("address", "reason"), [("tcp://127.0.0.1:1", "refused"), ("tcp://no.invalid:8786", "[Errno")])
def test_a_scheduler_that_does_not_answer_is_asked_why(address: str, reason: str) -> None:
    """Dask keeps the error of its last attempt alone, and that one may have been cut off."""
    timeout = OSError("Timed out after 5 s")
    timeout.__cause__ = TimeoutError()
    assert _no_answer(address, timeout).startswith("Timed out after 5 s: ")
    assert reason in _no_answer(address, timeout)


def test_data_is_read_at_its_path_or_from_what_was_sent(config: RunConfig, tmp_path: Path) -> None:
    data, sent = config.data, tmp_path / "sent"
    assert _local_data(data, sent, ()) == data
    assert not sent.exists()
    content = Path(data.source).read_bytes()
    elsewhere = with_places(data, lambda file: str(tmp_path / "elsewhere" / Path(file.source).name))
    with pytest.raises(DataError):
        _local_data(elsewhere, sent, ())
    found = _local_data(elsewhere, sent, (content,))
    assert Path(found.source).read_bytes() == content
    assert Path(found.source).is_relative_to(sent)
    other = with_places(data, lambda file: str(tmp_path / Path(file.source).name))
    Path(other.source).write_bytes(content[::-1])
    with pytest.raises(DataError, match="is another file here: its content differs"):
        _local_data(other, sent, ())


def test_all_files_of_the_data_have_a_place(config: RunConfig) -> None:
    [first] = files_of(config.data)
    more, val, test = (replace(first, source=f"/{name}", sha256=name) for name in ("more", "val", "test"))
    data = replace(config.data, more_files=(more, more), val_file=val, test_file=test)
    moved = with_places(data, lambda file: f"/there{file.source}")
    assert [file.source for file in files_of(moved)] == [f"/there{file.source}" for file in files_of(data)]
    assert moved.val_file == replace(val, source="/there/val")
    only_test = with_places(replace(data, val_file=None), lambda file: f"/there{file.source}")
    assert (only_test.val_file, only_test.test_file) == (None, replace(test, source="/there/test"))
