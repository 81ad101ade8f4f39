"""The optimizers. Each has a `state` of plain tensors by name, which is changed in place and saved without pickle.

They compute what torch.optim does, as the tests check. For a small model torch's own take longer than the model
itself: its Muon updates one matrix at a time, and its first AdamW of a process imports torch's compiler, in about a
second.

Shapes: k matrices of one shape, with a rows and b columns, a <= b.
"""

from collections.abc import Callable, Sequence
from math import log, sqrt
from typing import TypeAlias

import torch
from torch import Tensor

from wavemore.engine.recipe import Recipe
from wavemore.nn.layers import CausalConv1d, Linear
from wavemore.nn.precision import fast_bfloat16
from wavemore.nn.ranks import ALONE, Ranks

NEWTON_SCHULZ = ((8.0934, -23.6204, 17.4462), (3.6366, -2.7219, 0.5365), (2.6613, -1.9772, 0.4526))
"""Coefficients of x, x^3 and x^5 in each iteration.

Of all three polynomials one after the other, these bring the singular values from 0.01 to 1 closest to 1: to 0.73 to
1.27. How to find them: Amsel et al., "The Polar Express", https://arxiv.org/abs/2505.16932.
"""
MARGIN = 1.02  # the polynomials are steep at 1, and rounding to bfloat16 can bring a value above it
Scale: TypeAlias = float | Tensor
"""A number, or a tensor of one number: a recorded step reads it anew whenever it is replayed."""
WIDE = 3  # columns per row from which it pays to iterate with x xT instead of x
BETAS, EPS = (0.9, 0.99), 1e-8  # of AdamW


class Muon:
    """Orthogonalised momentum: every direction of a matrix moves equally far.

    Keller Jordan, https://kellerjordan.github.io/posts/muon/. Like `torch.optim.Muon` it has Nesterov momentum,
    decoupled weight decay, and steps that are sqrt(rows / columns) times longer for tall matrices. Several ranks
    orthogonalise a part of the matrices each.
    """

    def __init__(
        self,
        matrices: Sequence[Tensor],
        lr: float,
        weight_decay: float,
        momentum: float = 0.95,
        *,
        ranks: Ranks = ALONE,
    ) -> None:
        self.parameters, self.lr, self.weight_decay, self.momentum = list(matrices), lr, weight_decay, momentum
        self.ranks = ranks
        self.buffers = [torch.zeros_like(matrix) for matrix in self.parameters]
        self.state = {f"momentum.{number}": buffer for number, buffer in enumerate(self.buffers)}

    @torch.no_grad()
    def step(self, scale: Scale) -> None:
        """Take one step at `scale` times the learning rate."""
        lr = self.lr * scale
        updates = []
        for matrix, buffer in zip(self.parameters, self.buffers, strict=True):
            gradient = _gradient(matrix)
            buffer.lerp_(gradient, 1 - self.momentum)
            updates.append(gradient.lerp(buffer, self.momentum).flatten(1))  # a convolution becomes a matrix
        for matrix, update in zip(self.parameters, orthogonal_by_ranks(updates, self.ranks), strict=True):
            rows, columns = update.shape
            matrix.mul_(1 - lr * self.weight_decay)
            matrix.sub_(update.view_as(matrix).mul_(lr * sqrt(max(1.0, rows / columns))))


