"""Forward and backward passes written by hand because they save time.

Each has a plain path that gives the same numbers, and a test that compares the two. The plain path is taken unless all
layers are `is_bare`.

- `whole_tree`: a training step of a tree by the `unique` execution as one autograd function
- `mix`: a fusion and its Linear over the distinct n-grams of a batch
- `gated_block`: a block of a WaveNet as one autograd function
- `lstm`: a layer of an LSTM over lines of any lengths as one autograd function
- `tanh`: tanh and the gate of a WaveNet, which these and activations.py use
"""

from typing import TypeGuard, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def is_traced() -> bool:
    """Whether torch.jit.trace, torch.export or torch.compile records the operations: it must see torch's own alone."""
    return torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None


def is_bare(layer: nn.Module, kind: type[M]) -> TypeGuard[M]:
    """Whether a layer is of exactly this class and has no hooks, which need the layer to be called.

    No layer is while the model `is_traced`.

    >>> layer = nn.Tanh()
    >>> is_bare(layer, nn.Tanh), is_bare(layer, nn.Module)
    (True, False)
    """
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return type(layer) is kind and not any(hooks) and not is_traced()
