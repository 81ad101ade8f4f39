"""What a model computes in eval mode, as plain data: its layers and settings, and the numbers of its packed weights.

page/models.js runs these descriptions. A matrix is {"w": weight, "b": bias or None}; a tensor is its number in the
`Packer`. Batch normalisation is folded into the matrix before it.

Shapes: C channels, V vocabulary, K kernel size.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wavemore.errors import UsageError, a_kind
from wavemore.export.packing import Packer
from wavemore.nn.activations import ACTIVATIONS
from wavemore.nn.bag_of_words import BagOfWords
from wavemore.nn.bigram import Bigram
from wavemore.nn.layers import Dropout, Embedding, FlattenConsecutive, Linear
from wavemore.nn.model import Model
from wavemore.nn.ngram import Level, Ngram
from wavemore.nn.norms import BatchNorm1d, BatchNorm1dPerPosition, LayerNorm, RMSNorm
from wavemore.nn.recurrent import Recurrent
from wavemore.nn.transformer import Transformer, TransformerBlock
from wavemore.nn.tree import Tree
from wavemore.nn.wavenet import Block, WaveNet

Description = dict[str, Any]


def describe(model: Model, packer: Packer) -> Description:
    """Return the description of a model, whose weights are added to the packer.

    Raises `UsageError` for a model of another kind, or with a layer that was replaced.

    >>> from wavemore.nn.bigram import BigramConfig
    >>> describe(Bigram(27, BigramConfig()), Packer())
    {'kind': 'bigram', 'table': 0}
    """
    if type(model) not in DESCRIBED:
        raise UsageError(f"{a_kind(model)} cannot be exported: only the models of wavemore can")
    with torch.no_grad():
        return DESCRIBED[type(model)](model, packer)


def _matrix(packer: Packer, weight: Tensor, bias: Tensor | None = None) -> Description:
    return {"w": packer.matrix(weight), "b": None if bias is None else packer.vector(bias)}


def _linear(packer: Packer, layer: Any) -> Description:
    return _matrix(packer, layer.weight, layer.bias)


def _norm(packer: Packer, layer: nn.Module) -> Description | None:
    """Describe a normalisation over the channels; None if there is none."""
    if isinstance(layer, nn.Identity):
        return None
    if isinstance(layer, LayerNorm | nn.LayerNorm):
        gain, shift = packer.vector(layer.get_parameter("weight")), packer.vector(layer.get_parameter("bias"))
        return {"kind": "layer", "gain": gain, "shift": shift, "eps": layer.eps}
    if isinstance(layer, RMSNorm):
        eps = torch.finfo(torch.float32).eps if layer.eps is None else layer.eps
        return {"kind": "rms", "gain": packer.vector(layer.weight), "shift": None, "eps": eps}
    raise UsageError(f"{a_kind(layer)} cannot be exported: it is not one of the model's own layers")


def _tree(model: Tree, packer: Packer) -> Description:
    """Describe a tree level by level: a fusion of `n`, a matrix, a normalisation and an activation."""
    layers = [layer for layer in model.layers if not isinstance(layer, Dropout)]
    embedding, head = layers[0], layers[-1]
    assert isinstance(embedding, Embedding)
    names = {kind: name for name, kind in ACTIVATIONS.items()}
    levels: list[Description] = []
    for number, layer in enumerate(layers[1:-1], start=1):
        if isinstance(layer, FlattenConsecutive):
            levels.append({"n": layer.n, "norm": None, "positions": None, "activation": None})
        elif isinstance(layer, Linear):
            following = layers[number + 1]
            if isinstance(following, BatchNorm1d):
                scale, shift = following.affine()
                bias = shift if layer.bias is None else shift + scale * layer.bias
                levels[-1]["linear"] = _matrix(packer, layer.weight * scale[:, None], bias)
            else:
                levels[-1]["linear"] = _linear(packer, layer)
        elif isinstance(layer, BatchNorm1dPerPosition):
            scale = layer.weight * (layer.running_var + layer.eps).rsqrt()  # (positions, C)
            shift = layer.bias - layer.running_mean * scale
            levels[-1]["positions"] = {"scale": packer.vector(scale), "shift": packer.vector(shift)}
        elif type(layer) in names:
            levels[-1]["activation"] = names[type(layer)]
        elif not isinstance(layer, BatchNorm1d):
            levels[-1]["norm"] = _norm(packer, layer)
    return {
        "kind": "tree",
        "embedding": packer.matrix(embedding.weight),
        "levels": levels,
        "head": _linear(packer, head),
    }


def _wavenet(model: WaveNet, packer: Packer) -> Description:
    blocks = []
    for block in model.blocks:
        assert isinstance(block, Block)
        blocks.append(
            {
                "norm": _norm(packer, block.norm),
                "dilation": block.conv.dilation,
                "taps": [packer.matrix(tap) for tap in block.conv.weight.unbind(2)],  # (2C, C) each, the oldest first
                "bias": packer.vector(block.conv.get_parameter("bias")),
                "skip": _linear(packer, block.skip),
                "residual": None if block.residual is None else _linear(packer, block.residual),
            }
        )
    _, hidden, _, output = model.head
    return {
        "kind": "wavenet",
        "embedding": packer.matrix(model.embedding.weight),
        "gate": model.config.gate,
        "blocks": blocks,
        "hidden": _linear(packer, hidden),
        "head": _linear(packer, output),
    }


def _recurrent(model: Recurrent, packer: Packer) -> Description:
    """Describe the layers of cells, whose gates are in torch's order."""
    cells = [
        {"input": _matrix(packer, from_input, input_bias), "state": _matrix(packer, from_state, state_bias)}
        for from_input, from_state, input_bias, state_bias in model.cells.all_weights
    ]
    return {
        "kind": "recurrent",
        "cell": type(model.cells).__name__.lower(),
        "embedding": packer.matrix(model.embedding.weight),
        "cells": cells,
        "head": _linear(packer, model.head),
    }