class AdamW:
    """Steps of similar size for every value: momentum divided by the root of the mean squared gradient.

    Kingma and Ba, https://arxiv.org/abs/1412.6980; decoupled weight decay by Loshchilov and Hutter,
    https://arxiv.org/abs/1711.05101. All parameters are updated as one vector, which is faster than many small ones.
    """

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters, self.lr, self.weight_decay = list(parameters), lr, weight_decay
        values = torch.cat([parameter.detach().flatten() for parameter in self.parameters])
        self.mean, self.square = torch.zeros_like(values), torch.zeros_like(values)
        self.steps = torch.zeros((), dtype=torch.int64, device=values.device)
        self.state = {"mean": self.mean, "square": self.square, "steps": self.steps}

    @torch.no_grad()
    def step(self, scale: Scale) -> None:
        """Take one step at `scale` times the learning rate."""
        lr, (beta1, beta2) = self.lr * scale, BETAS
        gradient = torch.cat([_gradient(parameter).flatten() for parameter in self.parameters])
        steps = self.steps.add_(1).to(self.mean.dtype)
        correction1, correction2 = (-torch.expm1(steps * log(beta)) for beta in BETAS)  # 1 - beta ** steps
        self.mean.lerp_(gradient, 1 - beta1)
        self.square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        root = (self.square / correction2).sqrt_().add_(EPS)
        changes = (self.mean / root).mul_(lr / correction1)
        each = torch.split(changes, [parameter.numel() for parameter in self.parameters])
        for parameter, change in zip(self.parameters, each, strict=True):
            parameter.mul_(1 - lr * self.weight_decay)
            parameter.sub_(change.view_as(parameter))


