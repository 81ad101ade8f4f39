"""Everything that runs on a model's device runs on one without float64, as Apple's, and never mixes devices.

The device is a pretended one: a backend of torch written in Python, which computes on the CPU, and refuses float64 and
tensors of the CPU beside its own. It needs a process of its own.
"""

import subprocess
import sys

import pytest
import torch.utils.backend_registration

DEVICE = """
import torch
import torch.utils.backend_registration as backends
from torch.utils._python_dispatch import return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

backends._setup_privateuseone_for_python_backend("pretended")
torch.inference_mode = torch.no_grad  # wrapped tensors do not work in inference mode
MAY_MIX = ("copy_", "_to_copy", "_copy_from", "index", "index_put_", "_index_put_impl_")


class Pretended(torch.Tensor):
    @staticmethod
    def __new__(cls, raw):
        if raw.dtype == torch.float64:
            raise TypeError("this device has no float64")
        kept = torch.Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype,
            device=torch.device("pretended:0"),
        )
        kept.raw = raw
        return kept

    def tolist(self):
        return self.raw.tolist()

    @classmethod
    def __torch_dispatch__(cls, operation, types, args=(), kwargs=None):
        return run(operation, args, kwargs or {})


def run(operation, args, kwargs):
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
    own = [isinstance(tensor, Pretended) for tensor in tensors]
    name = operation.name().removeprefix("aten::").partition(".")[0]
    if any(own) and name not in MAY_MIX:
        assert all(mine or tensor.ndim == 0 for mine, tensor in zip(own, tensors)), f"{name} mixes devices"
    device = kwargs.get("device")
    inputs = kwargs if device is None else kwargs | {"device": torch.device("cpu")}
    raw_args, raw_kwargs = tree_map(lambda leaf: leaf.raw if isinstance(leaf, Pretended) else leaf, (args, inputs))
    result = operation(*raw_args, **raw_kwargs)
    if device is not None and torch.device(device).type == "cpu":
        return result
    if name in ("copy_", "_copy_from") and not isinstance(args[0], Pretended):
        return args[0]
    wrapped = tree_map(lambda leaf: Pretended(leaf) if isinstance(leaf, torch.Tensor) else leaf, result)
    return return_and_correct_aliasing(operation, args, kwargs, wrapped)


ranges = torch.library.Library("aten", "IMPL")
for overload in ("default", "start", "start_step"):
    operation = getattr(torch.ops.aten.arange, overload)
    name = "arange" if overload == "default" else f"arange.{overload}"
    ranges.impl(name, lambda *args, _op=operation, **kwargs: run(_op, args, kwargs), "PrivateUse1")
others = torch.library.Library("_", "IMPL")
others.fallback(lambda operation, *args, **kwargs: run(operation, args, kwargs), "PrivateUse1")
"""
PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import wavemore as wm
from wavemore.engine.evaluate import part_losses
from wavemore.engine.threads import set_threads
from wavemore.nn.precision import fast_bfloat16
from wavemore.text.text_corpus import read_text_corpus

set_threads(1)
with pytest.raises(TypeError):
    torch.zeros(1, device="pretended").double()
with pytest.raises(AssertionError):
    torch.zeros(1, device="pretended") + torch.zeros(1)

SETTINGS = {
    "tree": {"hidden": 8}, "mlp": {"hidden": 8, "norm": "layer"}, "rnn": {"hidden": 8}, "bow": {}, "bigram": {},
    "wavenet": {"channels": 8, "skip_channels": 8, "dilations": (1, 2)},
    "transformer": {"channels": 16, "context": 8, "layers": 2, "dropout": 0.1}, "ngram": {},
}  # not gru and lstm: their cells are kernels of torch that each device has its own
folder = Path(sys.argv[1])
(folder / "text.txt").write_text(" ".join(np.random.default_rng(0).choice(["the", "cat", "sat", "on\\n"], 2_000)))
names = [a + b + c for a in ("an", "bo", "cleo", "d") for b in ("", "n", "tta") for c in "aeoy"]
lines = wm.LineCorpus.from_lines(names)
for corpus in (lines, read_text_corpus(folder / "text.txt", cache=folder)):
    for name, settings in SETTINGS.items():
        if name != "ngram":
            settings = settings | {"steps": 4, "num_evals": 2, "batch_size": 64}
            if corpus.format == "text":
                settings = settings | {"block_size": 16, "precision": "float32"}
        plan = wm.plan(corpus, model=name, **settings)
        on_cpu = wm.build(name, len(corpus.vocabulary), plan.model_config, seed=0)
        model = wm.build(name, len(corpus.vocabulary), plan.model_config, seed=0).to("pretended")
        training = wm.fit(model, corpus, plan.recipe)
        for record in training:
            training.checkpoint()
        for record in wm.fit(on_cpu, corpus, plan.recipe):
            pass
        loss = wm.evaluate(model, corpus.val).nats
        same = 1e-4 if fast_bfloat16() else 0.02  # Muon computes in bfloat16 on a device, and on such a CPU
        assert loss == pytest.approx(wm.evaluate(on_cpu, corpus.val).nats, abs=same), name
        assert wm.evaluate([model, model], corpus.val).nats == pytest.approx(loss, abs=1e-5)
        if corpus.format == "lines":
            samples = list(wm.generate(model, corpus.vocabulary, 5, wm.Sampling(max_length=9), corpus.line_hashes))
            scores = wm.score(model, corpus.vocabulary, [sample.text for sample in samples])
            assert [score.nats for score in scores] == pytest.approx([sample.nats for sample in samples], rel=1e-3)
            assert len(part_losses(model, corpus.val).percentiles) == 101
        else:
            [text] = wm.generate_text(model, corpus.vocabulary, 1, 10, wm.Sampling())
            assert wm.score(model, corpus.vocabulary, [text.text], "text")[0].nats == pytest.approx(text.nats, rel=1e-3)
        soft = wm.soft_targets([model], corpus)
        assert soft.device.type == "cpu"
        if name != "ngram":
            assert wm.inspect_model(model, corpus).layers
            student = wm.build(name, len(corpus.vocabulary), plan.model_config, seed=0).to("pretended")
            list(wm.fit(student, corpus, replace(plan.recipe, distill_weight=0.5), soft_targets=soft))
        print(corpus.format, name)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of torch has no backends in Python",
)
def test_a_device_without_float64_can_do_everything(tmp_path: object) -> None:
    command = [sys.executable, "-W", "ignore", "-c", DEVICE + PROGRAM, str(tmp_path)]
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3_000:]
    assert len(process.stdout.splitlines()) == 16
