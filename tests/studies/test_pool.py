"""Trainings in a pool: results as in this process, losses on the way, and single trainings that are stopped."""

import time
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path

import pytest

from wavemore.engine.plan import plan
from wavemore.runs.run import Run
from wavemore.runs.training import config_of, data_config
from wavemore.studies.job import Job, read_result, train_job
from wavemore.studies.pool import open_pool
from wavemore.text.datasets import load_corpus

PATIENCE = 300.0
"""Seconds until something counts as hanging."""


def make_job(folder: Path, data: Path, name: str, steps: int = 40, num_evals: int = 4) -> Job:
    corpus = load_corpus(str(data))
    planned = plan(corpus, hidden=6, embedding=3, batch_size=8, steps=steps, num_evals=num_evals)
    return Job((0, 0, 0), config_of(planned, data_config(corpus, str(data))), folder / name, (), judged=True)


@pytest.mark.slow
def test_a_pool_gives_the_results_of_this_process_and_the_losses_on_the_way(tmp_path: Path, names_file: Path) -> None:
    job = make_job(tmp_path, names_file, "here")
    for _ in train_job(job):
        pass
    expected = read_result(job)
    assert expected is not None
    with open_pool(2) as pool:
        jobs = [replace(job, path=tmp_path / name) for name in ("a", "b", "c")]
        futures = [pool.submit(each) for each in jobs]
        wait(futures)
        losses = pool.progress()
        assert pool.progress() == []
    for each, future in zip(jobs, futures, strict=True):
        result = future.result()
        assert result is not None
        assert result | {"seconds": 0} == expected | {"seconds": 0}
        records = Run(each.path).metrics()
        measured = [(record["step"], record["val_nats"]) for record in records if "val_nats" in record]
        assert [(step, nats) for job, step, nats in losses if job == each] == measured
        assert len(measured) == 4


@pytest.mark.slow
def test_one_training_is_stopped_and_saved_and_goes_on_in_another_pool(tmp_path: Path, names_file: Path) -> None:
    long = make_job(tmp_path, names_file, "long", steps=1_000_000, num_evals=5_000)
    short = make_job(tmp_path, names_file, "short")
    with open_pool(1) as pool:
        stopped, unbegun, finished = (pool.submit(job) for job in (long, replace(long, path=tmp_path / "no"), short))
        deadline = time.monotonic() + PATIENCE
        while not (losses := pool.progress()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert losses[0].job == long
        pool.stop(replace(long, path=tmp_path / "no"))
        pool.stop(long)
        assert stopped.result(PATIENCE) is None
        assert unbegun.result(PATIENCE) is None
        assert finished.result(PATIENCE) is not None
    assert not (tmp_path / "no").exists()
    checkpoint = Run(long.path).checkpoint()
    assert checkpoint is not None
    step = checkpoint.position.step if checkpoint.position else 0
    assert step >= losses[-1].step
    with open_pool(1) as pool:
        again = pool.submit(long)
        while not [loss for loss in pool.progress() if loss.step > step + 200]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert again.result() is None, "the end of the block stops it"
