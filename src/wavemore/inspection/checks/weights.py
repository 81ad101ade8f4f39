"""Checks of the weights, of the units of activations, and of the scale of activations and gradients.

Shapes: R rows, C channels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor, nn

from wavemore.inspection.finding import Finding
from wavemore.inspection.layer_stats import Pass, activation_kind, layer_name, saturated_values, short_path

MAX_SATURATED, MAX_SATURATED_RELU = 0.6, 0.9
"""Saturated fraction of a tanh, GELU or SiLU; a ReLU typically has half."""
MIN_STD, MAX_STD = 0.01, 30.0
"""Standard deviation of a hidden layer's output."""
MIN_GRADIENT, MAX_GRADIENT = 1e-4, 1e3
"""Standard deviation of a gradient, relative to that of the last layer."""


@dataclass(frozen=True)
class UnitStats:
    """The units of an activation on a large sample."""

    name: str
    kind: str
    count: int
    saturated: float
    dead: int
    """Units that are saturated for every input."""
    constant: int
    """Other units that give the same value for every input."""

    @property
    def is_saturated(self) -> bool:
        """Whether so many values are saturated that gradients hardly pass."""
        return self.saturated > (MAX_SATURATED_RELU if self.kind == "ReLU" else MAX_SATURATED)


def unit_stats(path: str, layer: nn.Module, x: Tensor, y: Tensor) -> UnitStats | None:
    """Measure the units of an activation, (..., C); None for other layers."""
    kind, saturated = activation_kind(layer), saturated_values(layer, x, y)
    if kind is None or saturated is None:
        return None
    rows, values = saturated.flatten(0, -2), y.detach().flatten(0, -2)  # (R, C)
    dead = rows.all(dim=0) & (values.amax(0) - values.amin(0) < 0.1)
    if kind == "ReLU" and float(dead.float().mean()) < 0.1:  # a few that are barely dead: the next step may wake them
        inputs = x.detach().flatten(0, -2)
        dead &= inputs.amax(0) < -0.5 * inputs.std()
    std = values.std(dim=0, correction=0)
    constant = (std <= 1e-5 * (values.abs().mean() + 1e-12)) & ~rows.all(dim=0)
    return UnitStats(
        name=layer_name(path, layer),
        kind=kind,
        count=rows.shape[1],
        saturated=float(rows.float().mean()),
        dead=int(dead.sum()),
        constant=int(constant.sum()),
    )


def check_weights(
    model: nn.Module, without_gradient: Sequence[str], start: Mapping[str, Tensor], trained: bool
) -> Iterator[Finding]:
    """Find weights that are not finite, zero, identical or frozen; `start` is the state before training, if known."""
    for name, value in chain(model.named_parameters(), model.named_buffers()):
        if bad := int((~value.detach().isfinite()).sum()):
            yield Finding(
                "not finite",
                f"{bad:,} of {value.numel():,} values are NaN or infinite, and so is every loss: use the weights of an "
                "earlier step, and train with a lower learning rate",
                short_path(name),
            )
    matrices = {name: value.detach() for name, value in model.named_parameters() if value.ndim >= 2}
    # The last layer of an untrained model may be zero or constant: its gradients are not.
    checked = matrices if trained else dict(list(matrices.items())[:-1])
    for name, value in checked.items():
        if not value.any():
            yield Finding(
                "zero weights",
                "all weights are 0, so no input passes through: start them with normal random values of standard "
                "deviation 1 / sqrt(inputs)",
                short_path(name),
            )
        elif bool(value.isfinite().all()) and (copies := len(value) - len(torch.unique(value, dim=0))):
            yield Finding(
                "identical units",
                f"{copies:,} of {len(value):,} rows are copies of others; units with equal weights get equal "
                "gradients and stay equal: start the weights with random values",
                short_path(name),
            )
    for name, parameter in model.named_parameters():
        reason, before = "", start.get(name)
        if not parameter.requires_grad:
            reason = "it takes no gradients (requires_grad is False)"
        elif trained and name in matrices and before is not None and torch.equal(before.to(parameter), parameter):
            reason = "its weights are the initial ones"
        elif trained and name in matrices and name in without_gradient:
            reason = "no gradient reaches it"
        if reason:
            yield Finding(
                "frozen layer",
                f"{reason}, so it learns nothing: call requires_grad_(True), pass it to the optimizer, and look for a "
                "detach() or no_grad() after it",
                short_path(name),
            )


def check_units(units: Sequence[UnitStats], initial_units: Sequence[UnitStats]) -> Iterator[Finding]:
    """Find saturated layers and dead units, and layers that were saturated before training."""
    remedy = "smaller initial weights before it (standard deviation 1 / sqrt(inputs)), or a normalisation before it"
    for initial, layer in zip(initial_units, units, strict=False):
        if initial.is_saturated and not layer.is_saturated:
            yield Finding(
                "saturated layer",
                f"before training {initial.saturated:.0%} of its values were where {initial.kind} is flat (now "
                f"{layer.saturated:.0%}), so the first steps had hardly any gradient: use {remedy}",
                initial.name,
            )
    for layer in units:
        if layer.dead or layer.constant:
            behaviour = "saturated" if layer.dead else "the same value"
            yield Finding(
                "dead units",
                f"{layer.dead + layer.constant:,} of {layer.count:,} units are dead: {behaviour} for every input, so "
                "they carry no information and pass no gradient: check the bias and the scale before them, add a "
                "normalisation there, or lower the learning rate",
                layer.name,
            )
        if layer.is_saturated and layer.dead < layer.count:
            yield Finding(
                "saturated layer",
                f"{layer.saturated:.0%} of its values are where {layer.kind} is flat, so hardly any gradient passes: "
                f"use {remedy}",
                layer.name,
            )


def check_scales(result: Pass) -> Iterator[Finding]:
    """Find activations and gradients that explode or vanish from layer to layer."""
    for layer in result.layers[:-1]:
        if layer.std is None:
            yield Finding("not finite", "its output is NaN or infinite: start with the first such layer", layer.name)
            return
        if not MIN_STD <= layer.std <= MAX_STD:
            large = layer.std > MAX_STD
            yield Finding(
                "exploding activations" if large else "vanishing activations",
                f"the standard deviation of its output is {layer.std:.2g}; about 1 is healthy: "
                f"{'divide' if large else 'multiply'} the weights before it, or add a normalisation after them",
                layer.name,
            )
            break  # the layers above only pass it on
    scales = [(layer.name, layer.gradient_std) for layer in result.layers if layer.gradient_std]
    for name, scale in reversed(scales[:-1]):
        last = scales[-1][1]
        if not MIN_GRADIENT * last <= scale <= MAX_GRADIENT * last:
            yield Finding(
                "exploding gradients" if scale > last else "vanishing gradients",
                f"the gradient is {scale:.1g} here and {last:.1g} at the last layer, so no step size suits both: add a "
                "normalisation between them, and look for saturated layers above",
                name,
            )
            return
