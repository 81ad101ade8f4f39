"""Whether the BatchNorm layers of a model do what they should: over which axes, and with which statistics.

B windows, T positions, C channels; y^ is the output before scale and shift.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, sqrt

import torch
from torch import Tensor, nn

from wavemore.inspection.finding import Finding
from wavemore.inspection.shapes import short

MEANS, VARIANCES = 0.5, 0.5
"""How far running statistics may be from the data's: root mean square of (mean - mean) / std, and median of
|ln(var / var)|. Trainings that went well have up to 0.2 and 0.3, those of short lists most."""
SMALLEST_BATCH = 8


@dataclass(frozen=True)
class Normalised:
    """What a BatchNorm did to a large sample in training mode, and what it remembers."""

    path: str
    name: str
    shape: tuple[int, ...]
    """Of its input."""
    channels: int
    kept: tuple[int, ...] | None
    """The shape of the running mean; None where there is none."""
    batches: int | None
    """How many batches it counted; None where it does not count."""
    momentum: float | None
    eps_share: float
    """eps / (var + eps), the median over the channels."""
    mean_off: float | None
    """Running mean against the data's."""
    var_off: float | None
    untouched: bool
    """The running statistics are 0 and 1, as before training."""
    over_positions: bool | None
    """Whether it normalised each position by itself; None where it cannot be told."""
    over_channels: bool
    """Whether it normalised each row over its channels."""
    off: float
    """How far the channels of y^ are from mean 0 and variance 1: the larger of both, root mean square."""


def is_batchnorm(layer: nn.Module) -> bool:
    """Whether it is a BatchNorm by its name, whosoever wrote it."""
    return any("BatchNorm" in kind.__name__ for kind in type(layer).__mro__)


KEPT = ("running_mean", "running_var", "num_batches_tracked")


def kept_by(layer: nn.Module) -> dict[str, Tensor]:
    """A copy of the running statistics that a BatchNorm has."""
    return {name: value.clone() for name in KEPT if (value := _plain(layer, name)) is not None}


@torch.no_grad()
def look_at(
    path: str, layer: nn.Module, x: Tensor, y: Tensor, kept: dict[str, Tensor], channels_last: bool
) -> Normalised | None:
    """Look at a call in training mode, on (B, C) or (B, T, C), with what was `kept_by` the layer before it.

    None for other shapes. torch's own layer reads three dimensions as (B, C, T), which is right unless
    `channels_last` is known.
    """
    if x.shape != y.shape or x.ndim not in (2, 3):
        return None
    x, y = x.detach().double(), y.detach().double()
    own = isinstance(layer, nn.modules.batchnorm._BatchNorm)
    normal = _before_affine(layer, y, channels_first=own)
    if own and x.ndim == 3 and not channels_last:
        x, normal = x.mT, normal.mT
    rows, out = x.flatten(0, -2), normal.flatten(0, -2)  # (R, C)
    mean, var = rows.mean(0), rows.var(0, correction=0)  # (C,)
    eps = float(getattr(layer, "eps", 0.0) or 0.0)
    share = eps / (var + eps).clamp(min=1e-300)
    live = var > 1e-10
    running_mean, running_var, counted = (kept.get(name) for name in KEPT)
    mean_off = var_off = None
    untouched = False
    if running_mean is not None and running_var is not None:
        untouched = not bool(running_mean.any()) and bool((running_var == 1).all())
        if running_mean.numel() == len(mean) and bool(live.any()):
            distance = (running_mean.flatten() - mean)[live] / var[live].sqrt()
            mean_off = float(distance.square().mean().sqrt())
            ratio = running_var.flatten()[live].clamp(min=1e-12) / var[live]
            var_off = float(ratio.log().abs().median())
    expected = var / (var + eps)
    away = torch.stack([out.mean(0).square().mean(), (out.var(0, correction=0) - expected).square().mean()]).sqrt()
    momentum = getattr(layer, "momentum", None)
    return Normalised(
        path=path,
        name=f"{short(path)} {type(layer).__name__}".strip(),
        shape=tuple(x.shape),
        channels=len(mean),
        kept=None if running_mean is None else tuple(running_mean.shape),
        batches=None if counted is None else int(counted),
        momentum=float(momentum) if isinstance(momentum, int | float) else None,
        eps_share=float(share.median()),
        mean_off=mean_off,
        var_off=var_off,
        untouched=untouched,
        over_positions=_over_positions(x, normal),
        over_channels=_spread(out.mean(1)) < 1e-3 < 0.05 < _spread(out.mean(0)),
        off=float(away.max()),
    )


