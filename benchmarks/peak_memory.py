"""How much memory tensors take at most, counted exactly and on any system."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The most bytes that tensors made inside have at once, those of a backward pass included.

    What an operation takes for itself while it runs is not seen, nor what was there before.

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
        found = func(*args, **(kwargs or {}))
        for x in tree_leaves(found):
            if isinstance(x, torch.Tensor):
                self._see(x.untyped_storage(), before)
        self.peak = max(self.peak, self.now)
        return found

    def _see(self, storage: torch.UntypedStorage, before: set[int]) -> None:
        address = storage._cdata
        if address in before or address in self.known:  # a view, or changed in its place
            return
        size = storage.nbytes()
        self.known.add(address)
        self.now += size
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self.known.discard(address)
        self.now -= size
