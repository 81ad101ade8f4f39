"""A whole tree as one autograd function, for training steps by the `unique` execution.

`fused_tree` gives the same numbers as `fusion.layer_by_layer`, and a training step takes 13 % less time on one thread:
autograd visits one node instead of dozens, and intermediate results overwrite each other, which autograd would all
keep. It has no second derivatives.

Shapes: U_l rows at level l (level L: whole contexts), C channels, V vocabulary.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from wavemore.nn.activations import GELU, ReLU, SiLU, Tanh
from wavemore.nn.kernels.mix import as_matrix, mix_backward, mix_forward, multiply
from wavemore.nn.kernels.tanh import tanh
from wavemore.nn.kernels.torch_internals import (
    first_derivative,
    gelu_backward,
    is_bare,
    needs_plain,
    silu_backward,
    tanh_backward,
    threshold_backward,
)
from wavemore.nn.layers import Embedding, FlattenConsecutive, Linear
from wavemore.nn.norms import BatchNorm1d
from wavemore.nn.ranks import is_sharing
from wavemore.nn.unique_plan import UniquePlan


def is_fusable(layers: Iterable[nn.Module]) -> bool:
    """Whether `fused_tree` can run the layers: those of a tree as in the lecture, in training mode.

    They must be an Embedding; for each fusion a FlattenConsecutive, a Linear without bias, a BatchNorm1d and an
    activation; and a Linear with bias. All must be `is_bare`. Several ranks that share a batch run it layer by layer.
    """
    layers = list(layers)
    if needs_plain() or is_sharing() or len(layers) < 6 or len(layers) % 4 != 2:
        return False
    first, *blocks, head = layers
    if not is_bare(first, Embedding) or not is_bare(head, Linear) or head.bias is None:
        return False
    channels = first.embedding_dim
    for fusion, linear, norm, activation in zip(blocks[::4], blocks[1::4], blocks[2::4], blocks[3::4], strict=True):
        if not (is_bare(fusion, FlattenConsecutive) and is_bare(linear, Linear) and is_bare(norm, BatchNorm1d)):
            return False
        if type(activation) not in _ACTIVATIONS or not is_bare(activation, type(activation)):
            return False
        sizes = (linear.in_features, linear.out_features)
        if linear.bias is not None or not norm.training or sizes != (fusion.n * channels, norm.num_features):
            return False
        channels = norm.num_features
    return channels == head.in_features


def fused_tree(layers: Iterable[nn.Module], plan: UniquePlan) -> Tensor:
    """Predict what follows each distinct context of a plan, with layers that are `is_fusable`: logits (U_L, V).

    Raises a ModelError if a level has fewer than two rows, counted with their repetitions.
    """
    first, *blocks, head = layers
    linears, norms = cast(list[Linear], blocks[1::4]), cast(list[BatchNorm1d], blocks[2::4])
    weights = [first.weight]
    for linear, norm, children, total in zip(linears, norms, plan.children, plan.totals, strict=True):
        norm.require_rows(total, (children.shape[1], norm.num_features))
        weights += [linear.weight, norm.weight, norm.bias]
    weights += [head.weight, head.bias]
    activations = [_ACTIVATIONS[type(activation)] for activation in blocks[3::4]]
    return cast(Tensor, _FusedTree.apply(plan, norms, activations, *weights))  # type: ignore[no-untyped-call]


class _Activation(NamedTuple):
    forward: Callable[[Tensor], Tensor]
    """y from z; it may overwrite z if `backward` does not need it."""
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]
    """dz from dy, z and y; it overwrites dy."""


class _FusedTree(torch.autograd.Function):
    """Level by level `mix`, BatchNorm1d (norms.py derives its gradient) and the activation."""

    @staticmethod
    def forward(
        ctx: Any, plan: UniquePlan, norms: Sequence[BatchNorm1d], activations: Sequence[_Activation], *weights: Tensor
    ) -> Tensor:
        table, *blocks, head, bias = weights
        x = table.index_select(0, plan.leaves)
        saved = []  # 7 tensors of each level
        for level, (norm, activation) in enumerate(zip(norms, activations, strict=True)):
            weight, gamma, beta = blocks[3 * level : 3 * level + 3]
            total = plan.totals[level]
            share = plan.counts[level + 1].to(x.dtype) / total
            centred = mix_forward(x, weight, plan.children[level], plan.parts[level])
            mean = torch.mv(centred.T, share)
            centred -= mean
            z = centred * centred
            var = torch.mv(z.T, share)
            norm.track(mean, var, total)
            inverse_std = (var + norm.eps).rsqrt_()
            scale = gamma * inverse_std
            torch.addcmul(beta, centred, scale, out=z)
            y = activation.forward(z)
            saved += [x, centred, share, inverse_std, scale, z, y]
            x = y
        logits = x.new_empty(len(x), len(head))
        multiply(as_matrix(x), as_matrix(head).T, as_matrix(logits))
        logits += bias
        ctx.save_for_backward(*weights, *saved)
        ctx.plan, ctx.activations = plan, activations
        return logits

    @staticmethod
    @first_derivative
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        plan: UniquePlan = ctx.plan
        num_weights = 3 * len(plan.children) + 3
        table, *blocks, head, _ = ctx.saved_tensors[:num_weights]
        saved = ctx.saved_tensors[num_weights:]
        levels = [saved[first : first + 7] for first in range(0, len(saved), 7)]
        dlogits, last = gradients[0], saved[-1]  # (U_L, V), (U_L, C)
        dhead, dy = torch.empty_like(head), torch.empty_like(last)
        multiply(as_matrix(dlogits).T, as_matrix(last), as_matrix(dhead))
        multiply(as_matrix(dlogits), as_matrix(head), as_matrix(dy))
        dweights = [dlogits.sum(0), dhead]  # from the last to the first
        steps = list(zip(levels, plan.children, plan.parts, ctx.activations, blocks[::3], strict=True))
        for (x, centred, share, inverse_std, scale, z, y), children, parts, activation, weight in reversed(steps):
            dz = activation.backward(dy, z, y)
            products = dz * centred
            dbeta, dgamma = dz.sum(0), products.sum(0).mul_(inverse_std)
            torch.addcmul(dbeta, centred, dgamma * inverse_std, out=products)
            dmixed = dz.addcmul_(products, share[:, None], value=-1).mul_(scale)
            dy, dweight = mix_backward(dmixed, x, weight, children, parts)
            dweights += [dbeta, dgamma, dweight]
        dweights.append(torch.zeros_like(table).index_add_(0, plan.leaves, dy))
        return None, None, None, *reversed(dweights)


# The backward passes are torch's own operators: formulas in Python take up to twice as long, and that of GELU does not
# give the same bits.
_ACTIVATIONS: dict[type[nn.Module], _Activation] = {
    Tanh: _Activation(lambda z: tanh(z, z), lambda dy, z, y: tanh_backward(dy, y, grad_input=dy)),
    ReLU: _Activation(torch.relu_, lambda dy, z, y: threshold_backward(dy, y, 0, grad_input=dy)),
    GELU: _Activation(F.gelu, lambda dy, z, y: gelu_backward(dy, z, grad_input=dy)),
    SiLU: _Activation(F.silu, lambda dy, z, y: silu_backward(dy, z, grad_input=dy)),
}
