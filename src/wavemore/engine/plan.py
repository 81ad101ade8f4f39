"""The settings that fit a given list: nobody should have to know them to get a good model.

The rule and the evidence for it are in `docs/defaults.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from math import ceil, prod
from typing import Any, Literal

import numpy as np

from wavemore.engine.blocks import StretchPositions
from wavemore.engine.distillation import NGRAM
from wavemore.engine.recipe import LECTURE, Recipe
from wavemore.errors import UsageError
from wavemore.nn.config import (
    CONFIGS,
    BowConfig,
    MlpConfig,
    ModelConfig,
    NgramConfig,
    RecurrentConfig,
    TransformerConfig,
    TreeConfig,
    WaveNetConfig,
)
from wavemore.text.continuous import TextStream
from wavemore.text.corpus import Corpus

Preset = Literal["auto", "lecture"]


@dataclass(frozen=True)
class Plan:
    """What is built and how it is trained."""

    model: str
    settings: ModelConfig
    recipe: Recipe

    @property
    def tree(self) -> TreeConfig:
        """The settings of a tree.

        Raises `UsageError` where the model is another one.
        """
        if not isinstance(self.settings, TreeConfig):
            raise UsageError(f"the plan is for a {self.model}, whose settings are plan.settings")
        return self.settings


def plan(corpus: Corpus | TextStream, preset: Preset = "auto", settings: Mapping[str, Any] | None = None) -> Plan:
    """Settings for `corpus`: those of the preset, with `settings` in their place where given.

    `settings` may hold `model` (a name of `CONFIGS`; without it what `usual_model` says), any field of that model's
    settings and of `Recipe`, `context` (for a tree instead of `fuse`) and `epochs` (instead of `steps`). Raises
    `UsageError` for settings that contradict each other, or that the model does not have.

    >>> corpus = Corpus.from_lines(["anna", "bob", "carla", "dan", "emma", "frida", "gus", "hal", "ida", "jim"])
    >>> plan(corpus, settings={"context": 4, "hidden": 32}).tree.fuse
    (2, 2)
    >>> plan(corpus, settings={"model": "wavenet", "dilations": (1, 2)}).settings.receptive_field
    4
    """
    asked = dict(settings or {})
    model = asked.pop("model", None) or usual_model(corpus, asked)
    if model not in CONFIGS:
        raise UsageError(f"there is no model {model!r}: choose one of {', '.join(CONFIGS)}")
    kind = CONFIGS[model]
    own = _names(kind) | ({"context"} if kind is TreeConfig else set())
    _require_known(model, asked, own)
    if "epochs" in asked and "steps" in asked:
        raise UsageError("--epochs and --steps say the same thing twice; give one of them")
    if model == "ngram":
        _require_counting(asked)
    if kind is TreeConfig:
        fuse = _fuse(asked.pop("context", None), asked.get("fuse"))
        if fuse is not None:
            asked["fuse"] = fuse
    targets = corpus.train.targets
    epochs: float | None
    if isinstance(corpus, TextStream):
        if preset == "lecture":
            raise UsageError("the lecture's recipe is for lists, and this is continuous text: leave --recipe out")
        chosen, epochs = rule_of_streams(model, corpus, asked)
    else:
        for name in ("stretch", "lead_in"):
            if name in asked:
                raise UsageError(f"--{name.replace('_', '-')} is for continuous text, and this is a list (see --text)")
        rule = RULES.get(model, rule_of_lines)
        chosen, epochs = _lecture(model) if preset == "lecture" else rule(model, corpus, asked)
    epochs = asked.pop("epochs", epochs)
    config: ModelConfig = replace(chosen.settings, **_of(kind, asked))  # type: ignore[type-var]
    recipe = replace(chosen.recipe, **_of(Recipe, asked))
    if isinstance(corpus, TextStream):
        recipe = _in_stretches(recipe, config, corpus, asked)
    elif kind not in (TreeConfig, MlpConfig):
        if recipe.execution != "lines" and "execution" in asked:
            raise UsageError(f"--execution {recipe.execution} is for a tree: a {model} is run on whole lines")
        recipe = replace(recipe, execution="lines")
    elif recipe.execution not in ("unique", "windows"):
        other = "other models" if recipe.execution == "lines" else "continuous text"
        raise UsageError(f"--execution {recipe.execution} is for {other}: a {model} takes unique or windows")
    if epochs is not None and "steps" not in asked:
        if not 0 < epochs * targets < float("inf"):
            raise UsageError(f"epochs is {epochs}; it must be above 0 and finite")
        recipe = replace(recipe, steps=max(1, ceil(epochs * targets / recipe.batch_size)))
    return Plan(model, config, recipe)


def usual_model(corpus: Corpus | TextStream, asked: Mapping[str, Any]) -> str:
    """The model that nobody has named: a tree for a list and an LSTM for a text, unless the settings are of another."""
    if not isinstance(corpus, TextStream):
        return "tree"
    others = set(asked) - _names(RecurrentConfig)
    of_wavenet, of_tree = _names(WaveNetConfig), {*_names(TreeConfig), "context"}
    if not others & (of_wavenet | of_tree):
        return "lstm"
    return "wavenet" if others & (of_wavenet - of_tree) or not others & (of_tree - of_wavenet) else "tree"


def _require_known(model: str, asked: Mapping[str, Any], own: set[str]) -> None:
    """Raise `UsageError` for a setting that there is not, or that this model does not have."""
    everywhere = {"epochs", *_names(Recipe)}
    unknown = sorted(set(asked) - own - everywhere)
    if not unknown:
        return
    owners = [name for name, kind in CONFIGS.items() if unknown[0] in _names(kind)]
    if not owners:
        known = own | everywhere
        raise UsageError(f"there is no setting {unknown[0]!r}: choose of {', '.join(sorted(known))}")
    flags = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(own)) or "none"
    raise UsageError(
        f"--{unknown[0].replace('_', '-')} is for {', '.join(owners)}: the settings of model {model} are {flags}"
    )


def _require_counting(asked: Mapping[str, Any]) -> None:
    """Raise `UsageError` for a setting of a training, of which an ngram has none."""
    trained = sorted(set(asked) & {"epochs", *_names(Recipe)} - {"seed"})
    if "teacher_share" in trained:
        raise UsageError(NGRAM)
    if trained:
        flag = trained[0].replace("_", "-")
        raise UsageError(f"--{flag} is for models that are trained: an ngram is counted in one pass")


def _lecture(model: str) -> tuple[Plan, None]:
    """The lecture's recipe, for any model that is trained step by step."""
    if model == "ngram":
        raise UsageError("the lecture's recipe trains step by step, and an ngram counts: leave --recipe out")
    return Plan(model, CONFIGS[model](), LECTURE), None


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


