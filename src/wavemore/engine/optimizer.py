"""From a recipe to the optimisers that do it, with a state of plain tensors (so that it can be kept without pickle)."""

from collections.abc import Iterable

import torch
from torch import Tensor

from wavemore.engine.recipe import Recipe
from wavemore.nn.layers import Linear


class Optimizers:
    """One or two torch optimisers that step together under one schedule.

    With `muon`, the hidden matrices (the weights of every `Linear` but the last, which is the output) go to Muon and
    everything else to AdamW; otherwise one optimiser has all parameters. Weight decay is for the hidden matrices only.

    Muon: Keller Jordan, https://kellerjordan.github.io/posts/muon/.
    """

    def __init__(self, model: torch.nn.Module, recipe: Recipe) -> None:
        self.recipe = recipe
        matrices = hidden_matrices(model)
        inside = {id(parameter) for parameter in matrices}
        rest = [parameter for parameter in model.parameters() if id(parameter) not in inside]
        decay = recipe.weight_decay
        self.optimizers: list[torch.optim.Optimizer] = []
        if recipe.optimizer == "muon":
            if matrices:
                self.optimizers.append(torch.optim.Muon(matrices, lr=recipe.learning_rate, weight_decay=decay))
            self.optimizers.append(
                torch.optim.AdamW(rest, lr=recipe.rest_learning_rate, weight_decay=0.0, betas=(0.9, 0.95))
            )
        else:
            groups = [
                {"params": matrices, "weight_decay": decay},
                {"params": rest, "weight_decay": 0.0},
            ]
            kind = torch.optim.AdamW if recipe.optimizer == "adamw" else torch.optim.SGD
            self.optimizers.append(kind([group for group in groups if group["params"]], lr=recipe.learning_rate))
        self._peaks = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]

    def step(self, step: int) -> None:
        """Move the parameters along their gradients, with the learning rates of `step` (from 0)."""
        scale = self.recipe.learning_rate_scale(step)
        for optimizer, peaks in zip(self.optimizers, self._peaks, strict=True):
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                group["lr"] = peak * scale
            optimizer.step()

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Moments and step counts as named tensors, `<optimiser>.<parameter>.<what>`; references, not copies."""
        return {
            f"{number}.{parameter}.{what}": value if isinstance(value, Tensor) else torch.tensor(value)
            for number, optimizer in enumerate(self.optimizers)
            for parameter, values in optimizer.state_dict()["state"].items()
            for what, value in values.items()
        }

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Take up a state that `state` gave."""
        for number, optimizer in enumerate(self.optimizers):
            loaded: dict[int, dict[str, Tensor]] = {}
            for name, value in state.items():
                which, parameter, what = name.split(".", 2)
                if int(which) == number:
                    loaded.setdefault(int(parameter), {})[what] = value.clone()
            optimizer.load_state_dict({"state": loaded, "param_groups": optimizer.state_dict()["param_groups"]})


def hidden_matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Weights of every `Linear` but the last one, which is the output: what Muon is for and what weight decay is on."""
    linear = [module for module in model.modules() if isinstance(module, Linear)]
    return [layer.weight for layer in linear[:-1]]


def parameter_count(parameters: Iterable[Tensor]) -> int:
    """Number of trained values.

    >>> parameter_count(Linear(3, 4).parameters())
    16
    """
    return sum(parameter.numel() for parameter in parameters)
