"""The device that a model computes on."""

import torch

from wavemore.errors import UsageError


def usable_device(name: str | torch.device) -> str:
    """Return a device of torch that works here; auto: cuda if there is one, else mps, else cpu.

    Raises `UsageError` for a device that this machine does not have.

    >>> usable_device("cpu")
    'cpu'
    """
    name = str(name)
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.zeros(1, device=torch.device(name)).cpu()  # "meta" has no values
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"device {name!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return name
