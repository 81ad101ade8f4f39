"""The optimisers, small enough to read, with a state of plain tensors (so that it is kept without pickle).

They do what their torch.optim twins do, which the tests check; they are here because the twins cost a small model
more than the model itself: Muon there takes one matrix at a time, and the first AdamW of a process imports
torch's compiler (about a second).

a, b rows and columns of a matrix with a <= b; k matrices of one shape.
"""

from collections.abc import Sequence
from functools import cache
from math import sqrt

import torch
from torch import Tensor

from wavemore.engine.recipe import Recipe
from wavemore.nn.layers import CausalConv1d, Linear

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # Keller Jordan's: steepest at 0, so that few iterations are enough
NEWTON_SCHULZ_STEPS = 5


class Muon:
    """Momentum, made orthogonal: every direction of a matrix moves equally far.

    Keller Jordan, https://kellerjordan.github.io/posts/muon/. With Nesterov momentum, decoupled weight decay, and
    steps longer by sqrt(rows / columns) for tall matrices, as `torch.optim.Muon`.
    """

    def __init__(self, matrices: Sequence[Tensor], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        self.matrices, self.lr, self.weight_decay, self.momentum = list(matrices), lr, weight_decay, momentum
        self.buffers = [torch.zeros_like(matrix) for matrix in self.matrices]

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One step at `scale` times the learning rate."""
        lr = self.lr * scale
        updates = []
        for matrix, buffer in zip(self.matrices, self.buffers, strict=True):
            gradient = _gradient(matrix)
            buffer.lerp_(gradient, 1 - self.momentum)
            updates.append(gradient.lerp(buffer, self.momentum).flatten(1))  # a kernel's taps side by side
        for matrix, update in zip(self.matrices, orthogonal(updates), strict=True):
            rows, columns = update.shape
            matrix.mul_(1 - lr * self.weight_decay)
            matrix.add_(update.view_as(matrix), alpha=-lr * sqrt(max(1.0, rows / columns)))

    def state(self) -> dict[str, Tensor]:
        """The momenta; references, not copies."""
        return {f"momentum.{number}": buffer for number, buffer in enumerate(self.buffers)}


class AdamW:
    """Steps of about equal size for every value: momentum over the root of the mean squared gradient.

    Kingma and Ba, https://arxiv.org/abs/1412.6980; decoupled weight decay by Loshchilov and Hutter,
    https://arxiv.org/abs/1711.05101. All parameters are handled as one vector: a dozen small tensors cost as much as
    one.
    """

    def __init__(
        self,
        parameters: Sequence[Tensor],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-8,
    ) -> None:
        self.parameters, self.lr, self.weight_decay = list(parameters), lr, weight_decay
        self.betas, self.eps = betas, eps
        values = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)
        self.steps = torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One step at `scale` times the learning rate."""
        lr, (beta1, beta2) = self.lr * scale, self.betas
        gradient = torch.cat([_gradient(parameter).flatten() for parameter in self.parameters])
        self.steps += 1
        steps = int(self.steps)
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (self.square.sqrt() / sqrt(1 - beta2**steps)).add_(self.eps)
        update = torch.split(self.mean / root, [parameter.numel() for parameter in self.parameters])
        for parameter, change in zip(self.parameters, update, strict=True):
            parameter.mul_(1 - lr * self.weight_decay)
            parameter.add_(change.view_as(parameter), alpha=-lr / (1 - beta1**steps))

    def state(self) -> dict[str, Tensor]:
        """Both moments and the number of steps; references, not copies."""
        return {"mean": self.mean, "square": self.square, "steps": self.steps}


class SGD:
    """Down the gradient, as in the lecture: p -= lr * p.grad."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters, self.lr, self.weight_decay = list(parameters), lr, weight_decay

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """One step at `scale` times the learning rate."""
        lr = self.lr * scale
        for parameter in self.parameters:
            if self.weight_decay:
                parameter.mul_(1 - lr * self.weight_decay)
            parameter.add_(_gradient(parameter), alpha=-lr)

    def state(self) -> dict[str, Tensor]:
        """Nothing: SGD remembers nothing."""
        return {}


class Optimizers:
    """What a recipe says: one optimiser for the hidden matrices, one for the rest, under one schedule.

    The hidden matrices are those of `hidden_matrices`; weight decay is for them only. With `muon` the rest goes to
    AdamW with its own learning rate; else both have the same optimiser. What is frozen (`requires_grad_(False)`)
    stays as it is.
    """

    def __init__(self, model: torch.nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = [matrix for matrix in hidden_matrices(model) if matrix.requires_grad]
        hidden = {id(matrix) for matrix in matrices}
        rest = [parameter for parameter in self.parameters if id(parameter) not in hidden]
        lr, decay = recipe.learning_rate, recipe.weight_decay
        self.parts: dict[str, Muon | AdamW | SGD] = {}
        kind: type[AdamW] | type[SGD] = SGD if recipe.optimizer == "sgd" else AdamW
        if rest:
            self.parts["rest"] = kind(rest, recipe.rest_learning_rate if recipe.optimizer == "muon" else lr)
        if matrices:
            self.parts["hidden"] = (Muon if recipe.optimizer == "muon" else kind)(matrices, lr, decay)

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, step: int) -> None:
        """Move the parameters along their gradients, with the learning rates of `step` (from 0)."""
        for part in self.parts.values():
            part.step(self.recipe.learning_rate_scale(step))

    def state(self) -> dict[str, Tensor]:
        """All that the optimisers remember, by name; references, not copies."""
        return {f"{name}.{what}": value for name, part in self.parts.items() for what, value in part.state().items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take up a state that `state` gave; KeyError or RuntimeError where it is of other optimisers."""
        for name, value in self.state().items():
            value.copy_(state[name])


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Each matrix with all its singular values moved to about 1 (0.7 to 1.2), by Newton-Schulz iterations.

    Matrices of one shape are worked on together, and in bfloat16 where the processor has instructions for it: the
    iteration does not need more, as Muon's author found.

    >>> singular_values = torch.linalg.svdvals(orthogonal([torch.randn(8, 16)])[0])
    >>> bool((singular_values > 0.5).all() and (singular_values < 1.3).all())
    True
    """
    shapes: dict[torch.Size, list[int]] = {}
    for number, matrix in enumerate(matrices):
        shapes.setdefault(matrix.shape, []).append(number)
    found: dict[int, Tensor] = {}
    for shape, numbers in shapes.items():
        stack = torch.stack([matrices[number] for number in numbers])  # (k, rows, columns)
        tall = shape[0] > shape[1]
        result = _newton_schulz(stack.mT if tall else stack)
        found |= zip(numbers, (result.mT if tall else result).to(stack.dtype), strict=True)
    return [found[number] for number in range(len(matrices))]


def _newton_schulz(stack: Tensor) -> Tensor:
    """(k, a, b) -> (k, a, b), each with singular values of about 1."""
    linear, cubic, quintic = NEWTON_SCHULZ
    dtype = torch.bfloat16 if stack.device.type != "cpu" or _fast_bfloat16() else stack.dtype
    x: Tensor = (stack / stack.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)).to(dtype).contiguous()
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT  # (k, a, a)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x


@cache
def _fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; without, it would be slower than float32."""
    if not hasattr(torch.cpu, "get_capabilities"):  # before torch 2.10
        return False
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx512_bf16") or has.get("amx_bf16"))


def hidden_matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Weights between hidden layers: what Muon is for and what weight decay is on.

    Those of every linear layer and of every convolution but the last, which is the output, and of recurrent layers.
    """
    found: list[torch.nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, Linear | CausalConv1d | torch.nn.Linear):
            found.append(module.get_parameter("weight"))
        elif isinstance(module, torch.nn.RNNBase):
            found += [parameter for name, parameter in module.named_parameters() if "weight" in name]
    return found[:-1]


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient; zeros for what the loss does not depend on, as in a model with a layer cut off."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
