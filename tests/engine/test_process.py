"""Settings of the process."""

import json
import subprocess
import sys

import pytest
import torch

from wavemore.engine.process import matmul_precision
from wavemore.engine.recipe import Precision


@pytest.mark.parametrize("count", [1, 2])
def test_torch_and_numpy_use_this_many_threads_also_before_their_first_computation(count: int) -> None:
    code = (
        f"from wavemore.engine.process import set_threads; set_threads({count}); import json, torch, threadpoolctl; "
        "pools = [p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas']; "
        "print(json.dumps([torch.get_num_threads(), pools]))"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    threads, pools = json.loads(process.stdout)
    assert threads == count
    assert set(pools) <= {count}  # a numpy without a BLAS of its own has no pool


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_precision_is_restored(precision: Precision) -> None:
    before = torch.get_float32_matmul_precision()
    with matmul_precision(precision):
        assert torch.get_float32_matmul_precision() == ("medium" if precision == "bfloat16" else before)
    assert torch.get_float32_matmul_precision() == before
