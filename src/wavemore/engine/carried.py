"""Default settings of a training that begins with the weights of another one; `docs/defaults.md` has the evidence."""

from dataclasses import replace

from wavemore.engine.defaults import Defaults
from wavemore.nn.config import ModelConfig
from wavemore.text.corpus import Corpus

EPOCHS = 4.0


def carried_settings(carried: ModelConfig, defaults: Defaults, corpus: Corpus) -> Defaults:
    """Return the settings of a training that begins with a model whose settings are `carried`."""
    recipe = replace(defaults.recipe, learning_rate=0.001, adamw_learning_rate=0.003, weight_decay=0.0)
    return Defaults(carried, recipe, EPOCHS)
