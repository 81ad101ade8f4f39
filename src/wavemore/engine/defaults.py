"""Default settings, chosen from the size of the data; `docs/defaults.md` has the rules and the evidence."""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import inf, log2, sqrt
from typing import Any, NamedTuple

import numpy as np

from wavemore.engine.recipe import MAX_BATCH, BatchSampling, Recipe
from wavemore.nn.bag_of_words import BowConfig
from wavemore.nn.config import ModelConfig
from wavemore.nn.models import MODELS, parameter_count
from wavemore.nn.ngram import NgramConfig
from wavemore.nn.recurrent import RecurrentConfig
from wavemore.nn.transformer import TransformerConfig
from wavemore.nn.tree import MlpConfig, TreeConfig
from wavemore.nn.wavenet import WaveNetConfig
from wavemore.text.corpus import Corpus

LONG_LINE = 20
"""Characters; a tree of eight characters handles a list well if few lines are longer."""
LARGE = 1_000_000
"""Characters of a large list."""
SHORT_LIST = 5_000
"""Train lines below which an lstm is better than a tree."""
MOST_WORK = 4e12
"""Parameters times predicted characters: about a minute or two of training."""
TEMPERATURES = ((100, 0.5), (300, 0.6), (1_000, 0.7), (SHORT_LIST, 0.8))
"""For lists of fewer train lines, the temperature of samples."""
LONG_TRAINING = 1_000
"""Steps of a recurrent model above which its learning rate is lower."""
LEAST_FORGOTTEN, FORGOTTEN_PER_EPOCH = 6.0, 1.4
"""How many times a recurrent model forgets what it learned, in all or per epoch, whichever is more."""
MANY_EPOCHS = 8
"""Passes over a list from which a lower learning rate of AdamW is better."""
RECURRENT = ("lstm", "gru", "rnn")


class Defaults(NamedTuple):
    """The settings of a model and of its training."""

    model_config: ModelConfig
    recipe: Recipe
    epochs: float | None
    """The length of the training, instead of the recipe's `steps`."""


def default_model(corpus: Corpus, settings: Mapping[str, Any]) -> str:
    """Choose the model that has most of the requested settings; preferably a tree for short lines, else an lstm."""
    models: tuple[str, ...] = ("lstm", "wavenet", "tree")
    if corpus.vocabulary.labels:  # which a tree does not take
        models = ("lstm", "wavenet", "transformer")
    elif corpus.format == "lines":
        models = ("lstm", "tree") if has_long_lines(corpus) or _lines(corpus) < SHORT_LIST else ("tree",)
    return max(models, key=lambda model: len(settings_of(model) & set(settings)))


def _lines(corpus: Corpus) -> int:
    """Return the number of train lines of a list."""
    return len(corpus.train.as_lines(corpus.vocabulary).lines)


def has_long_lines(corpus: Corpus) -> bool:
    """Whether a tenth of the lines are longer than what a tree of eight characters handles well."""
    lengths = corpus.train.as_lines(corpus.vocabulary).lines.lengths
    return bool(np.quantile(lengths, 0.9) > LONG_LINE)


def suggested_temperature(corpus: Corpus) -> float:
    """Return the temperature at which most samples look like items of the data: below 1 for short lists.

    >>> from wavemore.text.line_corpus import LineCorpus
    >>> suggested_temperature(LineCorpus.from_lines("ale bock gose kolsch lager mild pils porter stout wit".split()))
    0.5
    """
    if corpus.format == "text":
        return 1.0
    return next((temperature for most, temperature in TEMPERATURES if _lines(corpus) < most), 1.0)


def settings_of(model: str) -> set[str]:
    """Return the names of a model's own settings; `context` sets the `fuse` of a tree."""
    names = {field.name for field in fields(MODELS[model].config)}
    return names | {"context"} if model == "tree" else names


def default_settings(model: str, corpus: Corpus, settings: Mapping[str, Any]) -> Defaults:
    """Return the settings that suit `corpus`; some depend on others that were requested."""
    if model == "ngram":
        batch_size = min(MAX_BATCH, max(2, corpus.train.num_targets))  # no more in a recipe, but all are counted
        recipe = Recipe(steps=1, batch_size=batch_size, ema_decay=0.0, warmup_fraction=0.0, num_evals=1)
        return Defaults(NgramConfig(order=7) if corpus.format == "text" else NgramConfig(), recipe, None)
    if corpus.format == "text":
        defaults = _for_text(model, corpus.train.num_targets, settings)
    else:
        defaults = _for_list(model, corpus)
    defaults = _limited(defaults, model, corpus)
    if model not in RECURRENT:
        return defaults
    return defaults._replace(recipe=_recurrent_rates(defaults, corpus, settings))


def _limited(defaults: Defaults, model: str, corpus: Corpus) -> Defaults:
    """Return the defaults with as few epochs as `MOST_WORK` allows."""
    work = parameter_count(model, len(corpus.vocabulary), defaults.model_config) * corpus.train.num_targets
    if defaults.epochs is None or defaults.epochs * work <= MOST_WORK:
        return defaults
    return defaults._replace(epochs=MOST_WORK / work)


