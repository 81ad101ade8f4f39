"""ONNX files of all models, in onnxruntime; programs of torch.export; the loops of the documentation."""

import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import wavemore as wm
from wavemore.export import onnx_file, program
from wavemore.export.graphs import has_step
from wavemore.export.onnx_file import random_lines
from wavemore.runs.run import Run

MODELS = [
    "tree",
    "tree-relu-rms",
    "tree-gelu-layer",
    "tree-tanh-none",
    "tree-positions",
    "mlp",
    "wavenet",
    "wavenet-swiglu-layer",
    "lstm",
    "gru",
    "rnn",
    "transformer",
    "bow",
    "bigram",
    "ngram",
    "labels",
    "text",
    "text-ngram",
]
PAGE = Path(__file__).parents[2] / "docs" / "commands" / "export.md"


def session(content: bytes) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'wavemore[onnx]'")
    return onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])


@torch.no_grad()
def logits_of(model: torch.nn.Module, tokens: Tensor) -> Tensor:
    logits: Tensor = model(tokens)
    return logits


def facts_in(file: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.get_modelmeta().custom_metadata_map["wavemore"])
    return found


def paths_in(content: bytes) -> list[bytes]:
    """Names of Python files and of folders of this machine."""
    return re.findall(rb"[^\0]{0,40}(?:\.py\b|site-packages|/tmp/|/home/)", content)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_computes_what_torch_does(name: str, small_run: Callable[[str], Run]) -> None:
    run = small_run(name)
    content = wm.export_onnx(run)
    model, file = run.model().float(), session(content)
    [tokens_in], [logits_out] = file.get_inputs(), file.get_outputs()
    assert (tokens_in.name, tokens_in.type, tokens_in.shape) == ("tokens", "tensor(int64)", ["lines", "length"])
    assert (logits_out.name, logits_out.shape) == ("logits", ["lines", "length", model.vocabulary_size])
    generator = torch.Generator().manual_seed(1)
    for lines, length in ((1, 1), (1, 40), (6, 1), (5, 23)):
        tokens = random_lines(model, lines, length, generator)
        [logits] = file.run(None, {"tokens": tokens.numpy()})
        np.testing.assert_allclose(logits, logits_of(model, tokens).numpy(), rtol=1e-5, atol=1e-5)
    facts = facts_in(file)
    vocabulary = run.vocabulary()
    assert facts["characters"] == vocabulary.characters
    assert list(facts["labels"]) == [*vocabulary.labels.names]
    assert facts["model"] == run.config.model
    assert paths_in(content) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wavenet", "wavenet-swiglu-layer", "lstm", "gru", "rnn", "labels", "text"])
def test_steps_in_onnxruntime_compute_what_torch_does(name: str, small_run: Callable[[str], Run]) -> None:
    run = small_run(name)
    content = wm.export_onnx(run, step=True)
    model, file = run.model(), session(content)
    inputs, outputs = ([each.name for each in found] for found in (file.get_inputs(), file.get_outputs()))
    assert (inputs, outputs) == (["tokens", "state"], ["logits", "new_state"])
    assert file.get_inputs()[1].shape == file.get_outputs()[1].shape == ["lines", *file.get_inputs()[1].shape[1:]]
    for lines in (1, 5):
        tokens = random_lines(model, lines, 40, torch.Generator().manual_seed(2))
        state = np.zeros((lines, *file.get_inputs()[1].shape[1:]), np.float32)
        for position, expected in enumerate(logits_of(model, tokens).numpy().swapaxes(0, 1)):
            logits, state = file.run(None, {"tokens": tokens[:, position].numpy(), "state": state})
            np.testing.assert_allclose(logits, expected, rtol=1e-5, atol=1e-5)
    assert facts_in(file)["model"] == run.config.model
    assert paths_in(content) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in MODELS if "-" not in name])
def test_a_program_computes_what_the_model_does(name: str, small_run: Callable[[str], Run]) -> None:
    run = small_run(name)
    content, extra = wm.export_pt2(run), {"wavemore.json": ""}
    loaded = torch.export.load(io.BytesIO(content), extra_files=extra).module()
    model = run.model().float()
    for lines, length in ((1, 1), (1, 40), (6, 1), (5, 23)):
        tokens = random_lines(model, lines, length, torch.Generator().manual_seed(3))
        torch.testing.assert_close(logits_of(loaded, tokens), logits_of(model, tokens), rtol=1e-5, atol=1e-5)
    assert json.loads(extra["wavemore.json"])["characters"] == run.vocabulary().characters
    with zipfile.ZipFile(io.BytesIO(content)) as parts:
        assert [found for part in parts.namelist() for found in paths_in(parts.read(part))] == []


@pytest.mark.slow
def test_a_model_without_a_run_and_what_cannot_be_exported(
    small_run: Callable[[str], Run], trained: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = wm.load_corpus("names")
    names = wm.LanguageModel.of(wm.build("bigram", len(corpus.vocabulary)).train(), corpus)
    names.model.train()
    assert facts_in(session(wm.export_onnx(names)))["val_nats"] is None
    assert names.model.training, "the model of the caller stays as it is"
    for export in (wm.export_onnx, wm.export_pt2):
        with pytest.raises(wm.RunError, match=r"is not finished \(stopped at step 6 of 12\): finish it with"):
            export(trained)
    with pytest.raises(wm.UsageError, match="a bigram keeps no state from step to step"):
        wm.export_onnx(names, step=True)
    monkeypatch.setattr(onnx_file, "MAX_BYTES", 100)
    with pytest.raises(wm.UsageError, match=r"has 729 parameters, an ONNX file of .* GB; such a file has at most"):
        wm.export_onnx(names)
    with pytest.raises(wm.UsageError, match=r"counts and backoffs, .*: train one with an `order` of at most 1"):
        wm.export_onnx(small_run("ngram"))
    monkeypatch.undo()
    for module in (onnx_file, program):
        monkeypatch.setattr(module, "TOLERANCE", -1.0)
    for export in (wm.export_onnx, wm.export_pt2):
        with pytest.raises(wm.ModelError, match="differ from"):
            export(names)
    monkeypatch.setattr(onnx_file, "find_spec", lambda name: None)
    with pytest.raises(wm.UsageError, match=r"an ONNX file needs onnx: pip install 'wavemore\[onnx\]'"):
        wm.export_onnx(names)


@pytest.mark.slow
@pytest.mark.docs
@pytest.mark.parametrize("name", ["lstm", "wavenet", "tree"])
def test_the_loops_of_the_documentation_make_items_without_torch(
    name: str, small_run: Callable[[str], Run], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra onnx: pip install 'wavemore[onnx]'")
    whole, step = (block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "rt." in block)
    run = small_run(name)
    (tmp_path / "names.onnx").write_bytes(wm.export_onnx(run))
    blocks = [whole]
    if has_step(run.config.model):
        (tmp_path / "names.step.onnx").write_bytes(wm.export_onnx(run, step=True))
        blocks.append(step)
    printed = []
    for block in blocks:
        assert len([line for line in block.splitlines() if line]) <= 20
        code = f"import sys\nsys.modules['torch'] = None\n{block}"
        done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        printed.append(done.stdout.splitlines())
    for lines in printed:
        assert len(lines) == 10
        assert set("".join(lines)) <= set(run.vocabulary().characters)
        assert max(map(len, lines)) <= run.config.data.longest_line
    assert printed[0] == printed[-1], "one step after the other has the same logits"
