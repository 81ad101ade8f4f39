"""Settings of the process."""

import ctypes
import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from wavemore.engine.process import M_MMAP_THRESHOLD, M_TRIM_THRESHOLD, keep_freed_memory


@pytest.mark.parametrize("count", [1, 2])
def test_torch_and_numpy_use_this_many_threads_also_before_their_first_computation(count: int) -> None:
    code = (
        f"from wavemore.engine.threads import set_threads; set_threads({count}); import json, torch, threadpoolctl; "
        "pools = [p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas']; "
        "print(json.dumps([torch.get_num_threads(), pools]))"
    )
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    threads, pools = json.loads(process.stdout)
    assert threads == count
    assert set(pools) <= {count}  # a numpy without a BLAS of its own has no pool


@pytest.mark.parametrize(("limit", "set_to"), [(2**31, 2**30), (2**25, 2**25), (0, None)])
def test_the_threshold_of_malloc_is_set_first_and_to_what_it_accepts(
    limit: int, set_to: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted: list[tuple[int, int]] = []

    def mallopt(parameter: int, value: int) -> int:
        """As in glibc, which returns 0 if it refuses."""
        if parameter == M_MMAP_THRESHOLD and value > limit:
            return 0
        accepted.append((parameter, value))
        return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt, malloc_trim=lambda pad: 1))
    keep_freed_memory()
    assert accepted == ([] if set_to is None else [(M_MMAP_THRESHOLD, set_to), (M_TRIM_THRESHOLD, 2**30)])
