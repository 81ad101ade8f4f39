"""Weights as bytes that a browser reads without a library.

Each tensor begins at a multiple of 4 bytes. `Packer.tensors` lists them in order, as `[kind, rows, columns, ...]`:

    f32     4-byte floats
    i16     a 4-byte float per row, then 2-byte integers: value = float of the row * integer
    log16   2-byte integers c: value = exp(low + step * (c - 1)), and 0 for c = 0; low and step follow the columns
    u8, u16, u32    unsigned integers

All numbers are little-endian. 16-bit integers with a scale per row are as small as 16-bit floats and have about a tenth
of their error: the largest weight of a row is only some three times as large as a typical one.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LEVELS = 2**15 - 1


class Packer:
    """Collects tensors; each method returns the number of a tensor in `tensors`.

    >>> packer = Packer()
    >>> packer.matrix(torch.tensor([[0.5, -1.0]])), packer.vector(torch.ones(3))
    (0, 1)
    >>> packer.tensors, len(packer.data)
    ([['i16', 1, 2], ['f32', 1, 3]], 20)
    """

    def __init__(self, *, exact: bool = False) -> None:
        """With `exact`, weights are kept as 4-byte floats."""
        self.exact = exact
        self.tensors: list[list[Any]] = []
        self.data = bytearray()

    def matrix(self, weight: Tensor) -> int:
        """Add weights (R, C), in 16 bits each unless they are kept exactly."""
        if self.exact:
            return self._floats(weight)
        rows = weight.detach().double().cpu().numpy()
        scales = np.maximum(np.abs(rows).max(axis=1, initial=0.0) / LEVELS, 1e-37).astype("<f4")
        integers = np.rint(rows / scales[:, None].astype(np.float64)).clip(-LEVELS, LEVELS).astype("<i2")
        return self._add(["i16", *rows.shape], scales.tobytes() + integers.tobytes())

    def vector(self, values: Tensor) -> int:
        """Add a bias, a gain or a table of few numbers, exactly."""
        return self._floats(values)

    def integers(self, values: NDArray[np.integer[Any]]) -> int:
        """Add integers from 0 on, in as few bytes as the largest needs."""
        kind = np.min_scalar_type(int(values.max(initial=0)))
        assert kind.kind == "u"
        assert kind.itemsize <= 4
        return self._add([f"u{8 * kind.itemsize}", 1, values.size], values.astype(kind.newbyteorder("<")).tobytes())

    def probabilities(self, values: NDArray[np.floating[Any]]) -> int:
        """Add numbers from 0 to 1 of any size, in 16 bits each with an equal relative error, or exactly."""
        if self.exact:
            return self._floats(torch.from_numpy(np.asarray(values, np.float64)))
        logs = np.log(values, where=values > 0, out=np.zeros(values.shape, np.float64))
        low = float(logs.min(initial=0.0))  # the logarithm of 1 is 0
        step = max(-low, 1e-9) / (2**16 - 2)
        codes = np.where(values > 0, np.rint((logs - low) / step) + 1, 0).astype("<u2")
        return self._add(["log16", 1, values.size, low, step], codes.tobytes())

    def _floats(self, values: Tensor) -> int:
        rows = values.detach().float().cpu().reshape(-1, values.shape[-1]).numpy().astype("<f4")
        return self._add(["f32", *rows.shape], rows.tobytes())

    def _add(self, tensor: list[Any], content: bytes) -> int:
        self.tensors.append(tensor)
        self.data += content + bytes(-len(content) % 4)
        return len(self.tensors) - 1
