"""The packed LSTM against torch's own: values, gradients, lines of any lengths."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from wavemore.nn.models import build
from wavemore.nn.precision import fast_bfloat16, matmul_precision
from wavemore.nn.recurrent import Recurrent, RecurrentConfig

SIZES = [[5, 5, 5, 5], [5, 4, 4, 2, 1, 1], [3], [1, 1], [40, 7]]
EACH = pytest.mark.parametrize(
    ("layers", "sizes"), [(layers, sizes) for layers in (1, 3) for sizes in SIZES], ids=lambda value: str(value)
)


def model_of(layers: int, dtype: torch.dtype = torch.float64, hidden: int = 7) -> Recurrent:
    model = build("lstm", 9, RecurrentConfig(embedding=5, hidden=hidden, layers=layers), seed=1)
    assert isinstance(model, Recurrent)
    return model.to(dtype)


def lines_of(sizes: list[int]) -> list[Tensor]:
    """Lines, the longest first, of which `sizes` go on at each step."""
    random = torch.Generator().manual_seed(2)
    lengths = [sum(size > line for size in sizes) for line in range(sizes[0])]
    return [torch.randint(9, (length,), generator=random) for length in lengths]


def packed(lines: list[Tensor]) -> Tensor:
    return torch.cat([torch.stack([line[t] for line in lines if len(line) > t]) for t in range(len(lines[0]))])


def by_torch(model: Recurrent, line: Tensor) -> Tensor:
    logits: Tensor = model.head(model.cells(model.embedding(line[None]))[0][0])
    return logits


@EACH
def test_values_and_gradients_are_those_of_torch(layers: int, sizes: list[int]) -> None:
    model, lines = model_of(layers), lines_of(sizes)
    logits = model.packed(packed(lines), sizes)
    expected = packed([by_torch(model, line) for line in lines])
    torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
    weights = torch.randn(expected.shape, dtype=torch.float64)
    found, gradients = (
        torch.autograd.grad((weights * values).sum(), list(model.parameters())) for values in (logits, expected)
    )
    torch.testing.assert_close(found, gradients, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("length", [1, 6])  # fewer positions than characters, and more
def test_pieces_that_are_read_on_have_the_values_of_one_pass_and_gradients_of_their_own(
    name: str, layers: int, length: int
) -> None:
    model = build(name, 9, RecurrentConfig(embedding=5, hidden=7, layers=layers), seed=1).double()
    assert isinstance(model, Recurrent)
    tokens = torch.randint(9, (4, 3 * length), generator=torch.Generator().manual_seed(2))
    state: tuple[Tensor, ...] = ()
    for start in range(0, 3 * length, length):
        piece = tokens[:, start : start + length]
        before = [part.clone() for part in state]
        logits, state = model.read_on(piece, state)
        first = None if not before else tuple(before) if name == "lstm" else before[0]
        expected = model.head(model.cells(model.embedding(piece), first)[0])
        torch.testing.assert_close(logits, expected, rtol=1e-12, atol=1e-12)
        weights = torch.randn(expected.shape, dtype=torch.float64)
        found, gradients = (
            torch.autograd.grad((weights * values).sum(), list(model.parameters())) for values in (logits, expected)
        )
        torch.testing.assert_close(found, gradients, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(logits, model(tokens)[:, -length:], rtol=1e-12, atol=1e-12)


def test_a_character_that_the_model_does_not_know_is_an_error() -> None:
    for model in (model_of(1), model_of(1, hidden=40)):  # fewer channels than characters, and more
        for token in (9, -1):
            for length in (3, 30):  # fewer positions than characters, and more
                with pytest.raises(IndexError):
                    model(torch.full((1, length), token))


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.cells.register_forward_hook(lambda *_: None),
        lambda model: model.embedding.register_forward_pre_hook(lambda *_: None),
        lambda model: model.to(torch.bfloat16),
    ],
    ids=["hook", "pre-hook", "bfloat16"],
)
def test_the_layers_of_torch_run_where_they_must(change: Callable[[Recurrent], object]) -> None:
    model, tokens = model_of(1, torch.float32), torch.stack(lines_of([4] * 9))
    expected = model(tokens)
    assert model.is_packable
    change(model)
    assert not model.is_packable
    torch.testing.assert_close(model(tokens).float(), expected, rtol=0.05, atol=0.05)
    with torch.no_grad():
        decoder = model.eval().decoder(4)
        torch.testing.assert_close(decoder.prefill(tokens[:, 1:])[:, 0].float(), expected[:, 0], rtol=0.05, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        assert not model_of(1, torch.float32).is_packable


def test_bfloat16_products_give_nearly_the_same_gradients() -> None:
    model, tokens = model_of(2, torch.float32, hidden=64), torch.stack(lines_of([8] * 12))
    results = []
    for bfloat16 in (False, True):
        with matmul_precision(bfloat16=bfloat16):
            loss = model(tokens).square().sum()
            results.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]))
    exact, rounded = results
    assert torch.equal(exact, rounded) != fast_bfloat16()
    assert torch.linalg.norm(rounded - exact) < 0.02 * torch.linalg.norm(exact)
