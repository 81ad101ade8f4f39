"""A step in padded batches is the same step; on a GPU it is recorded as a CUDA graph and replayed."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wavemore.engine import cuda_graphs, descent
from wavemore.engine.batcher import few_lengths
from wavemore.engine.batchers import training_batcher, training_sampler
from wavemore.engine.cuda_graphs import StepGraphs, can_be_recorded
from wavemore.engine.distillation import soft_targets
from wavemore.engine.fit import fit
from wavemore.engine.recipe import Recipe
from wavemore.nn.model import Model
from wavemore.nn.models import build
from wavemore.nn.ngram import Ngram
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.tree import TreeConfig
from wavemore.text.corpus import Corpus
from wavemore.text.line_corpus import LineCorpus
from wavemore.text.text_corpus import TextCorpus

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here"))]
TRAINED = ["tree", "mlp", "wavenet", "bigram", "bow", "rnn", "gru", "lstm", "transformer"]
QUICK = Recipe(steps=12, batch_size=48, block_size=12, num_evals=2, learning_rate=0.01, adamw_learning_rate=0.01)

Small = Callable[[str, int], Model]
Patch = pytest.MonkeyPatch


def trained(
    monkeypatch: Patch, records: bool, model: Model, corpus: Corpus, recipe: Recipe, **more: Any
) -> list[float]:
    """Train a model, in padded batches or not; return the losses."""
    monkeypatch.setattr(descent, "can_be_recorded", lambda _: records)
    return [record.train_nats for record in fit(model, corpus, recipe, **more)]


def assert_same_training(
    monkeypatch: Patch, make: Callable[[], Model], corpus: Corpus, recipe: Recipe, device: str, **more: Any
) -> None:
    models = {records: make().to(device) for records in (True, False)}
    losses = {
        records: trained(monkeypatch, records, model, corpus, recipe, **more) for records, model in models.items()
    }
    np.testing.assert_allclose(losses[True], losses[False], rtol=1e-6)
    for name, value in models[True].state_dict().items():
        torch.testing.assert_close(value, models[False].state_dict()[name], rtol=1e-5, atol=1e-6)


def is_padded(model: Model, corpus: Corpus, recipe: Recipe) -> bool:
    batcher = training_batcher(corpus.train, model, recipe)
    batch = training_sampler(corpus.train, batcher, recipe).at(0)
    return batcher.padded(batch) is not None


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAINED)
def test_a_list(small_model: Small, corpus: LineCorpus, monkeypatch: Patch, name: str, device: str) -> None:
    assert is_padded(small_model(name, len(corpus.vocabulary)), corpus, QUICK)
    assert_same_training(monkeypatch, lambda: small_model(name, len(corpus.vocabulary)), corpus, QUICK, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", TRAINED)
def test_a_text(small_model: Small, text: TextCorpus, monkeypatch: Patch, name: str, device: str) -> None:
    assert_same_training(monkeypatch, lambda: small_model(name, len(text.vocabulary)), text, QUICK, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
def test_streams_of_a_text(small_model: Small, text: TextCorpus, monkeypatch: Patch, name: str, device: str) -> None:
    recipe = replace(QUICK, sampling="streams")
    assert_same_training(monkeypatch, lambda: small_model(name, len(text.vocabulary)), text, recipe, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["gru", "lstm", "transformer"])
def test_a_list_with_labels(small_settings: Any, monkeypatch: Patch, name: str, device: str) -> None:
    lines = [f"{syllable * count}" for count in range(1, 8) for syllable in ("ka", "mo", "ri", "ten")]
    corpus = LineCorpus.from_lines(lines, labels=[line[0] for line in lines])

    def make() -> Model:
        settings = small_settings[name]
        return build(name, len(corpus.vocabulary), seed=0, num_labels=4, **settings).double()

    assert is_padded(make(), corpus, QUICK)
    assert_same_training(monkeypatch, make, corpus, QUICK, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("norm", ["batch", "batch-per-position"])
def test_batch_statistics(corpus: LineCorpus, monkeypatch: Patch, norm: Any, device: str) -> None:
    config = TreeConfig(fuse=(2, 2), embedding=4, hidden=8, norm=norm)
    recipe = replace(QUICK, execution="windows")
    assert_same_training(
        monkeypatch, lambda: build("tree", len(corpus.vocabulary), config, seed=0).double(), corpus, recipe, device
    )


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["tree", "lstm"])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_student_and_other_optimizers(
    small_model: Small, corpus: LineCorpus, counted: Ngram, monkeypatch: Patch, name: str, optimizer: Any, device: str
) -> None:
    recipe = replace(QUICK, distill_weight=0.5, optimizer=optimizer)
    soft = soft_targets(counted, corpus)
    make = lambda: small_model(name, len(corpus.vocabulary))  # noqa: E731
    assert_same_training(monkeypatch, make, corpus, recipe, device, soft_targets=soft)


@pytest.mark.parametrize("device", DEVICES)
def test_a_resumed_training(small_model: Small, text: TextCorpus, monkeypatch: Patch, device: str) -> None:
    monkeypatch.setattr(descent, "can_be_recorded", lambda _: True)
    recipe = replace(QUICK, sampling="streams", num_evals=1)
    whole, model, resumed = (small_model("lstm", len(text.vocabulary)).to(device) for _ in range(3))
    *_, last = fit(whole, text, recipe)
    training = fit(model, text, recipe)
    for _ in range(7):
        next(training)
    checkpoint = training.checkpoint()
    before = {name: value.clone() for name, value in checkpoint.tensors.items()}
    *_, end = fit(resumed, text, recipe, resume=checkpoint)
    assert all(torch.equal(value, before[name]) for name, value in checkpoint.tensors.items())
    assert end.train_nats == pytest.approx(last.train_nats, rel=1e-9)
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, whole.state_dict()[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["tree", "transformer", "lstm", "gru"])
def test_dropout_is_that_of_the_step(text: TextCorpus, monkeypatch: Patch, name: str, device: str) -> None:
    def make() -> Model:
        settings: dict[str, Any] = {"channels" if name == "transformer" else "hidden": 16, "dropout": 0.5}
        settings |= {} if name == "tree" else {"layers": 2}
        model: Model = build(name, len(text.vocabulary), seed=0, **settings)
        return model

    recipe = replace(QUICK, ema_decay=0.0)
    models = [make().to(device) for _ in range(2)]
    losses = [trained(monkeypatch, True, model, text, recipe) for model in models]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert losses[0] != pytest.approx(trained(monkeypatch, True, make().to(device), text, replace(recipe, seed=1)))
    if device == "cpu":
        assert losses[0] == pytest.approx(trained(monkeypatch, False, make(), text, recipe), rel=1e-4)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["rnn", "gru", "lstm"])
@pytest.mark.parametrize("continued", [True, False])
def test_layers_one_by_one(small_settings: Any, name: str, device: str, continued: bool) -> None:
    settings = small_settings[name] | {"layers": 3}
    model = build(name, 9, seed=0, **settings).double().to(device)
    assert isinstance(model, Recurrent)
    x = torch.randn(4, 6, settings["embedding"], dtype=torch.float64, device=device)
    _, state = model.run_cells(x)
    whole, each = (run(x, state if continued else None) for run in (model.run_cells, model.run_each_layer))
    torch.testing.assert_close(each, whole)
    model.cells.dropout = 0.5
    assert not torch.allclose(model.run_each_layer(x)[0], whole[0])
    torch.testing.assert_close(model.eval().run_each_layer(x, state if continued else None), whole)


def test_a_batch_that_would_be_mostly_padding_is_none(small_model: Small) -> None:
    corpus = LineCorpus.from_lines([*("abcdefghij"[:n] for n in range(1, 11)), "b" * 3_000])
    model = small_model("lstm", len(corpus.vocabulary))
    batcher = training_batcher(corpus.train, model, QUICK)
    longest = np.arange(corpus.train.num_targets)
    assert batcher.padded(longest) is None
    *_, last = fit(model, corpus, QUICK)
    assert last.step == QUICK.steps


def test_padded_batches_have_few_shapes() -> None:
    assert len({few_lengths(length) for length in range(1, 10_000)}) < 24
    assert all(length <= few_lengths(length) <= max(8, 1.5 * length) for length in range(1, 10_000))


def test_hooks_and_layers_of_others_are_not_recorded(monkeypatch: Patch) -> None:
    model = build("tree", 27, hidden=8)
    assert not can_be_recorded(model)  # on a CPU
    monkeypatch.setattr(type(model), "device", property(lambda _: torch.device("cuda")))
    assert can_be_recorded(model)
    handle = model.layers[0].register_forward_hook(lambda *_: None)
    assert not can_be_recorded(model)
    handle.remove()
    assert can_be_recorded(model)
    for register in ("register_hook", "register_post_accumulate_grad_hook"):
        handle = getattr(next(model.parameters()), register)(lambda _: None)
        assert not can_be_recorded(model)
        handle.remove()
    assert can_be_recorded(model)

    class Mine(nn.Identity):
        pass

    model.add_module("mine", Mine())
    assert not can_be_recorded(model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_a_recorded_function_is_replayed(monkeypatch: Patch) -> None:
    calls, total = [], torch.zeros((), device="cuda")

    def work(x: Tensor) -> Tensor:
        calls.append(x.shape)
        return torch.stack([total.add_(x.sum()), x.sum()])

    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    step_graphs = StepGraphs(torch.device("cuda"))
    results = [step_graphs(work, torch.full((size,), float(step))) for step in range(4) for size in (2, 3, 5)]
    assert len(calls) == 2 + 2 + 4  # once as it is, once recorded; the third shape always as it is
    assert [result[1] for result in results] == [float(step * size) for step in range(4) for size in (2, 3, 5)]
    assert results[-1][0] == sum(result[1] for result in results)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
def test_what_cannot_be_recorded_is_computed_as_usual() -> None:
    def work(x: Tensor) -> Tensor:
        return torch.rand(1, device="cuda") * 0 + x.sum().item()  # waits for the device

    step_graphs = StepGraphs(torch.device("cuda"))
    assert step_graphs(work, torch.ones(2)) == [2.0]
    with pytest.warns(UserWarning, match="without CUDA graphs"):
        assert step_graphs(work, torch.ones(2)) == [2.0]
    assert step_graphs(work, torch.full((2,), 3.0)) == [6.0]
    torch.manual_seed(0)
    first = torch.rand(3, device="cuda")
    torch.manual_seed(0)
    assert torch.equal(first, torch.rand(3, device="cuda"))
