"""The command that trains a trial again: `wavemore train` with all of its settings."""

from collections.abc import Mapping, Sequence
from typing import Any

from wavemore.engine.training_plan import Plan


def train_command(words: Sequence[str], planned: Plan, settings: Mapping[str, Any], seed: int) -> tuple[str, ...]:
    """Return the command that gives the same weights; `words` read the data.

    >>> from wavemore.engine.recipe import Recipe
    >>> from wavemore.nn.tree import TreeConfig
    >>> settings = {"fuse": (2, 2), "learning_rate": 0.04, "steps": 10}
    >>> " ".join(train_command(["list.txt"], Plan("tree", TreeConfig(), Recipe()), settings, seed=1))
    'wavemore train list.txt --model tree --fuse 2 2 --learning-rate 0.04 --steps 10 --seed 1 --threads 1'
    """
    flags: list[str] = []
    for name, value in settings.items():
        values = value if isinstance(value, list | tuple) else (value,)
        flags += [f"--{name.replace('_', '-')}", *map(str, values)]
    seeds = ["--seed", str(seed)]
    return ("wavemore", "train", *words, "--model", planned.model, *flags, *seeds, "--threads", "1")
