"""Trainings respect the precision of matrix products that the user has set, by PyTorch's old or new functions."""

import subprocess
import sys

import pytest
import torch

from wavemore.nn.precision import is_exact, matmul_precision

LINES = (
    "pass",
    "torch.backends.fp32_precision = 'tf32'",
    "torch.backends.fp32_precision = 'bf16'",
    "torch.backends.fp32_precision = 'ieee'",
    "torch.backends.cuda.matmul.fp32_precision = 'tf32'",
    "torch.backends.cudnn.fp32_precision = 'tf32'",
    "torch.backends.mkldnn.fp32_precision = 'bf16'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'tf32'",
    "torch.backends.mkldnn.matmul.fp32_precision = 'bf16'",
    "torch.backends.cuda.matmul.allow_tf32 = True",
    "torch.set_float32_matmul_precision('high')",
    "torch.set_float32_matmul_precision('medium')",
)
CODE = """
import os, sys, warnings
import torch
import wavemore as wm
from wavemore.engine.threads import set_threads
from wavemore.nn.precision import BACKENDS

set_threads(1)

def settings():
    warnings.simplefilter("ignore")
    found = [torch.backends.fp32_precision, torch.backends.mkldnn.fp32_precision]
    found += [backend.fp32_precision for backend in BACKENDS]
    for old in (torch.get_float32_matmul_precision, lambda: torch.backends.cuda.matmul.allow_tf32):
        try:
            found.append(old())
        except RuntimeError:
            found.append("fails")
    return found

def train():
    corpus = wm.LineCorpus.from_lines(["ab" * n for n in range(1, 21)])
    before = settings()
    for model, precision in (("tree", "float32"), ("wavenet", "bfloat16")):
        plan = wm.plan(corpus, model=model, steps=2, batch_size=16, precision=precision)
        built = wm.build(plan.model, len(corpus.vocabulary), plan.model_config, seed=0)
        for record in wm.fit(built, corpus, plan.recipe):
            assert settings() == before, (settings(), before)
        wm.evaluate(built, corpus.val)
    assert settings() == before, (settings(), before)

for line in sys.argv[1:]:
    child = os.fork()
    if not child:
        exec(line)
        train()
        os._exit(0)
    print(line, os.waitpid(child, 0)[1], flush=True)
"""


@pytest.mark.slow
def test_trainings_work_with_every_way_to_set_the_precision_and_leave_it_as_it_was() -> None:
    process = subprocess.run([sys.executable, "-c", CODE, *LINES], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == [f"{line} 0" for line in LINES], process.stderr


@pytest.mark.parametrize("bfloat16", [False, True])
def test_the_precision_is_set_inside_and_restored(bfloat16: bool) -> None:
    before = torch.get_float32_matmul_precision()
    a, b = torch.randn(64, 64), torch.randn(64, 64)
    product = a @ b
    with matmul_precision(bfloat16=bfloat16):
        assert is_exact() != bfloat16
        with matmul_precision(bfloat16=False):
            assert is_exact() != bfloat16
        assert is_exact() != bfloat16
    assert is_exact()
    assert torch.equal(a @ b, product)
    assert torch.get_float32_matmul_precision() == before
