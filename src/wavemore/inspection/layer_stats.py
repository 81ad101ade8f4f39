"""What every layer does with a real batch, forwards and backwards, seen through hooks: nothing is stored on the layers.

Shapes: B windows, T context length, C channels, E those of an embedding, H hidden ones, V vocabulary, N bins.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from wavemore.engine.evaluate import restored_modes
from wavemore.errors import ModelError
from wavemore.nn.tree import Tree

Histogram = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Counts (N,) and the edges between the bins (N + 1,)."""
Observer = Callable[[str, nn.Module, Tensor, Tensor], None]
"""Receives every call of a layer: path, layer, input, output."""

BINS = 64
SATURATED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Tanh": lambda x, y: y.abs() > 0.97,
    "Sigmoid": lambda x, y: (2 * y - 1).abs() > 0.97,
    "ReLU": lambda x, y: y <= 0,
    "GELU": lambda x, y: x < -2.25,
    "SiLU": lambda x, y: x < -3.84,
}
"""Where an activation is saturated, by input and output: its slope is below 6 % of the steepest, as tanh's at 0.97."""


@dataclass(frozen=True)
class Layer:
    """A row of the table: the output of a layer for a batch, and the gradient that comes back."""

    name: str
    """Such as `3 BatchNorm1d`, and `3 BatchNorm1d (2)` for its second call."""
    shape_letters: str
    """The shape of the output in letters, such as `(B, T/2, H)`."""
    shape: tuple[int, ...]
    parameters: int
    mean: float | None
    std: float | None
    saturated: float | None
    """Fraction of values where the activation is flat; None for other layers."""
    gradient_std: float | None
    """Standard deviation of d loss / d output; the loss is the sum over the batch, so it is that of one example."""
    update_ratio: float | None
    """log10 of std(update) / std(weight): the median of the steps with at least half of the peak learning rate."""


@dataclass(frozen=True)
class Pass:
    """One batch, forwards and backwards."""

    layers: list[Layer]
    activations: dict[str, Histogram]
    gradients: dict[str, Histogram]
    nats: float
    confidence: float
    """Mean of KL(uniform || p) in nats: how far the predictions are from equal probabilities."""
    without_gradient: list[str]
    """Parameters that require a gradient and get none, or zeros."""
    positions_used: list[bool] | None
    """Whether the prediction depends on each of the T positions; None if no layer looks tokens up."""


