"""Optimizers of torch: the one of a recipe for a loop of your own, and one of your own for `fit`."""

from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor

from wavemore.engine.optimizer import AdamW, Muon, Optimizers, Scale
from wavemore.engine.recipe import Recipe
from wavemore.errors import UsageError, a_kind, require_kind
from wavemore.nn.model import Model, require_model


class RecipeOptimizer(torch.optim.Optimizer):
    """The optimizer of a recipe as one of torch, with a group for the hidden matrices and one for the rest.

    With `muon` the hidden matrices have orthogonalised momentum, and the rest is trained by AdamW. The learning rates
    are the recipe's peaks: a scheduler of torch, or `recipe.learning_rate_scale`, changes them.

    >>> import wavemore as wm
    >>> model = wm.build("tree", 27, hidden=8)
    >>> optimizer = RecipeOptimizer(model, wm.Recipe(learning_rate=0.03))
    >>> {group["name"]: group["lr"] for group in optimizer.param_groups}
    {'rest': 0.005, 'hidden': 0.03}
    """

    def __init__(self, model: Model, recipe: Recipe) -> None:
        require_model(model)
        require_kind(recipe, "recipe", Recipe, "a Recipe, such as the `recipe` of a plan")
        require_trainable(model)
        self.parts = Optimizers(model, recipe).parts
        groups = [
            {"params": list(part.parameters), "lr": part.lr, "weight_decay": part.weight_decay, "name": name}
            for name, part in self.parts.items()
        ]
        super().__init__(groups, {})
        for part in self.parts.values():
            for parameter, state in zip(part.parameters, _states(part), strict=True):
                if state:
                    self.state[parameter] = state

    @overload
    def step(self, closure: None = ...) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step, with the learning rates of the groups."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for part, group in zip(self.parts.values(), self.param_groups, strict=True):
            part.lr, part.weight_decay = group["lr"], group["weight_decay"]
            part.step(1.0)
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state of the same kind of optimizer."""
        own = {parameter: dict(state) for parameter, state in self.state.items()}
        super().load_state_dict(state_dict)
        for parameter, tensors in own.items():  # what the parts hold
            for name, tensor in tensors.items():
                tensor.copy_(self.state[parameter][name])
            self.state[parameter] = tensors


def require_trainable(model: Model) -> None:
    """Raise a UsageError for a model without weights that can get gradients."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise UsageError("all weights are frozen: at least one parameter of the model must have requires_grad=True")
    if any(parameter.is_inference() for parameter in model.parameters()):
        raise UsageError("the model was made within torch.inference_mode(), so it cannot be trained: make it outside")


def _states(part: Any) -> list[dict[str, Tensor]]:
    """Return the state of each parameter of a part of `Optimizers`: the same memory, by torch's names."""
    if isinstance(part, Muon):
        return [{"momentum_buffer": buffer} for buffer in part.buffers]
    if not isinstance(part, AdamW):
        return [{} for _ in part.parameters]
    sizes = [parameter.numel() for parameter in part.parameters]
    rows = zip(part.parameters, torch.split(part.mean, sizes), torch.split(part.square, sizes), strict=True)
    return [
        {"step": part.steps, "exp_avg": mean.view_as(parameter), "exp_avg_sq": square.view_as(parameter)}
        for parameter, mean, square in rows
    ]


class OwnOptimizer:
    """An optimizer of torch in place of a recipe's."""

    def __init__(self, optimizer: torch.optim.Optimizer, model: Model) -> None:
        """Raises `UsageError` if it owns other parameters than the model's, or needs the loss again in each step."""
        self.optimizer = optimizer
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise UsageError(f"`optimizer` is {a_kind(optimizer)}; it must be an optimizer of torch.optim")
        if isinstance(optimizer, torch.optim.SparseAdam):
            raise UsageError("SparseAdam takes sparse gradients only, which no model has here: use torch.optim.Adam")
        if isinstance(optimizer, torch.optim.LBFGS):
            raise UsageError("LBFGS computes the loss several times per step: write a loop of your own for it")
        own = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
        if not own <= {id(parameter) for parameter in model.parameters()}:
            raise UsageError("`optimizer` trains parameters that are not the model's: make it of `model.parameters()`")

    def zero_grad(self) -> None:
        """Remove the gradients of the previous step."""
        self.optimizer.zero_grad()

    def step(self, scale: Scale) -> None:
        """Update the parameters at `scale` times the learning rates."""
        groups = self.optimizer.param_groups
        rates = [group["lr"] for group in groups]
        try:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate * scale
            self.optimizer.step()
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate

    def state(self) -> dict[str, Tensor]:
        """Return the state of each parameter as tensors, by the number of the parameter and its name."""
        states = self.optimizer.state_dict()["state"]
        return {
            f"{number}/{name}": torch.as_tensor(value)
            for number, state in states.items()
            for name, value in state.items()
            if isinstance(value, Tensor | int | float)
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore a state. Raises KeyError, ValueError or RuntimeError if it is that of another optimizer."""
        by_parameter: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            number, name = key.split("/", 1)
            by_parameter.setdefault(int(number), {})[name] = value.clone()
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": by_parameter})
