"""All models by name: the one table that a new model is added to."""

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import Any, Literal, NamedTuple, overload

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from wavemore.errors import UsageError, whole
from wavemore.nn.bag_of_words import BagOfWords, BowConfig
from wavemore.nn.bigram import Bigram, BigramConfig
from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Model
from wavemore.nn.ngram import Ngram, NgramConfig
from wavemore.nn.recurrent import Recurrent, RecurrentConfig
from wavemore.nn.transformer import Transformer, TransformerConfig
from wavemore.nn.tree import MlpConfig, Tree, TreeConfig
from wavemore.nn.wavenet import WaveNet, WaveNetConfig


class ModelEntry(NamedTuple):
    """A model's settings, and how it is built from a vocabulary size and these."""

    config: type[ModelConfig]
    builder: Callable[..., Model]
    takes_labels: bool = False
    """Whether the builder takes `num_labels` too: the model reads whole lines, which may begin with their label."""


MODELS: dict[str, ModelEntry] = {
    "tree": ModelEntry(TreeConfig, Tree),
    "wavenet": ModelEntry(WaveNetConfig, WaveNet, takes_labels=True),
    "mlp": ModelEntry(MlpConfig, lambda vocabulary_size, config: Tree(vocabulary_size, config.tree)),
    "bigram": ModelEntry(BigramConfig, Bigram),
    "rnn": ModelEntry(RecurrentConfig, partial(Recurrent, kind=nn.RNN), takes_labels=True),
    "gru": ModelEntry(RecurrentConfig, partial(Recurrent, kind=nn.GRU), takes_labels=True),
    "lstm": ModelEntry(RecurrentConfig, partial(Recurrent, kind=nn.LSTM), takes_labels=True),
    "bow": ModelEntry(BowConfig, BagOfWords),
    "transformer": ModelEntry(TransformerConfig, Transformer, takes_labels=True),
    "ngram": ModelEntry(NgramConfig, Ngram),
}


LABELLED = tuple(name for name, entry in MODELS.items() if entry.takes_labels)
"""The models for which each line may have a label."""


def require_labels(name: str) -> None:
    """Raise a UsageError for a model without labels.

    >>> require_labels("tree")
    Traceback (most recent call last):
    wavemore.errors.UsageError: a tree takes no labels; set `model` to wavenet, rnn, gru, lstm or transformer
    """
    if name not in LABELLED:
        models = f"{', '.join(LABELLED[:-1])} or {LABELLED[-1]}"
        raise UsageError(f"a {name} takes no labels; set `model` to {models}")


def model_entry(name: str) -> ModelEntry:
    """Return the entry of a model. Raises a UsageError for a name that is not in MODELS."""
    if str(name) not in MODELS:
        raise UsageError(f"`model` is {name!r:.60}; it must be one of {', '.join(MODELS)}")
    return MODELS[name]


def model_name(model: Model) -> str:
    """Return the name under which a model can be built again; an mlp is a tree with one fusion.

    >>> model_name(build("gru", 27, RecurrentConfig()))
    'gru'
    """
    if isinstance(model, Recurrent):
        return type(model.cells).__name__.lower()
    names = [name for name, entry in MODELS.items() if type(model.config) is entry.config]
    if not names:
        raise UsageError(f"{type(model).__name__} is not one of wavemore's models, {', '.join(MODELS)}")
    return names[0]


@overload
def build(
    name: Literal["tree"], vocabulary_size: int, config: TreeConfig | None = ..., seed: int = ..., **settings: Any
) -> Tree: ...
@overload
def build(
    name: Literal["lstm", "gru", "rnn"],
    vocabulary_size: int,
    config: RecurrentConfig | None = ...,
    seed: int = ...,
    num_labels: int = ...,
    **settings: Any,
) -> Recurrent: ...
@overload
def build(
    name: str,
    vocabulary_size: int,
    config: ModelConfig | None = ...,
    seed: int = ...,
    num_labels: int = ...,
    **settings: Any,
) -> Model: ...
def build(
    name: str,
    vocabulary_size: int,
    config: ModelConfig | None = None,
    seed: int = 0,
    num_labels: int = 0,
    **settings: Any,
) -> Model:
    """Build a model with fresh weights: the same seed gives the same weights, and no random state changes.

    Its settings are those of `config` (by default the model's own), changed by the `settings`. With `num_labels`, as
    many as the vocabulary of the data has, each line begins with the token of its label. Raises a UsageError for a name
    that is not in MODELS, the settings of another model, or labels for a model without them.

    >>> build("tree", 27, TreeConfig(fuse=(2, 2, 2)), seed=42).context
    8
    >>> build("wavenet", 27, channels=16, dilations=(1, 2)).context
    4
    """
    seed, (config_class, builder, _) = whole(seed, "seed"), model_entry(name)
    config = config_class() if config is None else config
    if not isinstance(config, config_class):
        raise UsageError(f"model {name!r} takes a {config_class.__name__}, not a {type(config).__name__}")
    if unknown := sorted(settings.keys() - {field.name for field in fields(config)}):
        known = ", ".join(field.name for field in fields(config)) or "none"
        raise UsageError(f"there is no setting `{unknown[0]}` of a {name}; choose from {known}")
    config = replace(config, **settings)
    if num_labels:
        require_labels(name)
        builder = partial(builder, num_labels=num_labels)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed the GPUs too, for good
        return builder(vocabulary_size, config)


class _WithoutValues(TorchFunctionMode):
    """Skips initial values, which no tensor on the meta device has: torch would import its compiler (one second)."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        arguments = kwargs or {}
        if func.__name__.strip("_") in ("normal", "uniform", "div", "truediv", "mul", "rmul"):
            return args[0] if args else arguments["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **arguments)


def build_without_memory(name: str, vocabulary_size: int, config: ModelConfig, num_labels: int = 0) -> Model:
    """Build a model on the meta device, where tensors have shapes and no values."""
    with torch.device("meta"), _WithoutValues():
        return build(name, vocabulary_size, config, seed=0, num_labels=num_labels)


def parameter_count(name: str, vocabulary_size: int, config: ModelConfig) -> int:
    """Count the parameters of a model without allocating them; for an n-gram model, which grows with its data, 0.

    >>> parameter_count("tree", 27, TreeConfig())
    76579
    """
    return build_without_memory(name, vocabulary_size, config).parameter_count()
