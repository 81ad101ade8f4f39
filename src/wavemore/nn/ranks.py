"""Training by several processes, the ranks: each computes its share of every batch, and their gradients are added up.

They are the processes of `torch.distributed`, such as `torchrun` starts. What is summed is the gradient of the same
loss as that of one process, so all ranks take the same steps. One process is `ALONE`: it has everything and sums
nothing.
"""

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Literal, cast

import torch
import torch.distributed as dist
from torch import Tensor

from wavemore.errors import RankError

TIMEOUT = timedelta(minutes=10)
"""How long a rank waits for the others: longer than one of them reads the data alone."""
Wish = Literal["save", "stop"]
WISHES: tuple[Wish, ...] = ("save", "stop")


class Ranks:
    """The processes of a training, and which of them this one is."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size
        self.local_size = 1
        """The ranks on this machine, which share its cores."""
        self._wishes: dict[Wish, bool] = dict.fromkeys(WISHES, False)
        self._granted: dict[Wish, bool] = dict.fromkeys(WISHES, False)

    def span(self, count: int) -> slice:
        """Return this rank's share of `count` things in a row.

        >>> [Ranks(rank, 3).span(8) for rank in range(3)]
        [slice(0, 2, None), slice(2, 5, None), slice(5, 8, None)]
        """
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def deal(self, costs: Sequence[float]) -> list[list[int]]:
        """Return the tasks of each rank: the dearest first, each goes to the rank that has the least to do.

        >>> Ranks(0, 2).deal([1, 5, 2, 3])
        [[1, 0], [3, 2]]
        """
        loads, shares = [0.0] * self.size, [list[int]() for _ in range(self.size)]
        for task in sorted(range(len(costs)), key=lambda task: -costs[task]):
            rank = loads.index(min(loads))
            loads[rank] += costs[task]
            shares[rank].append(task)
        return shares

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of the ranks' tensors, which have one shape; it has no gradient."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone(memory_format=torch.contiguous_format)
        with _answering():
            dist.all_reduce(total)
        return total

    def join(self, part: Tensor, dim: int, count: int) -> Tensor:
        """Put together the shares of all ranks, each the `span` of `count` things along a dimension."""
        shape = list(part.shape)
        shape[dim] = count
        whole = part.new_zeros(shape)
        whole.movedim(dim, 0)[self.span(count)] = part.movedim(dim, 0)
        return self.sum(whole)

    def exchange(self, own: Tensor, sizes: Sequence[int]) -> list[Tensor]:
        """Return the tensors of all ranks, (size,) each; `own` is that of this rank."""
        padded = own.new_zeros(max(sizes))  # every rank sends as much
        padded[: len(own)] = own
        tensors = [torch.empty_like(padded) for _ in sizes]
        with _answering():
            dist.all_gather(tensors, padded)
        return [tensor[:size] for tensor, size in zip(tensors, sizes, strict=True)]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks, in their order."""
        values: list[Any] = [value] * self.size
        if self.size > 1:
            with _answering():
                dist.all_gather_object(values, value)
        return values

    def send(self, value: Any) -> Any:
        """Return the value of rank 0, on all ranks."""
        values = [value]
        if self.size > 1:
            with _answering():
                dist.broadcast_object_list(values)
        return values[0]

    def add_gradients(self, parameters: Sequence[Tensor], numbers: Sequence[float]) -> list[float]:
        """Replace the gradients by their sums over the ranks, and return those of some numbers.

        It is one exchange, which also tells the ranks each other's wishes.
        """
        device = parameters[0].device
        wishes = [float(self._wishes[name]) for name in WISHES]
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        parts.append(torch.tensor([*numbers, *wishes], dtype=torch.promote_types(parts[0].dtype, torch.float32)))
        total = self.sum(torch.cat([part.detach().to(device).flatten() for part in parts]))
        *gradients, rest = torch.split(total, [part.numel() for part in parts])
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.view_as(parameter).to(parameter.dtype)
        sums = rest.tolist()
        self._granted = {name: count > 0 for name, count in zip(WISHES, sums[len(numbers) :], strict=True)}
        return cast(list[float], sums[: len(numbers)])

    def any(self, name: Wish, wish: bool) -> bool:
        """Whether any rank wished this before the last step, so that all know it; alone, whether this one does now."""
        if self.size == 1:
            return wish
        self._wishes[name] = wish and not self._granted[name]
        return self._granted[name]

    @contextmanager
    def sharing(self) -> Iterator[None]:
        """Let layers that average over a batch average over those of all ranks (see `summed`)."""
        global _sharing
        before, _sharing = _sharing, self if self.size > 1 else None
        try:
            yield
        finally:
            _sharing = before


class _Sum(torch.autograd.Function):
    """The sum over the ranks. The loss is a sum over the ranks too, so its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, ranks: Ranks) -> Tensor:
        ctx.ranks = ranks
        return ranks.sum(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return ctx.ranks.sum(gradients[0]), None


ALONE = Ranks()
_current: tuple[Callable[[], Any], Ranks] = lambda: None, ALONE
_sharing: Ranks | None = None


def current_ranks() -> Ranks:
    """Return the ranks of the default process group of torch.distributed, or `ALONE` without one.

    >>> current_ranks().size
    1
    """
    global _current
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return ALONE
    if _current[0]() is not dist.group.WORLD:  # weak, so that the group can end before the program does
        _current = weakref.ref(dist.group.WORLD), Ranks(dist.get_rank(), dist.get_world_size())
    return _current[1]


def is_sharing() -> bool:
    """Whether a batch is shared by several ranks at the moment."""
    return _sharing is not None


def summed(x: Tensor) -> Tensor:
    """Return the sum over the ranks that share a batch, with its gradient; without them, `x` itself."""
    return x if _sharing is None else cast(Tensor, _Sum.apply(x, _sharing))  # type: ignore[no-untyped-call]


@contextmanager
def _answering() -> Iterator[None]:
    """Raise a RankError if another rank is gone or does not answer."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0].split("] ")[-1].partition(". ")[0][:120]
        lost = RankError(f"another process of this training has ended, or does not answer ({reason})")
        lost.is_known = False
        raise lost from None