def _transformer(model: Transformer, packer: Packer) -> Description:
    blocks = []
    for block in model.blocks:
        assert isinstance(block, TransformerBlock)
        blocks.append(
            {
                "attention_norm": _norm(packer, block.attention_norm),
                "attention": _linear(packer, block.attention),
                "attention_out": _linear(packer, block.attention_out),
                "hidden_norm": _norm(packer, block.hidden_norm),
                "hidden": _linear(packer, block.hidden[0]),
                "out": _linear(packer, block.hidden[2]),
            }
        )
    return {
        "kind": "transformer",
        "heads": model.config.heads,
        "context": model.config.context,
        "embedding": packer.matrix(model.embedding.weight),
        "blocks": blocks,
        "norm": _norm(packer, model.norm),
        "head": _linear(packer, model.head),
    }


def _bag_of_words(model: BagOfWords, packer: Packer) -> Description:
    return {
        "kind": "bow",
        "context": model.config.context,
        "embedding": packer.matrix(model.embedding.weight),
        "hidden": _linear(packer, model.hidden[0]),
        "out": _linear(packer, model.hidden[2]),
        "head": _linear(packer, model.head),
    }


def _bigram(model: Bigram, packer: Packer) -> Description:
    return {"kind": "bigram", "table": packer.matrix(model.table.weight)}


def _ngram(model: Ngram, packer: Packer) -> Description:
    """Describe the contexts of each length by their oldest characters and how many each shorter context has."""
    size, levels, below = model.vocabulary_size, [], 1
    for level in model.levels:
        assert isinstance(level, Level)
        if not len(level.contexts):
            break
        contexts = level.contexts.cpu().numpy()
        levels.append(
            {
                "oldest": packer.integers(contexts % size),
                "contexts": packer.integers(np.bincount(contexts // size, minlength=below)),
                "followers": packer.integers(np.diff(level.starts.cpu().numpy())),
                "characters": packer.integers(level.characters.cpu().numpy()),
                "shares": packer.probabilities(level.shares.double().cpu().numpy()),
                "backoffs": packer.probabilities(level.backoffs.double().cpu().numpy()),
            }
        )
        below = len(contexts)
    across = bool(model.across_lines)
    return {"kind": "ngram", "history": model.config.receptive_field, "across_lines": across, "levels": levels}


DESCRIBED: dict[type[Model], Callable[..., Description]] = {
    Tree: _tree,
    WaveNet: _wavenet,
    Recurrent: _recurrent,
    Transformer: _transformer,
    BagOfWords: _bag_of_words,
    Bigram: _bigram,
    Ngram: _ngram,
}