def logits_of(model: nn.Module, tokens: Tensor) -> Tensor:
    """Predict what follows each context: (B, T) -> (B, V).

    A tree is run on windows and a WaveNet layer by layer, so that every layer is called. If a model predicts at every
    position, the last prediction counts. Raises `ModelError` if the model cannot read the tokens or gives other shapes.
    """
    forward = model.windows if isinstance(model, Tree) else getattr(model, "layer_by_layer", model)
    try:
        out = forward(tokens)
    except (RuntimeError, ValueError, IndexError, TypeError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"the model cannot read contexts of shape {tuple(tokens.shape)}: {reason}") from None
    if isinstance(out, Tensor) and out.ndim == 3 and len(out) == len(tokens):
        out = out[:, -1]
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != len(tokens):
        shape = tuple(out.shape) if isinstance(out, Tensor) else type(out).__name__
        raise ModelError(f"the model must give logits of shape ({len(tokens)}, V), not {shape}")
    return out


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Restore weights, statistics, gradients, modes and the random state of the model at the end."""
    parameters = [(parameter, parameter.detach().clone(), parameter.grad) for parameter in model.parameters()]
    tensors = [  # also plain tensors on layers, such as the lecture's running statistics
        (home, name, value, value.detach().clone())
        for module in model.modules()
        for home in (module._buffers, module.__dict__)
        for name, value in list(home.items())
        if isinstance(value, Tensor)
    ]
    devices = sorted({parameter.device.index or 0 for parameter, _, _ in parameters if parameter.device.type == "cuda"})
    with restored_modes(model), torch.random.fork_rng(devices=devices):
        torch.default_generator.manual_seed(0)
        try:
            yield
        finally:
            with torch.no_grad():
                for parameter, before, gradient in parameters:
                    parameter.copy_(before)
                    parameter.grad = gradient
                for home, name, value, before in tensors:
                    home[name] = value
                    if not torch.equal(value, before):
                        value.copy_(before)


@contextmanager
def watched(model: nn.Module, observe: Observer) -> Iterator[None]:
    """Call `observe` at every call of a layer that has no layers in it."""

    def hook(path: str, layer: nn.Module, inputs: Any, output: Any) -> None:
        if isinstance(layer, nn.RNNBase):  # outputs and last states
            output = output[0]
        if isinstance(output, Tensor) and inputs and isinstance(inputs[0], Tensor):
            observe(path, layer, inputs[0], output)

    handles = [
        module.register_forward_hook(partial(hook, path))
        for path, module in model.named_modules()
        if not list(module.children()) and not isinstance(module, nn.Identity)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def training_mode_without_dropout(model: nn.Module) -> None:
    """Switch to training mode, but leave dropout off: its zeros are random."""
    model.train()
    for module in model.modules():
        if "Dropout" in type(module).__name__:
            module.eval()


def run_pass(model: nn.Module, tokens: Tensor, targets: Tensor, ratios: dict[str, float]) -> Pass:
    """Run a batch, (B, T) and (B,), in training mode; to be used within `undisturbed`.

    `ratios` are the update ratios for the table, by the names of the weights.
    """
    calls: list[tuple[str, str, nn.Module, Tensor, float | None]] = []
    times = Counter[str]()
    activations: dict[str, Histogram] = {}

    def observe(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> None:
        if y.requires_grad and y.is_leaf:  # a weight itself
            return
        name = layer_name(path, layer)
        times[name] += 1
        name += f" ({times[name]})" if times[name] > 1 else ""
        flags = saturated_values(layer, x, y)
        calls.append((name, path, layer, y, None if flags is None else float(flags.float().mean())))
        if histogram := _histogram(y):
            activations[name] = histogram

    training_mode_without_dropout(model)
    with torch.enable_grad(), watched(model, observe):
        logits = logits_of(model, tokens)
        loss = F.cross_entropy(logits, targets, reduction="sum")
    parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
    outputs = [y for _, _, _, y, _ in calls]
    gradients = _gradients(loss, [*outputs, *parameters.values()])
    of_outputs, of_parameters = gradients[: len(calls)], gradients[len(calls) :]
    letters, counted = ShapeLetters(tokens.shape, logits.shape[1]), set[int]()
    layers, backward = [], dict[str, Histogram]()
    for (name, path, layer, y, saturated), gradient in zip(calls, of_outputs, strict=True):
        own = [parameter for parameter in layer.parameters() if id(parameter) not in counted]
        counted |= {id(parameter) for parameter in own}
        layers.append(
            Layer(
                name=name,
                shape_letters=letters.of(layer, y),
                shape=tuple(y.shape),
                parameters=sum(parameter.numel() for parameter in own),
                mean=_finite(_values(y).mean()),
                std=_finite(_values(y).std(correction=0)),
                saturated=saturated,
                gradient_std=None if gradient is None else _finite(_values(gradient).std(correction=0)),
                update_ratio=ratios.get(f"{path}.weight", ratios.get(path)),
            )
        )
        if gradient is not None and (histogram := _histogram(gradient)):
            backward[name] = histogram
    per_token = next((g for y, g in zip(outputs, of_outputs, strict=True) if y.shape[:2] == tokens.shape), None)
    used = None if per_token is None or per_token.ndim != 3 else per_token.abs().amax(dim=(0, 2)).gt(0).tolist()
    log_p = _values(logits).log_softmax(dim=1)
    return Pass(
        layers=layers,
        activations=activations,
        gradients=backward,
        nats=float(loss.detach()) / len(targets),
        confidence=float(-log_p.mean() - np.log(log_p.shape[1])),
        without_gradient=[name for name, g in zip(parameters, of_parameters, strict=True) if g is None or not g.any()],
        positions_used=used,
    )


def activation_kind(layer: nn.Module) -> str | None:
    """The class of `SATURATED` that a layer belongs to, by name; None for other layers."""
    return next((kind.__name__ for kind in type(layer).__mro__ if kind.__name__ in SATURATED), None)


def saturated_values(layer: nn.Module, x: Tensor, y: Tensor) -> Tensor | None:
    """Whether each value of an activation is saturated; None for other layers."""
    kind = activation_kind(layer)
    return None if kind is None or x.shape != y.shape else SATURATED[kind](x.detach(), y.detach())


def short_path(path: str) -> str:
    """Shorten a layer's path by the list that holds all layers: `layers.3` -> `3`."""
    return path.removeprefix("layers.")


