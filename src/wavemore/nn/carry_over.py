"""A trained model with the vocabulary of other data: it begins with the weights of what it knows.

What depends on the vocabulary are rows of the embedding and of the output layer, and for a bigram table its columns
too. Those of known characters are copied, and so is everything else. Shapes: V vocabulary.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from wavemore.errors import UsageError
from wavemore.nn.config import ModelConfig
from wavemore.nn.model import Model
from wavemore.nn.models import build, build_without_memory

NOISE = 0.5
"""Standard deviation of what new characters add to the mean of the known ones, in units of that of the known ones."""


def carry_over(name: str, config: ModelConfig, source: Model, known: str, characters: str, seed: int = 0) -> Model:
    """Build a model for `characters` with the weights of `source`, whose vocabulary is `known`.

    Both are the characters of a `Vocabulary`; `name` and `config` are those that both models are built from. The logits
    of the characters that both have are those of `source`. A new character begins as the mean of the known ones, with
    the lowest bias among them, and with random differences by `seed`, so that two new ones do not stay the same.

    Raises `UsageError` for an n-gram model, and if no character is in both vocabularies.

    >>> from wavemore.nn.models import MODELS
    >>> config = MODELS["lstm"].config()
    >>> source = build("lstm", 3, config, seed=0)
    >>> model = carry_over("lstm", config, source, "ab", "abc")
    >>> line = torch.tensor([[0, 1, 2]])
    >>> bool(torch.allclose(model(line)[..., :3], source(line))), model.vocabulary_size
    (True, 4)
    """
    require_trained(config)
    if not set(known) & set(characters):
        raise UsageError("no character of the data is known to the model: there is nothing to carry over")
    model = build(name, len(characters) + 1, config, seed)
    old_ids = {character: number for number, character in enumerate(known, 1)}
    pairs = [(0, 0), *((new, old_ids[c]) for new, c in enumerate(characters, 1) if c in old_ids)]
    new, old = torch.tensor(pairs).T
    state = model.state_dict()
    with torch.no_grad():
        for key, value in source.state_dict().items():
            for dimension in vocabulary_dimensions(name, config)[key]:
                value = _extended(value, dimension, len(characters) + 1, new, old, seed)
            state[key].copy_(value)
    model.characters = characters
    return model


def require_trained(config: ModelConfig) -> None:
    """Raise `UsageError` for an n-gram model."""
    if config.counted:
        raise UsageError("an ngram is counted and has no weights to carry over: name a run of another model")


def vocabulary_dimensions(name: str, config: ModelConfig) -> dict[str, Sequence[int]]:
    """Return the dimensions of each tensor of a model that are as long as the vocabulary.

    >>> from wavemore.nn.models import MODELS
    >>> {key: value for key, value in vocabulary_dimensions("lstm", MODELS["lstm"].config()).items() if value}
    {'embedding.weight': [0], 'head.weight': [0], 'head.bias': [0]}
    """
    small, large = (build_without_memory(name, size, config).state_dict() for size in (2, 3))
    return {
        key: [n for n, (a, b) in enumerate(zip(value.shape, large[key].shape, strict=True)) if a != b]
        for key, value in small.items()
    }


def _extended(value: Tensor, dimension: int, size: int, new: Tensor, old: Tensor, seed: int) -> Tensor:
    """Return a tensor of `size` rows along a dimension: its `old` rows as the `new` ones, and made ones as the rest."""
    rows = value.movedim(dimension, 0)
    known = rows[old]
    if rows.ndim == 1:  # biases of the output
        extended = known.min().repeat(size)
    else:
        noise = torch.randn(size, *rows.shape[1:], generator=torch.Generator().manual_seed(seed))
        extended = known.mean(0) + NOISE * known.std(0, correction=0) * noise.to(rows)
    extended[new] = known
    return extended.movedim(0, dimension)
