"""The peak memory of tensors, counted exactly and on any system."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the most bytes that tensors created inside the block hold at once, in a backward pass too.

    Temporary memory of a running operation is not seen, and tensors from before the block do not count.

    >>> with PeakMemory() as memory:
    ...     x = torch.ones(1_000)
    ...     x = (x + 1).exp_()
    >>> memory.peak, memory.now
    (8000, 4000)
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now: int = 0
        self.peak: int = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {x.untyped_storage()._cdata for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)}
        result = func(*args, **(kwargs or {}))
        for x in tree_leaves(result):
            if isinstance(x, torch.Tensor):
                self._see(x.untyped_storage(), before)
        self.peak = max(self.peak, self.now)
        return result

    def _see(self, storage: torch.UntypedStorage, before: set[int]) -> None:
        address = storage._cdata
        if address in before or address in self.known:  # a view, or changed in place
            return
        size = storage.nbytes()
        self.known.add(address)
        self.now += size
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size