def findings(norms: list[Normalised], trained: bool, evaluates: bool, batch_size: int | None) -> Iterator[Finding]:
    """Findings about every BatchNorm: `evaluates` is whether the model was handed over in eval mode."""
    for norm in norms:
        wrong = _axes(norm)
        if wrong:
            yield Finding(
                "BatchNorm axes",
                norm.name,
                f"{wrong}: the mean of a channel is to be taken over batch and time, (0, 1) for an input of "
                f"{_shape(norm.shape)}, and its running statistics have the shape ({norm.channels},)",
            )
            continue
        if norm.eps_share > 0.1:
            yield Finding(
                "BatchNorm eps",
                norm.name,
                f"eps is {norm.eps_share:.0%} of what it divides by, so the output has less variance than 1: "
                "take a small eps, as 1e-5, or scale the layer before up",
            )
        yield from _statistics(norm, trained, evaluates)
    if norms and batch_size is not None and batch_size < SMALLEST_BATCH:
        yield Finding(
            "small batch",
            "BatchNorm",
            f"it was trained on batches of {batch_size} windows, whose statistics are mostly chance: take a "
            "--batch-size of 32 or more, or --norm layer",
        )


def _axes(norm: Normalised) -> str:
    kept = norm.kept
    if kept is not None and (len([size for size in kept if size > 1]) > 1 or _size(kept) not in (norm.channels, 1)):
        return f"its running mean has the shape {kept} for {norm.channels} channels"
    if norm.over_positions:
        return "it normalises every position by itself, over the batch alone"
    if norm.over_channels:
        return "it normalises every row over its channels"
    if kept is not None and _size(kept) == 1 < norm.channels:
        return "it has one mean for all channels"
    if norm.off > 0.2:
        return f"in training mode its channels do not come out with mean 0 and variance 1, but {norm.off:.2g} away"
    return ""


def _statistics(norm: Normalised, trained: bool, evaluates: bool) -> Iterator[Finding]:
    again = "run the training data through the model in training mode, or train it again"
    if norm.batches == 0 or (norm.untouched and norm.batches is None):
        if trained or evaluates:
            yield Finding(
                "BatchNorm statistics",
                norm.name,
                "its running statistics were never updated, so eval mode would normalise with made-up numbers "
                f"(mean 0, variance 1): {again}",
            )
        return
    if not (trained or evaluates) or norm.mean_off is None or norm.var_off is None:
        return
    if norm.momentum == 0:
        yield Finding(
            "BatchNorm statistics",
            norm.name,
            "its momentum is 0, so its running statistics are never updated: take 0.1, and train again",
        )
    elif norm.mean_off > MEANS or norm.var_off > VARIANCES:
        why = "they were never updated (mean 0, variance 1)" if norm.untouched else "they disagree with the data"
        if norm.momentum is not None and norm.momentum > 0.5:
            why += f": with a momentum of {norm.momentum:g} they are those of the last batch"
        yield Finding(
            "BatchNorm statistics",
            norm.name,
            f"its running statistics are not those of the training data ({why}): its means are {norm.mean_off:.2g} "
            f"standard deviations away, its variances {_factor(norm.var_off)}; eval mode is another model than "
            f"training mode then: {again}",
        )
    elif norm.momentum is not None and norm.momentum > 0.5:
        yield Finding(
            "BatchNorm statistics",
            norm.name,
            f"its momentum is {norm.momentum:g}, so its running statistics are those of the last batches alone: "
            "take 0.1",
        )


def _factor(log_ratio: float) -> str:
    """|ln(var / var)| in words.

    >>> _factor(0.6931)
    'off by a factor of 2'
    """
    return f"off by a factor of {exp(min(log_ratio, 99)):.2g}"


def _before_affine(layer: nn.Module, y: Tensor, channels_first: bool) -> Tensor:
    """y^, where scale and shift are known; a channel whose scale is 0 stays as it is."""
    weight = next((w for w in (_plain(layer, "weight"), _plain(layer, "gamma")) if w is not None), None)
    bias = next((b for b in (_plain(layer, "bias"), _plain(layer, "beta")) if b is not None), None)
    if channels_first and y.ndim == 3:
        weight, bias = (None if v is None else v[:, None] for v in (weight, bias))
    try:
        if bias is not None:
            y = y - bias
        if weight is not None:
            y = torch.where(weight.abs() > 1e-8, y / weight.where(weight.abs() > 1e-8, torch.ones_like(weight)), y)
    except RuntimeError:  # shapes of their own
        return y
    return y


def _over_positions(x: Tensor, normal: Tensor) -> bool | None:
    """Whether the positions lost their differences: with real text the first ones are mostly boundaries."""
    if x.ndim != 3 or x.shape[1] < 2:
        return None
    std = x.flatten(0, 1).std(0, correction=0).clamp(min=1e-12)
    before = _spread((x.mean(0) - x.mean((0, 1))) / std)
    if before < 0.05:
        return None
    return _spread(normal.mean(0) - normal.mean((0, 1))) < 0.02 * before


def _spread(x: Tensor) -> float:
    """Root mean square."""
    return sqrt(float(x.square().mean()))


def _plain(layer: nn.Module, name: str) -> Tensor | None:
    value = getattr(layer, name, None)
    return value.detach().double() if isinstance(value, Tensor) else None


def _size(shape: tuple[int, ...]) -> int:
    return int(torch.Size(shape).numel())


def _shape(shape: tuple[int, ...]) -> str:
    return "(B, T, C)" if len(shape) == 3 else "(B, C)"
