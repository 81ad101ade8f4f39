"""Checks of BatchNorm layers: the axes that they reduce over, and their running statistics.

Shapes: B windows, T positions, C channels, R rows.
"""

from collections.abc import Iterable, Iterator
from math import exp, prod

import torch
from torch import Tensor, nn

from wavemore.inspection.finding import Finding
from wavemore.inspection.layer_stats import layer_name

MAX_MEAN_ERROR, MAX_VAR_ERROR = 0.5, 0.5
"""Root mean square error of the running mean, in standard deviations, and the median |ln| of the ratio of variances.

Healthy training runs have up to 0.2 and 0.3, short lists the most.
"""
MAX_OUTPUT_ERROR = 0.2
MAX_EPS_FRACTION = 0.1
MAX_MOMENTUM = 0.5
MIN_BATCH_SIZE = 8

STATISTICS = "BatchNorm statistics"
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")


def is_batchnorm(layer: nn.Module) -> bool:
    """Whether a layer is a BatchNorm by its name, whoever wrote it."""
    return any("BatchNorm" in kind.__name__ for kind in type(layer).__mro__)


def running_statistics(layer: nn.Module) -> dict[str, Tensor]:
    """Copy the running statistics of a BatchNorm."""
    return {name: value.clone() for name in BUFFERS if (value := _tensor(layer, name)) is not None}


def check_call(
    path: str, layer: nn.Module, x: Tensor, y: Tensor, running: dict[str, Tensor], channels_last: bool
) -> Iterator[Finding]:
    """Find wrong axes, a large eps and wrong running statistics, by one call in training mode on a large sample.

    Calls on (B, C) and (B, T, C) are checked; `running` are the running statistics before the call. torch's own layer
    reads three dimensions as (B, C, T), which is right unless `channels_last` is known.
    """
    if x.shape != y.shape or x.ndim not in (2, 3):
        return
    x, y = x.detach().cpu().double(), y.detach().cpu().double()
    if isinstance(layer, nn.modules.batchnorm._BatchNorm) and x.ndim == 3 and not channels_last:
        x, y = x.mT, y.mT
    mean, var = x.flatten(0, -2).mean(0), x.flatten(0, -2).var(0, correction=0)  # (C,)
    eps = float(getattr(layer, "eps", 0.0) or 0.0)
    var_with_eps = (var + eps).clamp(min=1e-300)
    if problem := _wrong_axes(layer, x, y, running.get("running_mean"), expected_var=var / var_with_eps):
        yield Finding("BatchNorm axes", problem, layer_name(path, layer))
        return
    eps_fraction = float((eps / var_with_eps).median())
    if eps_fraction > MAX_EPS_FRACTION:
        yield Finding(
            "BatchNorm eps",
            f"eps is {eps_fraction:.0%} of the variance that it divides by, so the output has less variance than 1: "
            "use a small eps, such as 1e-5, or scale up the layer before it",
            layer_name(path, layer),
        )
    if problem := _wrong_statistics(layer, mean, var, running):
        yield Finding(STATISTICS, problem, layer_name(path, layer))


def check_batchnorm(
    of_calls: Iterable[Finding], model: nn.Module, trained: bool, batch_size: int | None
) -> Iterator[Finding]:
    """Choose the findings of the calls that matter, and find small batches; `batch_size` is that of the training.

    The running statistics matter for a model that is trained, or was given in eval mode.
    """
    yield from (finding for finding in of_calls if trained or not model.training or finding.kind != STATISTICS)
    if batch_size is not None and batch_size < MIN_BATCH_SIZE and any(map(is_batchnorm, model.modules())):
        yield Finding(
            "small batch",
            f"it was trained on batches of {batch_size} characters, whose statistics are mostly noise: use a "
            "`batch_size` of 32 or more, or another `norm`, such as layer",
            "BatchNorm",
        )