def _recurrent_rates(defaults: Defaults, corpus: Corpus, settings: Mapping[str, Any]) -> Recipe:
    """Return the recipe with the learning rates and the weight decay that suit the length of the training.

    learning_rate * weight_decay * steps is how many times the weights forget what they learned.
    """
    targets = corpus.train.num_targets
    batch_size, steps = length(defaults, corpus, settings)
    if not 0 < steps < inf:  # it is an error later
        return defaults.recipe
    epochs = steps * batch_size / targets
    learning_rate = float(f"{0.08 * min(1.0, sqrt(LONG_TRAINING / steps)):.2g}")
    requested = settings.get("learning_rate", learning_rate)
    forgotten = max(LEAST_FORGOTTEN, FORGOTTEN_PER_EPOCH * epochs)
    return replace(
        defaults.recipe,
        learning_rate=learning_rate,
        adamw_learning_rate=0.01 if corpus.format == "lines" and epochs >= MANY_EPOCHS else 0.02,
        weight_decay=float(f"{forgotten / (requested * steps):.2g}") if requested > 0 else 0.1,
    )


def length(defaults: Defaults, corpus: Corpus, settings: Mapping[str, Any]) -> tuple[float, float]:
    """Return the characters per step, and the number of steps, with what was requested."""
    batch_size = settings.get("batch_size", defaults.recipe.batch_size)
    epochs = settings.get("epochs", defaults.epochs)
    return batch_size, settings.get("steps", epochs * corpus.train.num_targets / batch_size if batch_size > 0 else 0)


def _for_list(model: str, corpus: Corpus) -> Defaults:
    targets = corpus.train.num_targets
    most = 4_096 if model in RECURRENT and targets >= LARGE else 2_048
    batch_size = _power_of_two(targets / 80, least=32 if targets >= 400 else 8, most=most)
    learning_rate = 0.04
    # learning_rate * weight_decay * steps per epoch is how many times per epoch the weights forget what they learned:
    # twice for small lists, which would be memorised otherwise.
    forgotten = 2.0 if targets < 50_000 else 0.75
    recipe = Recipe(
        batch_size=batch_size,
        learning_rate=learning_rate,
        adamw_learning_rate=0.01,
        weight_decay=float(f"{forgotten * batch_size / (learning_rate * targets):.2g}"),
        warmup_fraction=0.05,
        precision="bfloat16" if model in RECURRENT else "float32",
    )
    return Defaults(_list_config(model, corpus), recipe, epochs=min(10.0, max(2.0, 7 * (170_000 / targets) ** 0.5)))


def _list_config(model: str, corpus: Corpus) -> ModelConfig:
    targets = corpus.train.num_targets
    if model in RECURRENT:
        return RecurrentConfig(hidden=64 if targets < 20_000 else 128 if targets < LARGE else 384)
    if model not in ("tree", "mlp"):
        return MODELS[model].config()
    hidden = 32 if targets < 1_000 else 64 if targets < 10_000 else 128 if targets < LARGE else 256
    fusions = 4 if has_long_lines(corpus) else 3
    if model == "mlp":
        return MlpConfig(2**fusions, embedding=24, hidden=hidden, activation="silu")
    return TreeConfig((2,) * fusions, embedding=24, hidden=hidden, activation="silu")


def _for_text(model: str, targets: int, settings: Mapping[str, Any]) -> Defaults:
    sampling: BatchSampling = "streams" if model in RECURRENT else "shuffle"
    # A recurrent model takes one character of all blocks at a time, so many short ones are faster than few long ones.
    longest = 32 if settings.get("sampling", sampling) == "streams" else 128 if model in RECURRENT else 256
    block_size = max(1, settings.get("block_size", _power_of_two(targets / 64, least=16, most=longest)))
    blocks = max(1, _power_of_two(targets / 80, least=64, most=4_096) // block_size)
    recipe = Recipe(
        batch_size=blocks * block_size,
        learning_rate=0.08,
        adamw_learning_rate=0.02,
        warmup_fraction=0.05,
        block_size=block_size,
        sampling=sampling,
        precision="bfloat16",
    )
    epochs = min(10.0, max(0.5, 3.5 * (1_000_000 / targets) ** 0.5))
    return Defaults(_text_config(model, targets, settings), recipe, epochs)


def _text_config(model: str, targets: int, settings: Mapping[str, Any]) -> ModelConfig:
    """Wider models that see further than those of lists: a text has more to learn and no ends to stop at."""
    width = 64 if targets < 100_000 else 128
    channels = min(96, width)
    # Two cycles of dilations see at most an eighth of the text; requested dilations are not repeated.
    dilations = tuple(2**n for n in range(int(min(6, max(2, log2(max(1, targets / 16)))))))
    cycles = 1 if "dilations" in settings else 2
    configs: dict[str, ModelConfig] = {
        "tree": TreeConfig((2, 2, 2, 2), embedding=24, hidden=2 * width, norm="layer", activation="silu"),
        "mlp": MlpConfig(16, embedding=24, hidden=2 * width, norm="layer", activation="silu"),
        "wavenet": WaveNetConfig(channels=channels, skip_channels=channels, dilations=dilations, cycles=cycles),
        "rnn": RecurrentConfig(embedding=64, hidden=2 * width),
        "gru": RecurrentConfig(embedding=64, hidden=2 * width),
        "lstm": RecurrentConfig(embedding=64, hidden=3 * width),
        "bow": BowConfig(context=16),
        "transformer": TransformerConfig(channels=width, context=64),
    }
    return configs.get(model) or MODELS[model].config()


def _power_of_two(size: float, least: int, most: int) -> int:
    return int(min(most, max(least, 2 ** round(log2(size)))))
