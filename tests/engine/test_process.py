"""Threads are set for both libraries, also in a process that has not computed yet."""

import json
import subprocess
import sys

import pytest


@pytest.mark.parametrize("count", [1, 2])
def test_both_libraries_take_as_many_threads_as_are_set(count: int) -> None:
    code = (
        f"from wavemore.engine.process import set_threads; set_threads({count}); import json, torch, threadpoolctl; "
        "pools = [p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas']; "
        "print(json.dumps([torch.get_num_threads(), pools]))"
    )
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    threads, pools = json.loads(said.stdout)
    assert threads == count
    assert set(pools) <= {count}  # a numpy that brings no BLAS of its own has no pool