class SGD:
    """Steps against the gradient, as in the lecture: p -= lr * p.grad."""

    def __init__(self, parameters: Sequence[Tensor], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters, self.lr, self.weight_decay = list(parameters), lr, weight_decay
        self.state: dict[str, Tensor] = {}

    @torch.no_grad()
    def step(self, scale: Scale) -> None:
        """Take one step at `scale` times the learning rate."""
        lr = self.lr * scale
        for parameter in self.parameters:
            if self.weight_decay:
                parameter.mul_(1 - lr * self.weight_decay)
            parameter.sub_(_gradient(parameter) * lr)


class Optimizers:
    """The optimizers of a recipe, one for the hidden matrices and one for all other parameters.

    Only the hidden matrices (see `hidden_matrices`) have weight decay. With `muon` the other parameters are trained
    by AdamW, with their own learning rate; otherwise both optimizers are of the same kind. Frozen parameters
    (`requires_grad_(False)`) do not change.
    """

    def __init__(self, model: torch.nn.Module, recipe: Recipe, ranks: Ranks = ALONE) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        matrices = [matrix for matrix in hidden_matrices(model) if matrix.requires_grad]
        hidden = {id(matrix) for matrix in matrices}
        rest = [parameter for parameter in self.parameters if id(parameter) not in hidden]
        lr, decay = recipe.learning_rate, recipe.weight_decay
        self.parts: dict[str, Muon | AdamW | SGD] = {}
        kind: type[AdamW] | type[SGD] = SGD if recipe.optimizer == "sgd" else AdamW
        if rest:
            self.parts["rest"] = kind(rest, recipe.adamw_learning_rate if recipe.optimizer == "muon" else lr)
        if matrices:
            muon = recipe.optimizer == "muon"
            self.parts["hidden"] = Muon(matrices, lr, decay, ranks=ranks) if muon else kind(matrices, lr, decay)

    def zero_grad(self) -> None:
        """Remove the gradients of the previous step."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self, scale: Scale) -> None:
        """Update the parameters at `scale` times the learning rates."""
        for part in self.parts.values():
            part.step(scale)

    def state(self) -> dict[str, Tensor]:
        """Return the state of both optimizers, by name; references, not copies."""
        return {f"{part}.{name}": value for part, one in self.parts.items() for name, value in one.state.items()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore a state. Raises KeyError or RuntimeError if it is that of other optimizers."""
        for name, value in self.state().items():
            value.copy_(state[name])


def orthogonal(matrices: Sequence[Tensor]) -> list[Tensor]:
    """Move the singular values of each matrix to about 1, by Newton-Schulz iterations.

    Those above a hundredth of the matrix's norm become 0.73 to 1.27. Smaller ones, as
    fractions of the norm, become at most 78 times as large.

    Matrices of one shape are computed together, in bfloat16 if the processor supports it: as Muon's author found, the
    iteration needs no more precision. Those in float64 remain in float64.

    >>> singular_values = torch.linalg.svdvals(orthogonal([torch.randn(8, 16)])[0])
    >>> bool((singular_values > 0.5).all() and (singular_values < 1.3).all())
    True
    """
    results: dict[int, Tensor] = {}
    for shape in {matrix.shape for matrix in matrices}:
        numbers = [number for number, matrix in enumerate(matrices) if matrix.shape == shape]
        stack = torch.stack([matrices[number] for number in numbers])  # (k, rows, columns)
        tall = shape[0] > shape[1]
        result = _newton_schulz(stack.mT if tall else stack)
        results |= zip(numbers, (result.mT if tall else result).to(stack.dtype), strict=True)
    return [results[number] for number in range(len(matrices))]


def orthogonal_by_ranks(matrices: Sequence[Tensor], ranks: Ranks) -> list[Tensor]:
    """Do as `orthogonal` does; each rank computes its share of the matrices, which are then exchanged."""
    if ranks.size == 1:
        return orthogonal(matrices)
    shares = ranks.deal([matrix.numel() * min(matrix.shape) for matrix in matrices])
    own = orthogonal([matrices[number] for number in shares[ranks.rank]])
    sizes = [sum(matrices[number].numel() for number in share) for share in shares]
    parts = ranks.exchange(torch.cat([matrices[0].new_empty(0), *(each.flatten() for each in own)]), sizes)
    results: dict[int, Tensor] = {}
    for share, part in zip(shares, parts, strict=True):
        values = torch.split(part, [matrices[number].numel() for number in share])
        results |= {number: value.view_as(matrices[number]) for number, value in zip(share, values, strict=True)}
    return [results[number] for number in range(len(matrices))]


def _newton_schulz(stack: Tensor) -> Tensor:
    """Move the singular values to about 1: (k, a, b) -> (k, a, b)."""
    fast = stack.dtype != torch.float64 and (stack.device.type != "cpu" or fast_bfloat16())
    dtype = torch.bfloat16 if fast else stack.dtype
    norms = stack.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    x: Tensor = (stack / (MARGIN * norms)).to(dtype).contiguous()
    # A product of two single matrices copies no transposed one.
    x, add_product = (x[0], torch.addmm) if len(x) == 1 else (x, torch.baddbmm)
    if not fast and x.shape[-1] >= WIDE * x.shape[-2]:
        return _wide_newton_schulz(x, add_product).view_as(stack)
    for linear, cubic, quintic in NEWTON_SCHULZ:
        gram = x @ x.mT  # (k, a, a)
        x = add_product(x, add_product(gram, gram, gram, beta=cubic, alpha=quintic), x, beta=linear)
    return x.view_as(stack)


def _wide_newton_schulz(x: Tensor, add_product: Callable[..., Tensor]) -> Tensor:
    """Do the same with the products of the iterations alone, which are smaller: (k, a, b) -> (k, a, b).

    An iteration multiplies x by p, a polynomial of x xT, so the next x xT is p x xT p and can be computed without x.
    The rounding errors of small singular values grow on the way, too much for bfloat16.
    """

    def polynomial_of(gram: Tensor, coefficients: tuple[float, float, float]) -> Tensor:
        linear, cubic, quintic = coefficients
        result = add_product(gram, gram, gram, beta=cubic, alpha=quintic)
        result.diagonal(dim1=-2, dim2=-1).add_(linear)
        return result

    gram = x @ x.mT  # (k, a, a)
    factor = polynomial = polynomial_of(gram, NEWTON_SCHULZ[0])
    for coefficients in NEWTON_SCHULZ[1:]:
        gram = polynomial @ gram @ polynomial
        polynomial = polynomial_of(gram, coefficients)
        factor = polynomial @ factor
    return factor @ x


def hidden_matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Return the weights between hidden layers, those that Muon trains and that have weight decay.

    They are the weights of recurrent layers, linear layers and convolutions, without the last one, the output.
    """
    weights: list[Tensor] = []
    for module in model.modules():
        if isinstance(module, Linear | CausalConv1d | torch.nn.Linear):
            weights.append(module.weight)  # with a parametrization, it is computed from others
        elif isinstance(module, torch.nn.RNNBase):
            weights += [parameter for name, parameter in module.named_parameters() if "weight" in name]
    return [weight for weight in weights[:-1] if isinstance(weight, torch.nn.Parameter)]


def _gradient(parameter: Tensor) -> Tensor:
    """Return the gradient, or zeros if the loss does not depend on the parameter."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
