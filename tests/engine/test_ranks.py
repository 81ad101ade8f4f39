"""Training by several processes: the shares of a batch, and real processes that train as one does."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import wavemore as wm
from wavemore.engine.batcher import Batcher
from wavemore.engine.batchers import evaluation_batcher, training_batcher, training_sampler
from wavemore.nn.ranks import ALONE, Ranks, current_ranks, summed

WORKER = Path(__file__).with_name("rank_worker.py")
Task = Callable[[str, int], Any]


def _worker() -> Any:
    spec = importlib.util.spec_from_file_location("rank_worker", WORKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


worker = _worker()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    lines = list(wm.load_corpus("names").train.lines)
    (folder / "list.txt").write_text("\n".join(lines[:900]) + "\n", encoding="utf-8")
    (folder / "text.txt").write_text("\n".join(lines[:2_500]) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def task(data: Path) -> Task:
    """Do a task of the worker by some processes, and return the result of rank 0."""

    def do(name: str, size: int) -> Any:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}
        environment |= {"MASTER_PORT": str(free_port()), "WORLD_SIZE": str(size)}
        of_rank = [environment | {"RANK": str(rank)} if size > 1 else environment for rank in range(size)]
        processes = [subprocess.Popen([sys.executable, WORKER, name, data], env=each) for each in of_rank]
        try:
            assert [process.wait(timeout=600) for process in processes] == [0] * size
        finally:
            for process in processes:
                process.kill()
        results = [json.loads((data / f"{name}-{size}-{rank}.json").read_text()) for rank in range(size)]
        assert all(result == results[0] for result in results)
        return results[0]

    return do


def distance(some: Any, others: Any) -> float:
    """The largest difference between two trainings, which have the same evaluations."""
    assert [val is None for _, val in some] == [val is None for _, val in others]
    pairs = zip(np.array(some, float), np.array(others, float), strict=True)
    return float(max(np.nanmax(abs(one - other)) for one, other in pairs))


def test_one_process_is_alone() -> None:
    ranks, x = current_ranks(), torch.randn(3)
    assert ranks is ALONE
    assert ranks.sum(x) is x
    assert ranks.gather("a") == ["a"]
    assert ranks.send("a") == "a"
    assert ranks.any("stop", True)
    with ranks.sharing():
        assert summed(x) is x


@given(st.integers(0, 50), st.integers(1, 7))
def test_spans_cut_a_row_into_even_pieces(count: int, size: int) -> None:
    pieces = [list(range(count))[Ranks(rank, size).span(count)] for rank in range(size)]
    assert [item for piece in pieces for item in piece] == list(range(count))
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


def of_each_rank(batcher: Batcher, size: int) -> Iterator[Batcher]:
    for rank in range(size):
        batcher.ranks = Ranks(rank, size)
        yield batcher
    batcher.ranks = ALONE


@pytest.mark.parametrize("title", ["list tree", "list lstm", "one line per step", "text tree", "text lstm"])
def test_the_shares_are_the_batch(data: Path, title: str) -> None:
    model, corpus, recipe = worker.training(data, *worker.TRAININGS[title])
    batcher = training_batcher(corpus.train, model, recipe)
    sampler = training_sampler(corpus.train, batcher, recipe)
    for step in range(20):
        batch = sampler.at(step)
        for size in (1, 2, 3, 5):
            shares = [each.share(batch) for each in of_each_rank(batcher, size)]
            assert np.concatenate(shares).tolist() == batch.tolist()
            if title != "one line per step":
                assert max(map(len, shares)) - min(map(len, shares)) <= 2 * 16  # less than two lines or blocks


@pytest.mark.parametrize("title", ["list tree", "list lstm", "text tree", "text lstm"])
def test_the_chunks_of_all_ranks_are_the_part(data: Path, title: str) -> None:
    model, corpus, _ = worker.training(data, *worker.TRAININGS[title])
    batcher = evaluation_batcher(corpus.train, model)
    for size in (1, 2, 3):
        chunks = [chunk for each in of_each_rank(batcher, size) for chunk in each.own_chunks()]
        assert sorted(np.concatenate(chunks).tolist()) == list(range(corpus.train.num_targets))


@pytest.fixture(scope="module")
def alone(task: Task) -> Any:
    return task("whole", 1)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_have_the_losses_of_one(task: Task, alone: Any, size: int) -> None:
    several = task("whole", size)
    assert set(several) == set(worker.TRAININGS)
    assert len(several["list tree"]) == worker.STEPS
    distances = {title: distance(several[title], alone[title]) for title in worker.TRAININGS}
    assert {title: value for title, value in distances.items() if value > 1e-5} == {}


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), (3, 2)])
def test_a_training_is_resumed_by_another_number_of_processes(task: Task, alone: Any, before: int, after: int) -> None:
    task("first", before)
    rest = task("rest", after)
    for title in worker.RESUMED:
        assert distance(rest[title], alone[title][worker.STOP :]) <= 1e-5, title


@pytest.mark.slow
def test_dropout_is_the_same_in_each_training_by_as_many_processes(task: Task) -> None:
    found = task("dropout", 2)
    assert found["once"] == found["again"]


@pytest.mark.slow
def test_train_keeps_one_folder(task: Task, data: Path) -> None:
    one, two = task("run", 1), task("run", 2)
    assert two["val"] == two["again"] == pytest.approx(one["val"], abs=1e-3)
    assert two["kept"]
    environment = [wm.Run(data / f"run-{size}").summary().environment for size in (1, 2)]  # type: ignore[union-attr]
    assert [each.get("processes") for each in environment] == [None, 2]


@pytest.mark.slow
def test_what_several_processes_cannot_do_is_refused(task: Task) -> None:
    found = task("refused", 2)
    assert found["ngram"] == "an ngram is counted by one process: train it without torchrun"
    assert found["minutes"].startswith("`minutes` goes by the speed and the clock of one process")
    assert found["batch"] == "`batch_size` is 16, too few for 2 processes: choose at least 32, or fewer processes"


@pytest.mark.slow
def test_processes_that_train_something_else_are_found(task: Task) -> None:
    found = task("different", 3)
    for title in ("data", "settings"):
        assert found[title] == f"process 1 has other {title} than process 0: start all with the same files and command"
    assert found["weights"].startswith("the weights of process 1 are not those of process 0 at step 0")