def layer_name(path: str, layer: nn.Module) -> str:
    """Name a layer by its path and class: `3 BatchNorm1d`."""
    return f"{short_path(path)} {type(layer).__name__}".strip()


class ShapeLetters:
    """Writes the shapes of the layers' outputs in letters, layer by layer; fused channels are a multiple."""

    def __init__(self, tokens: torch.Size, vocabulary_size: int) -> None:
        self.windows, self.context, self.vocabulary_size = tokens[0], tokens[1], vocabulary_size
        self.base, self.base_channels = "C", 0  # the channels that the next ones may be a multiple of
        self.hidden: dict[int, str] = {}
        self.embedding = set[int]()

    def of(self, layer: nn.Module, y: Tensor) -> str:
        """The shape of the output of the next layer, such as `(B, T/2, 2E)`."""
        channels = y.shape[-1]
        if any(kind.__name__ == "Embedding" for kind in type(layer).__mro__):
            self.base, self.base_channels = "E", channels
            self.embedding.add(channels)
        elif hasattr(layer, "out_features") or hasattr(layer, "out_channels"):
            letter = f"H{len(self.hidden) + 1}" if self.hidden else "H"
            self.base = "V" if channels == self.vocabulary_size else self.hidden.setdefault(channels, letter)
            self.base_channels = channels
        times, rest = divmod(channels, self.base_channels) if self.base_channels else (0, 1)
        if rest:
            last = "E" if channels in self.embedding else self.hidden.get(channels, str(channels))
        else:
            last = self.base if times == 1 else f"{times}{self.base}"
        first = "B" if len(y) == self.windows else str(len(y))
        between = [self._time(size) for size in y.shape[1:-1]]
        return f"({', '.join([first, *between, *([last] if y.ndim > 1 else [])])})"

    def _time(self, size: int) -> str:
        if size == self.context:
            return "T"
        return f"T/{self.context // size}" if size and self.context % size == 0 else str(size)


def _gradients(loss: Tensor, tensors: list[Tensor]) -> list[Tensor | None]:
    """The gradient of the loss with respect to each tensor; None if it has none."""
    required = [tensor for tensor in tensors if tensor.requires_grad]
    if not loss.requires_grad or not required:
        return [None] * len(tensors)
    gradients = iter(torch.autograd.grad(loss, required, allow_unused=True))
    return [next(gradients) if tensor.requires_grad else None for tensor in tensors]


def _values(x: Tensor) -> Tensor:
    """The values in float64, on the CPU, as not all devices have float64."""
    return x.detach().cpu().double()


def _histogram(x: Tensor) -> Histogram | None:
    values = _values(x).flatten()
    if not len(values) or not bool(values.isfinite().all()):
        return None
    with np.errstate(all="ignore"):  # of values near the largest number
        counts, edges = np.histogram(values.numpy(), bins=BINS)
    return counts.astype(np.int64), edges


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if np.isfinite(number) else None
