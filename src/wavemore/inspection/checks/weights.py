"""What is wrong with weights, units and the scale of what flows through the layers, in words."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from wavemore.inspection.finding import Finding
from wavemore.inspection.layer_stats import FLAT, Pass, flat_values, parameters_and_buffers
from wavemore.inspection.shapes import short

SATURATED = 0.6
"""Share of flat values of a tanh, GELU or SiLU; of a ReLU, where the half is usual, `SATURATED_RELU`."""
SATURATED_RELU = 0.9
LARGE, SMALL = 30.0, 0.01
"""Standard deviations of a hidden layer's output that are far from 1."""


@dataclass(frozen=True)
class Units:
    """Units of an activation, over a large sample."""

    path: str
    name: str
    kind: str
    saturated: float
    dead: int
    """Units that are flat for every input."""
    constant: int
    """Units that give the same value for every input, and are not flat."""
    count: int


def units_of(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> Units | None:
    """Look at the units of an activation that we know: (..., C)."""
    flat = flat_values(layer, x, y)
    if flat is None:
        return None
    rows, values = flat.flatten(0, -2), y.detach().flatten(0, -2)  # (R, C)
    dead = rows.all(dim=0) & (values.amax(0) - values.amin(0) < 0.1)
    kind = next(k.__name__ for k in type(layer).__mro__ if k.__name__ in FLAT)
    if kind == "ReLU" and float(dead.float().mean()) < 0.1:  # where few are dead by chance, another step may wake them
        inputs = x.detach().flatten(0, -2)
        dead &= inputs.amax(0) < -0.5 * inputs.std()
    spread = values.std(dim=0, correction=0)
    constant = (spread <= 1e-5 * (values.abs().mean() + 1e-12)) & ~rows.all(dim=0)
    name = f"{short(path)} {type(layer).__name__}".strip()
    return Units(path, name, kind, float(rows.float().mean()), int(dead.sum()), int(constant.sum()), rows.shape[1])


def of_weights(model: nn.Module, idle: Sequence[str], start: dict[str, Tensor], trained: bool) -> Iterator[Finding]:
    """Findings about the numbers that a model holds: not finite, zero, alike, frozen."""
    matrices = {name: value.detach() for name, value in model.named_parameters() if value.ndim >= 2}
    last = list(matrices)[-1:] if matrices else []
    for name, value in parameters_and_buffers(model):
        bad = int((~value.detach().isfinite()).sum()) if value.is_floating_point() else 0
        if bad:
            yield Finding(
                "not finite",
                short(name),
                f"{bad:,} of {value.numel():,} values are NaN or infinite, so every loss is: take the weights of an "
                "earlier step, and train with a lower learning rate",
            )
    for name, value in matrices.items():
        if not trained and name in last:  # a fresh last layer may be zero or all alike: its gradients are not
            continue
        if not value.any():
            yield Finding(
                "zero weights",
                short(name),
                "all weights are 0, so nothing of the input passes: start them at random, as normal values with "
                "standard deviation 1 / sqrt(inputs)",
            )
        elif len(value) > 1 and bool(value.isfinite().all()):
            alike = len(value) - len(torch.unique(value, dim=0))
            if alike:
                yield Finding(
                    "identical units",
                    short(name),
                    f"{alike:,} of {len(value):,} rows are copies of others; units with equal weights get equal "
                    "gradients and stay equal: start the weights at random",
                )
    yield from _frozen(model, matrices, idle, start, trained)


def _frozen(
    model: nn.Module, matrices: dict[str, Tensor], idle: Sequence[str], start: dict[str, Tensor], trained: bool
) -> Iterator[Finding]:
    for name, parameter in model.named_parameters():
        before = start.get(name)
        why = ""
        if not parameter.requires_grad:
            why = "it does not ask for gradients (requires_grad is False)"
        elif trained and before is not None and before.shape == parameter.shape and name in matrices:
            after = parameter.detach().flatten().double().cpu()
            first = before.flatten().double().cpu()
            if torch.equal(after, first):
                why = "its weights are those that it began with"
            elif bool(after.isfinite().all()) and float(torch.cosine_similarity(after, first, dim=0)) > 1 - 1e-9:
                why = "its weights are those that it began with, but for a factor (weight decay)"
        if not why and trained and name in idle and name in matrices:
            why = "no gradient reaches it"
        if why:
            yield Finding(
                "frozen layer",
                short(name),
                f"{why}, so it learns nothing: call requires_grad_(True), let the optimiser have it, and look for a "
                "detach() or a no_grad() behind it",
            )


def of_units(units: Sequence[Units], before: Sequence[Units]) -> Iterator[Finding]:
    """Findings about saturated layers and dead units, and about layers that were saturated before training."""
    for first, layer in zip(before, units, strict=False):
        if _saturated(first) and not _saturated(layer):
            yield Finding(
                "saturated layer",
                first.name,
                f"before training {first.saturated:.0%} of its values were where {first.kind.lower()} is flat (now "
                f"{layer.saturated:.0%}), so the first steps had hardly any gradient: begin with smaller weights "
                "before it (standard deviation 1 / sqrt(inputs)), or put a normalisation before it",
            )
    for layer in units:
        if layer.dead or layer.constant:
            many = layer.dead + layer.constant
            what = "flat for every input" if layer.dead else "the same value for every input"
            yield Finding(
                "dead units",
                layer.name,
                f"{many:,} of {layer.count:,} units are dead: {what}, so they tell nothing and no gradient passes: "
                "look at the bias and the scale before them, put a normalisation there, lower the learning rate",
            )
        if _saturated(layer) and layer.dead < layer.count:
            yield Finding(
                "saturated layer",
                layer.name,
                f"{layer.saturated:.0%} of its values lie where {layer.kind.lower()} is flat, so hardly any gradient "
                "passes: make the weights before it smaller (standard deviation 1 / sqrt(inputs)), or put a "
                "normalisation before it",
            )


def _saturated(layer: Units) -> bool:
    return layer.saturated > (SATURATED_RELU if layer.kind == "ReLU" else SATURATED)


def of_scales(seen: Pass) -> Iterator[Finding]:
    """Findings about activations and gradients that grow or die from layer to layer."""
    for layer in seen.layers[:-1]:
        if layer.std is None:
            yield Finding("not finite", layer.name, "its output is NaN or infinite: look at the first layer named here")
            return
        if not SMALL <= layer.std <= LARGE:
            grown = layer.std > LARGE
            yield Finding(
                "exploding activations" if grown else "vanishing activations",
                layer.name,
                f"the standard deviation of its output is {layer.std:.2g}, and about 1 is healthy: "
                f"{'divide' if grown else 'multiply'} the weights before it, or put a normalisation after them",
            )
            break  # the layers above only pass it on
    scales = [(layer.name, layer.gradient) for layer in seen.layers if layer.gradient]
    if len(scales) < 2:
        return
    top = scales[-1][1]
    for name, scale in reversed(scales[:-1]):
        if not top / 1e4 <= scale <= top * 1e3:
            yield Finding(
                "exploding gradients" if scale > top else "vanishing gradients",
                name,
                f"the gradient is {scale:.1g} here and {top:.1g} at the last layer: a step that suits one of them does "
                "not suit the other; put a normalisation between, and look for saturated layers above",
            )
            return