def _wrong_axes(layer: nn.Module, x: Tensor, y: Tensor, running_mean: Tensor | None, expected_var: Tensor) -> str:
    """Describe what is wrong with the axes; empty if they are right."""
    channels = x.shape[-1]
    shape = (channels,) if running_mean is None else tuple(running_mean.shape)
    if sum(n > 1 for n in shape) > 1 or prod(shape) not in (channels, 1):
        problem = f"its running mean has the shape {shape} for {channels} channels"
    elif prod(shape) < channels:
        problem = "it has one mean for all channels"
    elif _per_position(x, y):
        problem = "it normalises every position by itself, over the batch alone"
    elif (error := _output_error(layer, y, expected_var)) > MAX_OUTPUT_ERROR:
        problem = f"in training mode its output is {error:.2g} away from mean 0 and variance 1 per channel"
    else:
        return ""
    return (
        f"{problem}: the mean of a channel must be taken over batch and time, (0, 1) for an input of "
        f"{'(B, T, C)' if x.ndim == 3 else '(B, C)'}, and the running statistics must have the shape ({channels},)"
    )


def _wrong_statistics(layer: nn.Module, mean: Tensor, var: Tensor, running: dict[str, Tensor]) -> str:
    """Describe what is wrong with the running statistics of data with this mean and variance; empty if nothing is."""
    remedy, momentum = "run the training data through the model in training mode, or train it again", None
    if isinstance(getattr(layer, "momentum", None), int | float):
        momentum = float(layer.momentum)  # type: ignore[arg-type]
    if momentum == 0:
        return "its momentum is 0, so its running statistics are never updated: use 0.1, and train again"
    running_mean, running_var, num_batches = (running.get(name) for name in BUFFERS)
    never_updated, mean_error, var_error = num_batches is not None and not num_batches, 0.0, 0.0
    if running_mean is not None and running_var is not None:
        never_updated |= not bool(running_mean.any()) and bool((running_var == 1).all())
        live = var > 1e-10
        if running_mean.numel() == len(mean) and bool(live.any()):
            mean_error = _rms((running_mean.flatten() - mean)[live] / var[live].sqrt())
            var_error = float((running_var.flatten()[live].clamp(min=1e-12) / var[live]).log().abs().median())
    if never_updated:
        return (
            "its running statistics were never updated, so eval mode normalises with arbitrary numbers (mean 0, "
            f"variance 1): {remedy}"
        )
    high_momentum = ""
    if momentum is not None and momentum > MAX_MOMENTUM:
        high_momentum = f"with its momentum of {momentum:g} they are those of the last batches alone; use 0.1, and "
    if mean_error > MAX_MEAN_ERROR or var_error > MAX_VAR_ERROR:
        return (
            f"its running statistics are not those of the training data: its means are {mean_error:.2g} standard "
            f"deviations away, its variances off by a factor of {exp(min(var_error, 99)):.2g}, so eval mode differs "
            f"from training mode: {high_momentum}{remedy}"
        )
    return f"its running statistics may be far from those of the data: {high_momentum}{remedy}" if high_momentum else ""


def _output_error(layer: nn.Module, y: Tensor, expected_var: Tensor) -> float:
    """Compare the output with mean 0 and `expected_var`, (C,), after undoing scale and shift, by any of their names."""
    scale, shift = torch.ones_like(expected_var), torch.zeros_like(expected_var)
    for names, values in ((("weight", "gamma"), scale), (("bias", "beta"), shift)):
        for name in names:
            if (tensor := _tensor(layer, name)) is not None and tensor.numel() == len(values):
                values.copy_(tensor.flatten())
    live = scale.abs() > 1e-8
    mean, var = y.flatten(0, -2).mean(0), y.flatten(0, -2).var(0, correction=0)
    return max(_rms(((mean - shift) / scale)[live]), _rms((var / scale.square() - expected_var)[live]))


def _per_position(x: Tensor, y: Tensor) -> bool:
    """Whether the positions lost their differences: in real text the first ones are mostly boundaries."""
    if x.ndim != 3 or x.shape[1] < 2:
        return False
    before, after = (
        _rms((z.mean(0) - z.mean((0, 1))) / z.flatten(0, 1).std(0, correction=0).clamp(min=1e-12)) for z in (x, y)
    )
    return before >= 0.05 and after < 0.02 * before


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _tensor(layer: nn.Module, name: str) -> Tensor | None:
    value = getattr(layer, name, None)
    return value.detach().cpu().double() if isinstance(value, Tensor) else None
