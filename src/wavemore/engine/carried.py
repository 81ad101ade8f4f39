"""Default settings of a training that begins with the weights of another one; `docs/defaults.md` has the evidence."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf
from typing import Any

from wavemore.engine.defaults import Defaults, length
from wavemore.nn.config import ModelConfig
from wavemore.text.corpus import Corpus

EPOCHS = 6.0
"""Passes over the data, at most: with more, the model forgets what was carried over and memorises the data."""
ADAMW_RATE = 0.003
"""Learning rate of the embedding, the output layer and the norms."""
RATE, BATCH_NORM_RATE = 0.0035, 0.0007
"""Learning rate of the hidden matrices, and of those before a BatchNorm."""
BATCH_NORM_FORGOTTEN = 2.5
"""How many times weight decay makes the matrices before a BatchNorm smaller by the factor e.

Their size changes no output, but steps turn a small matrix further. Other matrices have no decay: it would take back
what was carried over.
"""


def carried_settings(carried: ModelConfig, defaults: Defaults, corpus: Corpus, settings: Mapping[str, Any]) -> Defaults:
    """Return the settings of a training on `corpus` that begins with a model whose settings are `carried`.

    `defaults` are those of a training from random weights, and `settings` those that were requested.
    """
    epochs = EPOCHS if defaults.epochs is None else min(EPOCHS, defaults.epochs)
    found = Defaults(carried, defaults.recipe, epochs)
    has_batch_norm = str(getattr(carried, "norm", "none")).startswith("batch")
    rate = BATCH_NORM_RATE if has_batch_norm else RATE
    decay, (_, steps) = 0.0, length(found, corpus, settings)
    requested = settings.get("learning_rate", rate)
    if has_batch_norm and 0 < steps < inf and requested > 0:  # else it is an error later
        decay = float(f"{BATCH_NORM_FORGOTTEN / (requested * steps):.2g}")
    recipe = replace(defaults.recipe, learning_rate=rate, adamw_learning_rate=ADAMW_RATE, weight_decay=decay)
    return found._replace(recipe=recipe)
