"""The settings that fit a given list: nobody should have to know them to get a good model.

The rule and the evidence for it are in `docs/defaults.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from wavemore.engine.recipe import LECTURE, Recipe
from wavemore.errors import UsageError
from wavemore.nn.config import TreeConfig
from wavemore.text.corpus import Corpus

Preset = Literal["auto", "lecture"]


@dataclass(frozen=True)
class Plan:
    """What is built and how it is trained."""

    tree: TreeConfig
    recipe: Recipe


def plan(corpus: Corpus, preset: Preset = "auto", settings: Mapping[str, Any] | None = None) -> Plan:
    """Settings for `corpus`: those of the preset, with `settings` in their place where given.

    `settings` may hold any field of `TreeConfig` and of `Recipe`, `context` (instead of `fuse`) and `epochs`
    (instead of `steps`). Raises `UsageError` for settings that contradict each other.

    >>> corpus = Corpus.from_lines(["anna", "bob", "carla", "dan", "emma", "frida", "gus", "hal", "ida", "jim"])
    >>> plan(corpus, settings={"context": 4, "hidden": 32}).tree.fuse
    (2, 2)
    """
    asked = dict(settings or {})
    known = {"context", "epochs", *_names(TreeConfig), *_names(Recipe)}
    if unknown := sorted(set(asked) - known):
        raise UsageError(f"there is no setting {unknown[0]!r}: choose of {', '.join(sorted(known))}")
    if "epochs" in asked and "steps" in asked:
        raise UsageError("--epochs and --steps say the same thing twice; give one of them")
    fuse = _fuse(asked.pop("context", None), asked.get("fuse"))
    if fuse is not None:
        asked["fuse"] = fuse
    targets = corpus.train.targets
    chosen, epochs = (Plan(TreeConfig(), LECTURE), None) if preset == "lecture" else _rule(corpus, asked.get("fuse"))
    epochs = asked.pop("epochs", epochs)
    tree = replace(chosen.tree, **_of(TreeConfig, asked))
    recipe = replace(chosen.recipe, **_of(Recipe, asked))
    if epochs is not None and "steps" not in asked:
        if not 0 < epochs * targets < float("inf"):
            raise UsageError(f"epochs is {epochs}; it must be above 0 and finite")
        recipe = replace(recipe, steps=max(1, ceil(epochs * targets / recipe.batch_size)))
    return Plan(tree, recipe)


def _fuse(context: int | None, fuse: tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Fusion sizes from what was asked for: pairs, for a context alone."""
    if context is None:
        return fuse
    if fuse is not None and prod(fuse) != context:
        sizes = " x ".join(map(str, fuse))
        raise UsageError(
            f"--fuse {' '.join(map(str, fuse))} sees {sizes} = {prod(fuse)} characters, not --context {context}"
        )
    if fuse is not None:
        return fuse
    if context == 1:
        return (1,)
    if context < 1 or context & (context - 1):
        raise UsageError(
            f"--context {context} is no power of 2; say with --fuse how it is to be fused, e.g. --fuse {context}"
        )
    return (2,) * (context.bit_length() - 1)


def _rule(corpus: Corpus, fuse: tuple[int, ...] | None) -> tuple[Plan, float]:
    """Settings for lists of a hundred to a million lines, and epochs; the evidence is in docs/defaults.md."""
    targets = corpus.train.targets
    usual_length = float(np.quantile(corpus.train.lines.lengths, 0.9))
    tree = TreeConfig(
        fuse=fuse or ((2, 2, 2) if usual_length <= 20 else (2, 2, 2, 2)),
        embedding=24,
        hidden=32 if targets < 1_000 else 64 if targets < 10_000 else 128 if targets < 1_000_000 else 256,
        activation="silu",
    )
    batch_size = _power_of_two(targets / 80, least=32 if targets >= 400 else 8, most=2_048)
    learning_rate = 0.04
    # Weight decay as the memory of the weights: lr * decay * steps of an epoch is how often an epoch they forget all
    # that they have learned. Twice for small lists, which would be learned by heart otherwise.
    forgotten = 2.0 if targets < 50_000 else 0.75
    recipe = Recipe(
        batch_size=batch_size,
        learning_rate=learning_rate,
        rest_learning_rate=0.01,
        weight_decay=float(f"{forgotten * batch_size / (learning_rate * targets):.2g}"),
        warmup=0.05,
        evaluations=10,
    )
    epochs = min(10.0, max(2.0, 7 * (170_000 / targets) ** 0.5))
    return Plan(tree, recipe), epochs


def _power_of_two(size: float, least: int, most: int) -> int:
    return int(min(most, max(least, 2 ** round(np.log2(size)))))


def _of(kind: type, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name in _names(kind)}


def _names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}
