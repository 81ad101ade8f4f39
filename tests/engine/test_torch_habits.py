"""What users of torch try with any model: each works as in torch, or is one sentence of a public class."""

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import wavemore as wm

CORPUS = wm.LineCorpus.from_lines([a + b + c for a in "abcd" for b in "aeiou" for c in "lmn"])
SIZE = len(CORPUS.vocabulary)
RECIPE = wm.Recipe(steps=2, batch_size=32)
MODELS = ("tree", "mlp", "wavenet", "lstm", "gru", "rnn", "transformer", "bow", "bigram")
models = pytest.mark.parametrize("name", MODELS)
TOKENS = torch.tensor([[0, 1, 2, 3], [0, 4, 5, 6], [0, 7, 8, 1]])


def trained(name: str) -> wm.Model:
    model = wm.build(name, SIZE)
    list(wm.fit(model, CORPUS, RECIPE))
    return model.eval()


@models
def test_a_layer_with_a_forward_of_its_own_is_called(name: str) -> None:
    model = trained(name)
    before = wm.evaluate(model, CORPUS.val).nats
    for layer in model.modules():
        if list(layer.children()) or type(layer).__name__ == "FlattenConsecutive":
            continue
        called: list[nn.Module] = []

        def forward(*args: object, layer: nn.Module = layer, called: list[nn.Module] = called) -> object:
            called.append(layer)
            return type(layer).forward(layer, *args)

        layer.forward = forward
        assert wm.evaluate(model, CORPUS.val).nats == pytest.approx(before, abs=1e-5)
        assert called, layer
        del layer.forward


@models
def test_on_the_meta_device_shapes_work_and_numbers_are_refused(name: str) -> None:
    model = wm.build(name, SIZE).to("meta").eval()
    assert model(TOKENS.to("meta")).shape == (3, 4, SIZE)
    uses: list[Callable[[], object]] = [
        lambda: list(wm.fit(model, CORPUS, RECIPE)),
        lambda: wm.evaluate(model, CORPUS.val),
        lambda: wm.score(model, CORPUS.vocabulary, ["al"]),
        lambda: list(wm.generate(model, CORPUS.vocabulary, 1, wm.Sampling())),
        lambda: wm.next_characters(model, CORPUS.vocabulary),
        lambda: wm.inspect_model(model, CORPUS),
    ]
    for use in uses:
        with pytest.raises(wm.ModelError, match="meta device"):
            use()


@models
def test_empty_batches(name: str) -> None:
    empty = torch.zeros(0, 9, dtype=torch.int64)
    assert trained(name)(empty).shape == (0, 9, SIZE)
    if name not in ("tree", "mlp"):  # no batch statistics
        assert wm.build(name, SIZE)(empty).shape == (0, 9, SIZE)


@models
def test_a_pruned_model_is_trained_and_copied(name: str) -> None:
    model = trained(name)
    pruned = [layer for layer in model.modules() if isinstance(getattr(layer, "weight", None), nn.Parameter)]
    for layer in pruned:
        prune.l1_unstructured(layer, "weight", amount=0.5)  # type: ignore[no-untyped-call]
    model(TOKENS).sum().backward()
    list(wm.fit(model, CORPUS, RECIPE))
    kept = wm.evaluate(model, CORPUS.val).nats
    with torch.no_grad():
        wm.adapt(model, CORPUS.vocabulary, ["bal"])
    for layer in pruned:
        prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    assert wm.evaluate(model, CORPUS.val).nats == pytest.approx(kept, abs=1e-5)


@models
def test_a_parametrized_model_is_trained(name: str) -> None:
    model = wm.build(name, SIZE)
    for layer in [layer for layer in model.modules() if isinstance(layer, nn.RNNBase | nn.Embedding | nn.Linear)]:
        matrix = "weight_hh_l0" if isinstance(layer, nn.RNNBase) else "weight"
        nn.utils.parametrizations.weight_norm(layer, matrix)
    model(TOKENS).sum().backward()
    first, *_, last = wm.fit(model, CORPUS, wm.Recipe(steps=30, batch_size=64))
    assert last.best_val_nats < first.train_nats
    assert wm.evaluate(model, CORPUS.val).nats == pytest.approx(last.best_val_nats, abs=1e-5)


@pytest.mark.parametrize(("name", "plans"), [("tree", False), ("tree", True), ("lstm", False)])
def test_batches_are_copied_and_pickled(name: str, plans: bool) -> None:
    model = wm.build(name, SIZE)
    batches = wm.batches(CORPUS.train, model, batch_size=32, plans=plans)  # type: ignore[call-overload]
    copies = [copy.deepcopy(batches), pickle.loads(pickle.dumps(batches))]
    targets = [y for _, y in batches]
    for other in copies:
        assert all(torch.equal(y, theirs) for y, (_, theirs) in zip(targets, other, strict=True))


def refused(use: Callable[[], object]) -> str:
    with pytest.raises(wm.UsageError) as caught:
        use()
    return str(caught.value)


@models
def test_what_cannot_be_trained_is_refused(name: str) -> None:
    model = wm.build(name, SIZE)
    with torch.no_grad():
        assert "needs gradients" in refused(lambda: wm.fit(model, CORPUS, RECIPE))
    with torch.inference_mode():
        made_inside = wm.build(name, SIZE)
    assert "inference_mode" in refused(lambda: wm.fit(made_inside, CORPUS, RECIPE))
    sparse = torch.optim.SparseAdam(model.parameters())
    assert "SparseAdam" in refused(lambda: wm.fit(model, CORPUS, RECIPE, optimizer=sparse))
    model.requires_grad_(False)
    assert "frozen" in refused(lambda: wm.fit(model, CORPUS, RECIPE))
    assert "frozen" in refused(lambda: wm.RecipeOptimizer(model, RECIPE))


def test_other_objects_are_refused_by_ensembles_and_inspection() -> None:
    model = wm.build("gru", SIZE)
    with pytest.raises(wm.ModelError, match="a Linear is not"):
        wm.Ensemble([model, nn.Linear(2, 2)])  # type: ignore[list-item]
    assert "must be a corpus" in refused(lambda: wm.inspect_model(model, CORPUS.train))  # type: ignore[arg-type]


@pytest.mark.filterwarnings("ignore:.*(deprecated|quantiz)")
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_a_dynamically_quantized_model_is_evaluated(name: str) -> None:
    model = trained(name)
    small = torch.ao.quantization.quantize_dynamic(model, {nn.LSTM, nn.GRU, nn.Linear})  # type: ignore[no-untyped-call]
    logits: Tensor = small(TOKENS)
    assert (logits - model(TOKENS)).abs().max() < 0.1
    assert wm.evaluate(small, CORPUS.val).nats == pytest.approx(wm.evaluate(model, CORPUS.val).nats, abs=0.1)
    assert len(list(wm.generate(small, CORPUS.vocabulary, 2, wm.Sampling()))) == 2
