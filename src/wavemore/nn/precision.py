"""The precision of float32 matrix products, a setting of the whole process that the user may have changed.

PyTorch 2.9 replaced `torch.set_float32_matmul_precision` by settings per backend. The old functions fail as soon as a
new setting was used, so only the new ones are used here, which see what the old ones have set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

CPU = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
BACKENDS = (CPU, torch.backends.cuda.matmul)
_exact: bool | None = None  # within `matmul_precision`, as a look at the setting takes microseconds


def is_exact() -> bool:
    """Whether a CPU multiplies float32 matrices in full precision."""
    return CPU.fp32_precision in ("none", "ieee") if _exact is None else _exact


def rounds_to_bfloat16() -> bool:
    """Whether a CPU rounds the factors of float32 matrix products to bfloat16, and gains by it."""
    return CPU.fp32_precision == "bf16" and fast_bfloat16()


@cache
def fast_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware; otherwise it is slower than float32."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()  # new in torch 2.10
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@contextmanager
def matmul_precision(*, bfloat16: bool) -> Iterator[None]:
    """Multiply as the user has set it or, with `bfloat16`, round the factors to it (on a GPU: to TF32).

    Sums are still float32. A processor without instructions for bfloat16 uses float32.
    """
    global _exact
    outside, before = _exact, [backend.fp32_precision for backend in BACKENDS]
    if bfloat16:
        for backend, precision in zip(BACKENDS, ("bf16", "tf32"), strict=True):
            backend.fp32_precision = precision
    _exact = None
    _exact = is_exact()
    try:
        yield
    finally:
        _exact = outside
        if bfloat16:
            for backend, precision in zip(BACKENDS, before, strict=True):
                backend.fp32_precision = "none"  # a setting above it, as of all backends, counts again
                if backend.fp32_precision != precision:
                    backend.fp32_precision = precision
