"""Every model can be traced, exported and compiled: then only torch's own operations run."""

import io
import warnings

import pytest
import torch
from torch import Tensor

from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Model
from wavemore.nn.models import MODELS, build
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.transformer import TransformerConfig
from wavemore.nn.tree import TreeConfig
from wavemore.nn.wavenet import WaveNetConfig

CONFIGS: list[tuple[str, ModelConfig]] = [
    *((name, entry.config()) for name, entry in MODELS.items()),
    ("tree", TreeConfig(fuse=(2, 2), hidden=8, norm="batch-per-position")),
    ("tree", TreeConfig(fuse=(2, 2), hidden=8, norm="rms", activation="gelu")),
    ("wavenet", WaveNetConfig(channels=6, skip_channels=5, dilations=(1, 3), kernel_size=3, gate="swiglu")),
]
RECURRENT = ("rnn", "gru", "lstm")
EACH_MODE = pytest.mark.parametrize(
    ("name", "config", "training"),
    [*((*each, False) for each in CONFIGS), *((*each, True) for each in CONFIGS if each[0] in ("tree", "wavenet"))],
    ids=lambda value: value if isinstance(value, str) else "train" if value is True else "",
)


def ready(name: str, config: ModelConfig) -> Model:
    """Build a model that has statistics, or counts."""
    model, tokens = build(name, 9, config, seed=0).train(), tokens_of(16, 12)
    if isinstance(model, Ngram):
        model.count(tokens.flatten())
    with torch.no_grad():
        model(tokens)
    return model.eval()


def tokens_of(lines: int, length: int) -> Tensor:
    tokens = torch.randint(1, 9, (lines, length), generator=torch.Generator().manual_seed(length))
    tokens[:, 0] = 0
    return tokens


@EACH_MODE
@torch.no_grad()
def test_a_traced_model_passes_the_check_of_torch_and_is_saved(name: str, config: ModelConfig, training: bool) -> None:
    model, file = ready(name, config), io.BytesIO()
    model.train(training)
    with warnings.catch_warnings():  # its own deprecation, and checks of shapes that are not part of the trace
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            model, tokens_of(4, 11), check_tolerance=1e-5
        )
        torch.jit.save(traced, file)
        file.seek(0)
        loaded = torch.jit.load(file)  # type: ignore[no-untyped-call]
    if not training:
        other = tokens_of(3, 17)
        torch.testing.assert_close(loaded(other), model(other), rtol=1e-5, atol=1e-5)


@EACH_MODE
@pytest.mark.filterwarnings("ignore:The tensor attribute")  # torch's own, of its recurrent layers
@torch.no_grad()
def test_an_exported_model_predicts_the_same(name: str, config: ModelConfig, training: bool) -> None:
    model, tokens = ready(name, config), tokens_of(4, 11)
    model.train(training)
    if name in RECURRENT:  # torch exports these layers for one shape only
        exported, other = torch.export.export(model, (tokens,)), tokens.flip(0)
    else:
        dynamic = dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
        exported, other = torch.export.export(model, (tokens,), dynamic_shapes=(dynamic,)), tokens_of(3, 17)
    names = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert names
    assert all(name.startswith(("aten.", "<built-in", "_operator", "sym_")) or "set_grad" in name for name in names)
    if not training:
        torch.testing.assert_close(exported.module()(other), model(other), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "gru"])
@pytest.mark.filterwarnings("ignore")  # torch's own, of its recurrent layers and of what replaces them
@torch.no_grad()
def test_a_recurrent_model_is_exported_with_free_shapes_by_a_loop(name: str) -> None:
    patches = pytest.importorskip("torch.export._patches", reason="this version of torch has no such loops")
    model, dynamic = ready(name, MODELS[name].config()), dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    with getattr(patches, f"register_{name}_while_loop_decomposition")():
        exported = torch.export.export(model, (tokens_of(4, 11),), dynamic_shapes=(dynamic,))
    for lines, length in ((3, 17), (5, 2)):
        tokens = tokens_of(lines, length)
        torch.testing.assert_close(exported.module()(tokens), model(tokens), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_an_exported_transformer_takes_lines_beyond_its_context() -> None:
    model, dynamic = ready("transformer", TransformerConfig(context=8)), dict.fromkeys((0, 1), torch.export.Dim.DYNAMIC)
    exported = torch.export.export(model, (tokens_of(4, 6),), dynamic_shapes=(dynamic,))
    for length in (3, 8, 30):
        tokens = tokens_of(2, length)
        torch.testing.assert_close(exported.module()(tokens), model(tokens), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "config"),
    [(name, config) for name, config in CONFIGS if name not in (*RECURRENT, "ngram")],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_compiled_model_gives_the_same_values_and_gradients(name: str, config: ModelConfig) -> None:
    model, tokens = ready(name, config), tokens_of(4, 11)
    expected = model(tokens)
    gradients = torch.autograd.grad(expected.square().mean(), list(model.parameters()))
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    logits = compiled(tokens)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)
    compiled_gradients = torch.autograd.grad(logits.square().mean(), list(model.parameters()))
    torch.testing.assert_close(compiled_gradients, gradients, rtol=1e-4, atol=1e-6)


@torch.no_grad()
def test_the_plain_predictions_of_an_ngram_are_those_of_its_lookups() -> None:
    for order in (1, 2, 5):
        for across_lines in (False, True):
            model = build("ngram", 9, NgramConfig(order), seed=0)
            assert isinstance(model, Ngram)
            histories = tokens_of(200, 8)[:, -model.config.receptive_field :]
            torch.testing.assert_close(model.plain_log_p(histories), model.log_p(histories))
            model.count(tokens_of(20, 9).flatten(), across_lines=across_lines)
            torch.testing.assert_close(model.plain_log_p(histories), model.log_p(histories))
