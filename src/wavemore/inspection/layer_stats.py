"""What every layer does with a real batch, forwards and backwards, seen through hooks: nothing is stored on the layers.

B windows, T context length, C channels, E channels of a character, H hidden channels, V vocabulary.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.engine.evaluate import modes_put_back
from wavemore.errors import ModelError
from wavemore.inspection.shapes import Letters, names_of

Histogram = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Counts (n,) and the edges between them (n + 1,)."""
Observer = Callable[[str, nn.Module, Tensor, Tensor], None]
"""What is told of every layer in the order of the calls: path, layer, input, output."""

BINS = 64
FLAT: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Tanh": lambda x, y: y.abs() > 0.97,
    "Sigmoid": lambda x, y: (2 * y - 1).abs() > 0.97,
    "ReLU": lambda x, y: y <= 0,
    "GELU": lambda x, y: x < -2.25,
    "SiLU": lambda x, y: x < -3.84,
}
"""Where an activation is saturated: it is flat there, and from there on outwards. Flat is a slope below 6 % of its
steepest, the slope of tanh at 0.97; of input and output."""


@dataclass(frozen=True)
class Layer:
    """A row of the table: what a layer gives for a batch, and what comes back to it."""

    name: str
    """As in `3 BatchNorm1d`."""
    letters: str
    """The output's shape in letters, as in `(B, T/2, H)`."""
    shape: tuple[int, ...]
    parameters: int
    mean: float | None
    std: float | None
    saturated: float | None
    """The share of values at which the activation is flat; None for other layers."""
    gradient: float | None
    """Standard deviation of d loss / d output, where the loss is the sum over the batch: it is that of one example."""
    update_ratio: float | None
    """log10 of std(update) / std(weight): the median of the steps whose learning rate was at least half of the peak."""


