"""The models by name."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, overload

import torch
from torch import nn

from wavemore.errors import UsageError
from wavemore.nn.baselines import BagOfWords, Bigram, Recurrent, Transformer
from wavemore.nn.config import CONFIGS, MlpConfig, ModelConfig, TreeConfig
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram
from wavemore.nn.tree import Tree
from wavemore.nn.wavenet import WaveNet


def mlp(vocabulary_size: int, config: MlpConfig) -> Tree:
    """Build a tree with one fusion."""
    return Tree(vocabulary_size, config.tree)


BUILDERS: dict[str, Callable[[int, Any], Model]] = {
    "tree": Tree,
    "wavenet": WaveNet,
    "mlp": mlp,
    "bigram": Bigram,
    "rnn": partial(Recurrent, kind=nn.RNN),
    "gru": partial(Recurrent, kind=nn.GRU),
    "lstm": partial(Recurrent, kind=nn.LSTM),
    "bow": BagOfWords,
    "transformer": Transformer,
    "ngram": Ngram,
}

MODELS: dict[str, tuple[type[ModelConfig], Callable[[int, Any], Model]]] = {
    name: (CONFIGS[name], builder) for name, builder in BUILDERS.items()
}
"""Settings and builder of each model."""


@overload
def build(name: Literal["tree"], vocabulary_size: int, config: TreeConfig, seed: int) -> Tree: ...
@overload
def build(name: str, vocabulary_size: int, config: ModelConfig, seed: int) -> Model: ...
def build(name: str, vocabulary_size: int, config: ModelConfig, seed: int) -> Model:
    """Build a model with fresh weights: the same seed gives the same weights, and disturbs nothing else.

    Raises a UsageError for a name that is not in MODELS, or settings of another model.

    >>> config = TreeConfig(fuse=(2, 2, 2))
    >>> one, other = (build("tree", 27, config, seed=42) for _ in range(2))
    >>> all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters()))
    True
    """
    if name not in MODELS:
        raise UsageError(f"there is no model {name!r}: choose one of {', '.join(MODELS)}")
    config_class, builder = MODELS[name]
    if not isinstance(config, config_class):
        raise UsageError(f"model {name!r} takes a {config_class.__name__}, not a {type(config).__name__}")
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too, for good
        return builder(vocabulary_size, config)