def rule_of_trees(model: str, corpus: Corpus, asked: Mapping[str, Any]) -> tuple[Plan, float]:
    """Settings for lists of a hundred to a million lines, and epochs; the evidence is in docs/defaults.md."""
    targets = corpus.train.targets
    usual_length = float(np.quantile(corpus.train.lines.lengths, 0.9))
    tree = TreeConfig(
        fuse=asked.get("fuse") or ((2, 2, 2) if usual_length <= 20 else (2, 2, 2, 2)),
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
    if model == "mlp":
        return Plan(model, MlpConfig(tree.context, 24, tree.hidden, activation="silu"), recipe), epochs
    return Plan(model, tree, recipe), epochs


def rule_of_lines(model: str, corpus: Corpus, asked: Mapping[str, Any]) -> tuple[Plan, float]:
    """The same for the models that are run on whole lines: trained as a tree is, with sizes near those of makemore."""
    trained, epochs = rule_of_trees("tree", corpus, {})
    return Plan(model, CONFIGS[model](), replace(trained.recipe, execution="lines")), epochs


def rule_of_counts(model: str, corpus: Corpus, asked: Mapping[str, Any]) -> tuple[Plan, None]:
    """One pass over all targets."""
    recipe = Recipe(steps=1, batch_size=max(2, corpus.train.targets), average=0.0, warmup=0.0, evaluations=1)
    return Plan(model, CONFIGS[model](), replace(recipe, execution="lines")), None


RULES: dict[str, Callable[[str, Corpus, Mapping[str, Any]], tuple[Plan, float | None]]] = {
    "tree": rule_of_trees,
    "mlp": rule_of_trees,
    "ngram": rule_of_counts,
}
"""By the model's name; all others are of `rule_of_lines`."""


def rule_of_streams(model: str, stream: TextStream, asked: Mapping[str, Any]) -> tuple[Plan, float | None]:
    """The same for continuous text."""
    targets = stream.train.targets
    if model == "ngram":
        stretch = min(256, targets)
        recipe = Recipe(steps=1, batch_size=targets - targets % stretch, average=0.0, warmup=0.0, evaluations=1)
        recipe = replace(recipe, execution="stretches", stretch=stretch)
        return Plan(model, _settings_of_streams(model, targets, asked), recipe), None
    stretch = asked.get("stretch", _power_of_two(targets / 64, least=16, most=256))
    batch_size = max(1, _power_of_two(targets / 80, least=64, most=4_096) // max(1, stretch)) * max(1, stretch)
    recipe = Recipe(
        batch_size=max(2, batch_size),
        learning_rate=0.08,
        rest_learning_rate=0.02,
        weight_decay=0.1,
        warmup=0.05,
        execution="stretches",
        stretch=stretch,
        precision="bfloat16",
    )
    epochs = min(10.0, max(0.5, 3.5 * (1_000_000 / targets) ** 0.5))
    return Plan(model, _settings_of_streams(model, targets, asked), recipe), epochs


def _settings_of_streams(model: str, targets: int, asked: Mapping[str, Any]) -> ModelConfig:
    """Wider models that see further than those of lists: a text has more to learn, and no end of a line to stop at."""
    width = 64 if targets < 100_000 else 128
    cycle = tuple(2**n for n in range(int(min(6, max(2, np.log2(max(1, targets / 16)))))))  # two see an eighth at most
    cycles = 1 if "dilations" in asked else 2  # what is asked for is not doubled
    channels = min(96, width)
    sizes: dict[str, ModelConfig] = {
        "tree": TreeConfig((2, 2, 2, 2), 24, 2 * width, norm="layer", activation="silu"),
        "mlp": MlpConfig(16, 24, 2 * width, norm="layer", activation="silu"),
        "wavenet": WaveNetConfig(channels=channels, skip_channels=channels, dilations=cycle, cycles=cycles),
        "ngram": NgramConfig(n=7),
        **{name: RecurrentConfig(embedding=64, hidden=2 * width) for name in ("rnn", "gru")},
        "lstm": RecurrentConfig(embedding=64, hidden=3 * width),
        "bow": BowConfig(context=16),
        "transformer": TransformerConfig(channels=width, context=64),
    }
    return sizes.get(model) or CONFIGS[model]()


def worth_threads(chosen: Plan) -> bool:
    """Whether a step has work enough to be shared by several processors."""
    if chosen.recipe.execution == "stretches":
        return chosen.settings.weights(vocabulary_size=64) >= 50_000
    return chosen.settings.width >= 256


def _in_stretches(recipe: Recipe, config: ModelConfig, stream: TextStream, asked: Mapping[str, Any]) -> Recipe:
    """What a text and a model ask of the recipe.

    Raises `UsageError` for a text that is too short for the model or the recipe.
    """
    if recipe.execution != "stretches":
        raise UsageError(f"--execution {recipe.execution} is for lists: continuous text is run in stretches")
    seen, targets = config.receptive_field, stream.train.targets
    if seen is not None and seen >= targets:
        raise UsageError(
            f"this model sees {seen:,} characters, and the text has {targets:,} to train on: take a model that sees "
            "fewer, or more text"
        )
    before = 0 if seen is None else seen - 1
    usual = before if isinstance(config, TreeConfig | MlpConfig) else 0  # a tree computes these positions anyway
    lead_in = min(before, asked.get("lead_in", usual))
    StretchPositions(targets, recipe.batch_size, recipe.order, recipe.seed, recipe.stretch)  # whether they fit
    return replace(recipe, lead_in=lead_in)


def _power_of_two(size: float, least: int, most: int) -> int:
    return int(min(most, max(least, 2 ** round(np.log2(size)))))


def _of(kind: type, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name in _names(kind)}


def _names(kind: Any) -> set[str]:
    return {field.name for field in fields(kind)}