@dataclass(frozen=True)
class Pass:
    """One batch, forwards and backwards."""

    layers: list[Layer]
    activations: dict[str, Histogram]
    gradients: dict[str, Histogram]
    nats: float
    """Mean loss of the batch."""
    confidence: float
    """How far the predictions are from a uniform one: mean of KL(uniform || p) in nats."""
    idle: list[str]
    """Trained parameters that get no gradient: none at all, or zeros."""
    seen: list[bool] | None
    """Whether the prediction depends on each of the T positions; None where no layer looks tokens up."""


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """What follows each context: (B, T) -> (B, V); of a model that answers at every position, the last answer.

    A model that has a `layer_by_layer` is run by it, so that all layers are seen. Raises `ModelError` where the model
    takes no such tokens or gives something else.
    """
    try:
        out = getattr(model, "layer_by_layer", model)(tokens)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"the model cannot read contexts of shape {tuple(tokens.shape)}: {why}") from None
    if isinstance(out, Tensor) and out.ndim == 3 and len(out) == len(tokens):
        out = out[:, -1]
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(tokens):
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ModelError(f"the model must give logits of shape ({len(tokens)}, V), not {shape}")
    return out


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Do anything with the model inside: weights, statistics, gradients, modes and the random state come back."""
    held = [(parameter, parameter.detach().clone(), parameter.grad) for parameter in model.parameters()]
    tensors = [  # also those of layers that keep plain tensors, as the lecture's do
        (home, name, value, value.detach().clone())
        for module in model.modules()
        for home in (module._buffers, module.__dict__)
        for name, value in list(home.items())
        if isinstance(value, Tensor)
    ]
    devices = sorted({parameter.device.index or 0 for parameter, _, _ in held if parameter.device.type == "cuda"})
    with modes_put_back(model), torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(0)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, before, gradient in held:
                    parameter.copy_(before)
                    parameter.grad = gradient
                for home, name, value, before in tensors:
                    home[name] = value
                    if not torch.equal(value, before):
                        value.copy_(before)


@contextmanager
def watched(model: nn.Module, look: Observer) -> Iterator[None]:
    """Tell `look` of every call of a layer that has no layers in it."""

    def hook_of(path: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(layer: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(layer, nn.RNNBase):  # its outputs, and its last states
                output = output[0]
            if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
                look(path, layer, inputs[0], output)

        return hook

    leaves = [
        (path, module)
        for path, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Identity)
    ]
    handles = [module.register_forward_hook(hook_of(path)) for path, module in leaves]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def as_in_training(model: nn.Module) -> None:
    """Training mode, but for dropout: its zeros are chance, and not what a layer does."""
    model.train()
    for module in model.modules():
        if "Dropout" in type(module).__name__:
            module.eval()


def take(model: nn.Module, tokens: Tensor, targets: Tensor, ratios: dict[str, float]) -> Pass:
    """Run a batch, (B, T) and (B,), as in training; call it within `undisturbed`.

    `ratios` are the update ratios of the table, by the weights' names.
    """
    calls: list[tuple[str, nn.Module, Tensor]] = []
    shares: list[float | None] = []
    histograms: list[Histogram | None] = []

    def look(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        if y.requires_grad and y.is_leaf:  # a weight itself
            return
        calls.append((path, layer, y))
        flat = flat_values(layer, x, y)
        shares.append(None if flat is None else float(flat.float().mean()))
        histograms.append(_histogram(y))

    as_in_training(model)
    with torch.enable_grad(), watched(model, look):
        logits = logits_of(model, tokens)
    loss = F.cross_entropy(logits, targets, reduction="sum")
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    back = _gradients(loss, [y for _, _, y in calls], list(parameters.values()))
    of_outputs, of_parameters = back[: len(calls)], back[len(calls) :]
    names = names_of([(path, layer) for path, layer, _ in calls])
    letters = Letters(tokens.shape, logits.shape[1])
    layers, activations, gradients, counted = [], {}, {}, set[int]()
    for name, (path, layer, y), gradient, share, histogram in zip(
        names, calls, of_outputs, shares, histograms, strict=True
    ):
        own = [parameter for parameter in layer.parameters() if id(parameter) not in counted]
        counted |= {id(parameter) for parameter in own}
        layers.append(
            Layer(
                name=name,
                letters=letters.of(layer, y),
                shape=tuple(y.shape),
                parameters=sum(parameter.numel() for parameter in own),
                mean=_number(y.detach().double().mean()),
                std=_number(y.detach().double().std(correction=0)),
                saturated=share,
                gradient=None if gradient is None else _number(gradient.double().std(correction=0)),
                update_ratio=next((ratios[key] for key in (f"{path}.weight", path) if key in ratios), None),
            )
        )
        if histogram is not None:
            activations[name] = histogram
        if gradient is not None and (backwards := _histogram(gradient)) is not None:
            gradients[name] = backwards
    log_p = logits.detach().double().log_softmax(dim=1)
    found = next((g for (_, _, y), g in zip(calls, of_outputs, strict=True) if y.shape[:2] == tokens.shape), None)
    return Pass(
        layers=layers,
        activations=activations,
        gradients=gradients,
        nats=float(loss.detach()) / len(targets),
        confidence=float(-log_p.mean() - np.log(log_p.shape[1])),
        idle=[name for name, g in zip(parameters, of_parameters, strict=True) if g is None or not g.any()],
        seen=None if found is None or found.ndim != 3 else found.abs().amax(dim=(0, 2)).gt(0).tolist(),
    )


def flat_values(layer: nn.Module, x: Tensor, y: Tensor) -> Tensor | None:
    """Where the activation is saturated, value by value; None for layers that are none that we know."""
    kinds = [kind.__name__ for kind in type(layer).__mro__]
    flat = next((FLAT[kind] for kind in kinds if kind in FLAT), None)
    return None if flat is None or x.shape != y.shape else flat(x.detach(), y.detach())


def _gradients(loss: Tensor, outputs: list[Tensor], parameters: list[Tensor]) -> list[Tensor | None]:
    wanted = [*outputs, *parameters]
    on = [tensor for tensor in wanted if tensor.requires_grad]
    if not loss.requires_grad or not on:
        return [None] * len(wanted)
    found = iter(torch.autograd.grad(loss, on, allow_unused=True))
    return [next(found) if tensor.requires_grad else None for tensor in wanted]


def _histogram(x: Tensor) -> Histogram | None:
    values = x.detach().double().flatten()
    if not len(values) or not bool(values.isfinite().all()):
        return None
    counts, edges = np.histogram(values.cpu().numpy(), bins=BINS)
    return counts.astype(np.int64), edges


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None


def parameters_and_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """All that a model holds, by name."""
    return chain(model.named_parameters(), model.named_buffers())
