"""Gradients of gradients: correct, or an error; `create_graph=True` must never give numbers that are wrong."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import wavemore as wm
from wavemore.nn.activations import ACTIVATIONS, GATES
from wavemore.nn.layers import CausalConv1d, Linear
from wavemore.nn.norms import NORMS, BatchNorm1dPerPosition

LAYERS: dict[str, Callable[[], nn.Module]] = {
    **{name: (lambda kind=kind: kind(4)) for name, kind in NORMS.items()},  # type: ignore[misc]
    **ACTIVATIONS,
    **GATES,
    "batch-per-position": lambda: BatchNorm1dPerPosition(4, positions=2),
    "linear": lambda: Linear(4, 3),
    "convolution": lambda: CausalConv1d(4, 3, kernel_size=2),
}
HINT = r"compute the loss within `with wavemore.plain\(\):`"
REFUSED = {"wavenet": HINT, "lstm": HINT, "transformer": "not implemented"}  # the last is torch's own
MODELS = ("tree", "mlp", "wavenet", "lstm", "gru", "rnn", "transformer", "bow", "bigram")


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("within", ["", "plain"])
def test_layers(name: str, within: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    x = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    weights = list(layer.parameters())
    for weight in weights:
        nn.init.normal_(weight)

    def of(x: Tensor, *given: Tensor) -> Tensor:
        return layer(x)  # type: ignore[no-any-return]

    with wm.plain() if within else torch.enable_grad():
        assert torch.autograd.gradcheck(of, (x, *weights))
        assert torch.autograd.gradgradcheck(of, (x, *weights))


@pytest.mark.parametrize("frozen", ["x", "weight"])
@pytest.mark.parametrize("name", NORMS)
def test_a_part_of_a_norm_is_frozen(name: str, frozen: str) -> None:
    torch.manual_seed(0)
    layer = NORMS[name](4).double()
    x = torch.randn(5, 4, dtype=torch.float64, requires_grad=frozen != "x")
    layer.weight.requires_grad_(frozen != "weight")
    [other] = [layer.weight] if frozen == "x" else [x]
    assert torch.autograd.gradgradcheck(lambda _: layer(x), (other,))


def loss_of(model: nn.Module) -> Tensor:
    tokens = torch.randint(0, 27, (4, 7), generator=torch.Generator().manual_seed(1))
    return F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())


def hessian_product(model: nn.Module, vectors: list[Tensor]) -> list[Tensor]:
    parameters = list(model.parameters())
    gradients = torch.autograd.grad(loss_of(model), parameters, create_graph=True)
    along = torch.stack([(g * v).sum() for g, v in zip(gradients, vectors, strict=True)]).sum()
    return list(torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True))


def gradients_beside(model: nn.Module, vectors: list[Tensor], step: float) -> tuple[Tensor, ...]:
    parameters = list(model.parameters())
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, vector in zip(parameters, vectors, strict=True):
            parameter.add_(vector, alpha=step)
    found = torch.autograd.grad(loss_of(model), parameters)
    with torch.no_grad():
        for parameter, value in zip(parameters, before, strict=True):
            parameter.copy_(value)
    return found


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    torch.manual_seed(0)
    model = wm.build(name, 27, seed=0).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    vectors = [torch.randn_like(parameter) for parameter in model.parameters()]
    above, below = (gradients_beside(model, vectors, step) for step in (1e-5, -1e-5))
    expected = [(a - b) / 2e-5 for a, b in zip(above, below, strict=True)]
    with wm.plain():
        found = hessian_product(model, vectors)
    scale = max(each.abs().max().item() for each in expected)
    for one, other in zip(found, expected, strict=True):
        assert (one - other).abs().max().item() < 1e-4 * scale
    if name in REFUSED:
        with pytest.raises(RuntimeError, match=REFUSED[name]):
            hessian_product(model, vectors)
    else:
        fast = hessian_product(model, vectors)
        assert all(torch.allclose(one, other) for one, other in zip(fast, found, strict=True))


def test_the_fast_paths_of_training_say_so() -> None:
    corpus = wm.load_corpus("names")
    tree = wm.build("tree", len(corpus.vocabulary), hidden=8, embedding=4)
    plan, targets = next(iter(wm.batches(corpus.train, tree, batch_size=64, plans=True)))
    loss = F.cross_entropy(tree.unique(plan), targets)
    with pytest.raises(wm.ModelError, match="no second derivatives"):
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]
    with wm.plain():
        loss = F.cross_entropy(tree.unique(plan), targets)
        loss.backward(create_graph=True)  # type: ignore[no-untyped-call]
    for parameter in tree.parameters():
        parameter.grad = None  # else gradient and graph hold each other
