"""All that wavemore uses of torch beyond its documented names, and what it does with a torch that lacks them.

- Hooks and modes decide between a fast path and the plain one: see `is_bare` and `needs_plain`.
- torch's own backward operators take half the time of the same formulas in Python, and give autograd's own bits.
- A loop of a length that is not known, in a graph that is exported, is a `scan`, which torch has not documented yet.
- A device without float64 gets float32: torch has no public way to change how a module is moved.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from math import pi, sqrt
from typing import Any, Self, TypeGuard, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from wavemore.errors import ModelError, UsageError

M = TypeVar("M", bound=nn.Module)
Backward = Callable[..., Tensor]
"""The gradient of the input from that of the output and the input or output; `grad_input` is where it is put."""

_has_global_hook: Callable[[], object] = getattr(nn.modules.module, "_has_any_global_hook", lambda: False)
in_transform: Callable[[], bool] = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
"""Whether torch.func.grad, vmap or the like transforms what is computed."""
_is_tracing: Callable[[], bool] = torch.jit.is_tracing  # type: ignore[attr-defined]
_DEVICES = ("cpu", "cuda", "mps", "xpu")
_is_plain = False


@contextmanager
def plain() -> Iterator[None]:
    """Within the block, models compute by differentiable operations of torch alone: for second derivatives.

    >>> from wavemore.nn.models import build
    >>> model = build("lstm", 27, hidden=4)
    >>> with plain():
    ...     loss = model(torch.zeros(1, 5, dtype=torch.int64)).square().mean()
    ...     gradients = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
    ...     sum(gradient.square().sum() for gradient in gradients).backward()
    """
    global _is_plain
    before, _is_plain = _is_plain, True
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        _is_plain = before


def first_derivative(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Make the backward function of a fast path that has no second derivatives: it raises a ModelError for them."""

    @wraps(backward)
    def checked(ctx: Any, *gradients: Tensor) -> Any:
        if torch.is_grad_enabled():  # create_graph=True
            raise ModelError("fast paths have no second derivatives: compute the loss within `with wavemore.plain():`")
        return backward(ctx, *gradients)

    return checked


def differentiable(function: Callable[..., Tensor], inputs: Sequence[Tensor], dy: Tensor) -> list[Tensor | None]:
    """Return the gradients of a function of plain operations, which can themselves be differentiated."""
    wanted = [x for x in inputs if x.requires_grad]
    found = iter(torch.autograd.grad(function(*inputs), wanted, dy, create_graph=True))
    return [next(found) if x.requires_grad else None for x in inputs]


def needs_plain() -> bool:
    """Whether only the plain path will do: torch records, transforms or casts what is computed, or calls global hooks.

    The first are torch.compile, torch.export and torch.jit.trace, torch.func.grad and vmap, and torch.autocast; or it
    is within `plain`.
    """
    records = torch.compiler.is_compiling() or _is_tracing() or in_transform()
    return bool(_is_plain or records or is_autocast() or _has_global_hook())


def is_autocast() -> bool:
    """Whether torch.autocast computes in a lower precision."""
    return any(map(torch.is_autocast_enabled, _DEVICES))


def is_bare(layer: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Whether a layer is of exactly this class and has no hooks or `forward` of its own, which need it to be called.

    >>> layer = nn.Tanh()
    >>> is_bare(layer, nn.Tanh), is_bare(layer, nn.Module)
    (True, False)
    """
    return type(layer) is kind and not has_hooks(layer)


def has_hooks(layer: nn.Module) -> bool:
    """Whether a module has hooks or a `forward` of its own; also if this version of torch keeps them elsewhere."""
    try:
        before = layer._forward_pre_hooks or layer._backward_pre_hooks
        return bool(before or layer._forward_hooks or layer._backward_hooks or "forward" in vars(layer))
    except AttributeError:
        return True


def has_tensor_hooks(parameter: Tensor) -> bool:
    """Whether code is called when a parameter has its gradient; also if this version of torch keeps it elsewhere."""
    try:
        return bool(parameter._backward_hooks or parameter._post_accumulate_grad_hooks)
    except AttributeError:
        return True


def runs_as(model: nn.Module, kind: type[nn.Module]) -> bool:
    """Whether calling a model does no more than the `forward` of a class: a subclass may change it, or a hook."""
    return type(model).forward is kind.forward and not has_hooks(model)


class FallsBackToFloat32(nn.Module):
    """A module whose buffers in float64 become float32 on a device that has no float64."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        try:
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        except TypeError:
            for name, value in self.named_buffers(recurse=False):
                if value.dtype == torch.float64:
                    setattr(self, name, value.float())
            super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self


def _times(factor: Callable[..., Tensor]) -> Backward:
    """Make a backward function of the derivative."""

    def backward(dy: Tensor, x: Tensor, *settings: float, grad_input: Tensor | None = None) -> Tensor:
        return torch.mul(dy, factor(x, *settings), out=grad_input)

    return backward


def _gelu_derivative(x: Tensor) -> Tensor:
    return 0.5 * (1 + torch.erf(x / sqrt(2))) + x * torch.exp(-0.5 * x * x) / sqrt(2 * pi)


def _silu_derivative(x: Tensor) -> Tensor:
    s = x.sigmoid()
    return s * (1 + x * (1 - s))


FORMULAS: dict[str, Backward] = {
    "tanh_backward": _times(lambda y: 1 - y * y),
    "sigmoid_backward": _times(lambda y: y * (1 - y)),
    "threshold_backward": _times(lambda y, threshold: (y > threshold).to(y.dtype)),
    "gelu_backward": _times(_gelu_derivative),
    "silu_backward": _times(_silu_derivative),
}
"""What torch's operators compute: of the output for the first three, of the input for the others."""


def _operator(name: str) -> Backward:
    operator: Any = getattr(torch.ops.aten, name, FORMULAS[name])
    return operator  # type: ignore[no-any-return]


tanh_backward = _operator("tanh_backward")
sigmoid_backward = _operator("sigmoid_backward")
threshold_backward = _operator("threshold_backward")
gelu_backward = _operator("gelu_backward")
silu_backward = _operator("silu_backward")


def exported_scan() -> Callable[..., Any]:
    """Return torch's `scan`. Raises `UsageError` if this torch has none."""
    try:
        from torch._higher_order_ops.scan import scan
    except ImportError:
        raise UsageError("this version of torch cannot export a loop: use torch 2.13, or another model") from None
    found: Callable[..., Any] = scan
    return found
